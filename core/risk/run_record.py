"""``run.json`` of a benchmark: on what it was run, with what, by what and when.

A table of figures that has left its folder says nothing of its patients. The record does: whether they are synthetic,
which dataset it was (by hash), which labels, features, options and versions, and the command that makes it again.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.ehr.content import dataset_sha256
from core.ehr.tasks import task_name
from core.errors import InputError
from core.files import write_atomic
from core.risk.cohort import SPLITS, TaskLabels
from core.risk.featuresets import FeatureSet
from core.risk.fewshot import ALL
from core.risk.model_names import HEAD_NAMES, model_key, model_name
from core.safety import EXPORT_NOTICE
from core.versions import versions

FILE = "run.json"
FORMAT = 1
PACKAGES = ("numpy", "scipy", "scikit-learn", "lightgbm", "polars")
PATIENTS_NOTES: dict[bool | None, str] = {
    True: "This run is on synthetic patients, made by a program: it is not comparable to EHRSHOT or to the published "
    "figures, and says nothing about real people.",
    False: "Published figures are of EHRSHOT's held-out patients. They compare with a run only where the run is on "
    "the same release, splits and labels.",
    None: "This run does not say what its patients are, real or synthetic, so that it compares with no published "
    "figure.",
}
"""What to know before comparing a run, by whether its patients are synthetic."""
_BULKY = ("parts",)
"""Entries of a features manifest that are not repeated here."""


def command_line(arguments: Sequence[str]) -> str:
    """The command as one would type it again."""
    return shlex.join(["python", "-m", "core", *arguments])


def describe_dataset(dataset: Any, tasks: Sequence[str]) -> dict[str, Any]:
    """What the record says of the open dataset; of None, where the labels came from elsewhere, that it is none.

    It reads all files: ask before a run, so that what changes meanwhile does not pass for what the run read.
    """
    if dataset is None:
        return {"name": "not a dataset on disk", "synthetic": None}
    return {
        "name": dataset.name,
        "synthetic": bool(dataset.synthetic),
        "subjects": dataset.n_subjects,
        "sha256": dataset_sha256(dataset.path, tasks),
        "sha256_of": "events, splits and labels of these tasks",
    }


def describe_run(
    dataset: Mapping[str, Any],
    labels: Mapping[str, TaskLabels],
    features: Sequence[FeatureSet],
    options: Mapping[str, Any],
    command: str,
    started: datetime,
    units: tuple[int, int],
) -> dict[str, Any]:
    """The record as plain JSON values.

    Args:
        dataset: of :func:`describe_dataset`.
        labels: usable labels by task.
        features: what was compared.
        options: of the run.
        command: that made it, "" where it was called from a program.
        started: when, with a time zone.
        units: computed by this run, and reused from an earlier one.
    """
    finished = datetime.now(UTC)
    return {
        "format": FORMAT,
        "notice": EXPORT_NOTICE,
        "dataset": dict(dataset),
        "labels": {task: {split: len(found.rows(split)) for split in SPLITS} for task, found in labels.items()},
        "models": [
            {
                "name": one.name,
                "variant": one.variant,
                "heads": list(one.heads),
                "dimension": one.dimension,
                "shots": None if one.shots is None else ["all" if k == ALL else k for k in one.shots],
                "features": {key: value for key, value in (one.about or {}).items() if key not in _BULKY},
            }
            for one in features
        ],
        "options": dict(options),
        "command": command,
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - started).total_seconds(), 1),
        "units": {"computed": units[0], "reused": units[1]},
        "versions": versions(PACKAGES),
    }


def write_record(record: Mapping[str, Any], out: Path) -> None:
    """Write the record into the output folder, atomically."""
    text = json.dumps(record, indent=1, ensure_ascii=False, default=str)
    write_atomic(Path(out) / FILE, f"{text}\n".encode())


def read_record(out: Path) -> dict[str, Any] | None:
    """The record of a finished run; None where there is none (a run of an older version).

    Raises:
        InputError: it is there and is no record.
    """
    path = Path(out) / FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("dataset"), dict):
        raise InputError(f"{FILE} of {Path(out).name} cannot be read", "run the benchmark with the same --out again")
    return record


def is_synthetic(record: Mapping[str, Any] | None) -> bool | None:
    """Whether the run's patients are synthetic; None where it is not known."""
    said = (record or {}).get("dataset", {}).get("synthetic")
    return said if isinstance(said, bool) else None


def record_rows(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The record in lines of name and value, for a report or a page."""

    def section(name: str) -> Mapping[str, Any]:
        value = record.get(name)
        return value if isinstance(value, Mapping) else {}

    dataset, options, units = section("dataset"), section("options"), section("units")
    kind = {True: "synthetic, made by a program", False: "not marked as synthetic"}
    rows = [
        ("Dataset", str(dataset.get("name", "unknown"))),
        ("Patients", "unknown" if (said := is_synthetic(record)) is None else kind[said]),
    ]
    if "subjects" in dataset:
        rows.append(("Subjects", _plain(dataset["subjects"])))
    if "sha256" in dataset:
        rows.append(("SHA-256 of the data", f"{dataset['sha256']} ({dataset.get('sha256_of', '')})"))
    for task, splits in section("labels").items():
        if isinstance(splits, Mapping):
            rows.append(
                (
                    f"Labels of {task_name(str(task))}",
                    ", ".join(f"{_plain(count)} {split}" for split, count in splits.items()),
                )
            )
    models = record.get("models")
    for model in [one for one in models if isinstance(one, Mapping)] if isinstance(models, list) else []:
        key = model_key(str(model.get("name")), variant=str(model.get("variant") or ""))
        rows.append((f"Model {model_name(key)}", _model_words(model)))
    rows += [(name.replace("_", " ").capitalize(), _plain(value)) for name, value in options.items()]
    rows.append(("Started, finished", f"{record.get('started', 'unknown')} to {record.get('finished', 'unknown')}"))
    if units:
        rows.append(("Units", f"{units.get('computed')} computed, {units.get('reused')} from an earlier run"))
    rows.append(("Versions", ", ".join(f"{name} {text}" for name, text in section("versions").items())))
    rows.append(("Command", str(record.get("command") or "called from a program")))
    return rows


def _model_words(model: Mapping[str, Any]) -> str:
    features = model.get("features")
    features = features if isinstance(features, Mapping) else {}
    encoder = features.get("encoder")
    heads = model.get("heads")
    named = [HEAD_NAMES.get(str(head), str(head)) for head in heads] if isinstance(heads, list) else []
    words = [" and ".join(named) or "no heads", f"{_plain(model.get('dimension'))} features"]
    if isinstance(encoder, Mapping):
        words.append(f"encoder {encoder.get('name')} {encoder.get('revision')}, {encoder.get('max_tokens')} tokens")
    if model.get("shots"):
        words.append(f"shots {_plain(model['shots'])}")
    serialization = features.get("serialization")
    if isinstance(serialization, Mapping):
        words.append(f"{serialization.get('profile')} {serialization.get('strategy')}")
    return ", ".join(words)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)
