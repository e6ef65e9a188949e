"""The EHRSHOT few-shot protocol: which labels a k-shot model may see.

For each k, five replicates draw k positives and k negatives from train and as many from validation; the draws are
nested (the first k of one draw of 128) and a class with fewer than k labels is drawn with replacement. Evaluation is
always on the whole test split. Draws are kept in, and read from, EHRSHOT's ``all_shots_data.json``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError

PAPER_SHOTS: tuple[int, ...] = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128)
ALL = -1
"""EHRSHOT's k for all training data."""
N_REPLICATES = 5
MAX_K = 128


@dataclass(frozen=True, eq=False)
class Shots:
    """Rows of one k-shot replicate, as indices into the task's labels (repeats where a class was over-sampled)."""

    k: int
    replicate: int
    train: np.ndarray
    validation: np.ndarray


def parse_shots(text: str | None) -> list[int]:
    """``"1,2,all"`` as ``[1, 2, -1]``; None and "all" mean all data; "paper" the paper's list and all data."""
    shots: list[int] = []
    for part in (text or "all").split(","):
        part = part.strip().lower()
        if part == "paper":
            shots += [*PAPER_SHOTS, ALL]
        elif part in ("all", "-1"):
            shots.append(ALL)
        elif part.isdecimal() and 0 < int(part) <= MAX_K:
            shots.append(int(part))
        else:
            raise InputError(f"{part!r} is no number of shots", f"use numbers from 1 to {MAX_K}, all or paper")
    return list(dict.fromkeys(shots))


def parse_shots_by_model(texts: Sequence[str]) -> tuple[list[int], dict[str, list[int]]]:
    """``["paper", "count:gbm=8,all"]`` as the shots of the run and those of single models, for slow ones."""
    general: list[int] = []
    of_model: dict[str, list[int]] = {}
    for text in texts:
        model, equals, shots = text.rpartition("=")
        if equals:
            of_model[model.strip()] = parse_shots(shots)
        else:
            general += parse_shots(text)
    return list(dict.fromkeys(general)) or [ALL], of_model


def make_shots(
    target: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    shots: Sequence[int] = PAPER_SHOTS,
    replicates: int = N_REPLICATES,
) -> list[Shots]:
    """Draw the k-shot replicates of one binary target.

    Args:
        target: 0/1 ``(n,)`` of all labels.
        train: row numbers of the train split.
        validation: row numbers of the validation split.
        shots: values of k, each at most 128.
        replicates: seeds 0 to replicates - 1.

    Raises:
        InputError: a split without one of the classes.
    """
    out = []
    for replicate in range(replicates):
        rng = np.random.default_rng(replicate)
        parts = {}
        for name, rows in (("train", np.asarray(train)), ("validation", np.asarray(validation))):
            for label in (1, 0):
                of_class = rows[np.asarray(target)[rows] == label]
                if not len(of_class):
                    kind = "positives" if label else "negatives"
                    raise InputError(f"the {name} split has no {kind}", "add labels, or leave this task out")
                drawn = rng.permutation(of_class)[:MAX_K]
                if len(drawn) < MAX_K:
                    drawn = np.concatenate([drawn, rng.choice(of_class, MAX_K - len(drawn))])
                parts[name, label] = drawn
        for k in shots:
            if not 0 < k <= MAX_K:
                raise InputError(f"{k} shots are asked for", f"use 1 to {MAX_K}")
            chosen = [np.concatenate([parts[name, 1][:k], parts[name, 0][:k]]) for name in ("train", "validation")]
            out.append(Shots(k, replicate, chosen[0], chosen[1]))
    return sorted(out, key=lambda shot: (shot.k, shot.replicate))


_KEYS = ("patient_ids", "label_times", "label_values")
_SPLIT = {"train": "train", "val": "tuning"}


def shots_to_json(
    subject: np.ndarray,
    time: np.ndarray,
    target: np.ndarray,
    shots: Sequence[Shots],
) -> dict[str, Any]:
    """One sub-task's ``{k: {replicate: {...}}}`` in EHRSHOT's layout; times as ISO text."""
    times = [value.isoformat() for value in np.asarray(time, "datetime64[us]").astype(object)]
    out: dict[str, Any] = {}
    for shot in shots:
        entry: dict[str, Any] = {"train_idxs": shot.train.tolist(), "val_idxs": shot.validation.tolist()}
        for name, rows in (("train", shot.train), ("val", shot.validation)):
            entry[f"patient_ids_{name}_k"] = [int(subject[i]) for i in rows]
            entry[f"label_times_{name}_k"] = [times[i] for i in rows]
            entry[f"label_values_{name}_k"] = [int(target[i]) for i in rows]
        out.setdefault(str(shot.k), {})[str(shot.replicate)] = entry
    return out


def shots_from_json(
    data: Mapping[str, Any],
    sub_task: str,
    subject: np.ndarray,
    time: np.ndarray,
    target: np.ndarray,
    split: np.ndarray,
) -> list[Shots]:
    """Read one sub-task's draws, matched to our labels by patient and time (EHRSHOT's indices are not trusted).

    Raises:
        InputError: not EHRSHOT's layout, a drawn label that our labels lack, one with another value, or one of another
            split: a model must not learn from what it is evaluated on.
    """
    if sub_task not in data:
        raise InputError(f"the few-shot file has no sub-task {sub_task!r}", f"it has {', '.join(map(str, data))}")
    times = np.asarray(time, "datetime64[us]")
    where = {(int(s), t): i for i, (s, t) in enumerate(zip(subject, times.astype(np.int64).tolist()))}

    def rows(entry: Mapping[str, Any], part: str) -> np.ndarray:
        found = []
        ids, stamps, values = (entry[f"{key}_{part}_k"] for key in _KEYS)
        for patient, stamp, value in zip(ids, stamps, values, strict=True):
            moment = int(np.datetime64(_naive(stamp), "us").astype(np.int64))
            i = where.get((int(patient), moment))
            if i is None:
                raise InputError(
                    f"the few-shot file names a label of subject {patient} at {stamp} that the task lacks",
                    "use the few-shot file of the same release",
                )
            if int(bool(value)) != int(target[i]):
                raise InputError(
                    f"the label of subject {patient} at {stamp} has another value in the few-shot file",
                    "use the few-shot file of the same release",
                )
            if split[i] != _SPLIT[part]:
                raise InputError(
                    f"the few-shot file draws subject {patient} from {_SPLIT[part]}, the dataset has it in {split[i]}",
                    "use the few-shot file and the splits of the same release",
                )
            found.append(i)
        return np.array(found, dtype=np.int64)

    out = []
    try:
        for k, by_replicate in data[sub_task].items():
            if int(k) == ALL:
                continue
            for replicate, entry in by_replicate.items():
                out.append(Shots(int(k), int(replicate), rows(entry, "train"), rows(entry, "val")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the few-shot file is not in EHRSHOT's layout ({error})", "use all_shots_data.json of a release"
        ) from None
    return sorted(out, key=lambda shot: (shot.k, shot.replicate))


def _naive(stamp: str) -> datetime:
    return datetime.fromisoformat(str(stamp)).replace(tzinfo=None)


def read_shots_file(path: Path) -> dict[str, Any]:
    """Read ``all_shots_data.json``. Not JSON or no object: :class:`InputError`."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the few-shot file {Path(path).name} cannot be read ({error})", "give valid JSON") from None
    if not isinstance(data, dict):
        raise InputError(f"the few-shot file {Path(path).name} is no JSON object", "use all_shots_data.json")
    return data
