"""Write the demo cohort: synthetic subjects as a MEDS dataset with splits and labels of all 15 tasks."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from core.ehr.demo.card import write_card
from core.ehr.demo.cases import write_cases
from core.ehr.demo.life import Life, live
from core.ehr.label_codes import LABS
from core.ehr.labels import compute_labels
from core.ehr.meds_layout import (
    EVENT_SCHEMA,
    new_dataset,
    write_codes,
    write_dataset_json,
    write_events,
    write_labels,
    write_splits,
)
from core.ehr.tasks import TASKS
from core.errors import InputError
from core.progress import Progress, silent

VERSION = "1"
SUBJECTS_PER_SHARD = 1000
SPLIT_SHARES = (("train", 0.45), ("tuning", 0.20), ("held_out", 0.35))
CODES_FILE = Path(__file__).parent / "codes.tsv"


def generate_demo(dest: str | Path, subjects: int = 2000, seed: int = 0, progress: Progress | None = None) -> Path:
    """Write a demo cohort to ``dest`` and return its path. The same numbers give the same bytes.

    Args:
        dest: a new folder, or one that this function wrote before.
        subjects: how many subjects, at least 20 (the splits need some each).
        seed: another seed gives other people from the same model.
        progress: called with subjects done.

    Raises:
        InputError: too few or too many subjects, or ``dest`` cannot be written.
    """
    if not 20 <= subjects <= 1_000_000:
        raise InputError(f"cannot make a cohort of {subjects} subjects", "choose a number from 20 to 1000000")
    progress = progress or silent
    dest = Path(dest).expanduser()
    with new_dataset(dest) as folder:
        summaries: list[Life] = []
        for shard, lives in enumerate(_shards(subjects, seed, progress)):
            write_events(folder, shard, _event_frame(lives))
            for life in lives:
                life.chart.events.clear()  # what is left is small
            summaries += lives
        write_codes(folder, read_codes())
        splits = _splits(summaries)
        write_splits(folder, splits)
        labels = _write_labels(folder, summaries)
        write_dataset_json(
            folder,
            "Chartlight demo cohort",
            "demo",
            synthetic=True,
            dataset_version=VERSION,
            license="Apache-2.0; code descriptions: see card.md",
            subjects=subjects,
            seed=seed,
        )
        write_cases(folder, summaries, labels, splits)
        write_card(folder, subjects, seed, labels, splits)
    progress(subjects, subjects, "")
    return dest


def read_codes() -> pl.DataFrame:
    """The demo vocabulary: ``code``, ``description``, ``parent_codes`` (ICD-10-CM categories)."""
    rows = [line.split("\t") for line in CODES_FILE.read_text(encoding="utf-8").splitlines() if line]
    descriptions = {row[0]: row[1] for row in rows}
    parents = []
    for code in descriptions:
        stem, dot, _ = code.partition(".")
        parents.append([stem] if dot and stem in descriptions else [])
    return pl.DataFrame(
        {"code": list(descriptions), "description": list(descriptions.values()), "parent_codes": parents},
        schema={"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
    )


def _shards(subjects: int, seed: int, progress: Progress) -> Iterator[list[Life]]:
    for first in range(1, subjects + 1, SUBJECTS_PER_SHARD):
        lives = []
        for subject in range(first, min(first + SUBJECTS_PER_SHARD, subjects + 1)):
            lives.append(live(subject, seed))
            if subject % 50 == 0:
                progress(subject, subjects, "subjects")
        yield lives


def _event_frame(lives: list[Life]) -> pl.DataFrame:
    columns = list(EVENT_SCHEMA)
    rows = [(life.person.id, *event) for life in lives for event in life.chart.sorted_events()]
    return pl.DataFrame(
        dict(zip(columns, zip(*rows))), schema=EVENT_SCHEMA | {"numeric_value": pl.Float64()}, strict=False
    )


def _splits(lives: list[Life]) -> pl.DataFrame:
    """Every 20 subjects in a row hold 9 of train, 4 of tuning and 7 of held_out, mixed."""
    pattern = [name for name, share in SPLIT_SHARES for _ in range(round(share * 20))]
    mixed = [pattern[(7 * i) % 20] for i in range(20)]
    ids = [life.person.id for life in lives]
    return pl.DataFrame({"subject_id": ids, "split": [mixed[i % 20] for i in range(len(ids))]})


def _write_labels(folder: Path, lives: list[Life]) -> dict[str, pl.DataFrame]:
    """Labels by the EHRSHOT definitions; laboratory labels only at the few results that each subject keeps."""
    events = pl.scan_parquet(sorted((folder / "data").glob("*.parquet")), glob=False)
    computed = compute_labels(events, [task.id for task in TASKS if task.label_type != "findings"])
    kept = pl.DataFrame(
        [(life.person.id, at) for life in lives for at in life.panel_times],
        schema={"subject_id": pl.Int64, "time": pl.Datetime("us")},
        orient="row",
    ).select("subject_id", prediction_time=pl.col("time").dt.offset_by("-1m"))
    labels = {}
    for task in TASKS:
        if task.label_type == "findings":
            rows = [(life.person.id, at, value) for life in lives for at, value in life.chest]
            frame = pl.DataFrame(
                rows,
                schema={"subject_id": pl.Int64, "prediction_time": pl.Datetime("us"), "value": pl.Int64},
                orient="row",
            )
        elif task.id in computed.labels:
            frame = computed.labels[task.id]
        else:  # a small cohort may lack an outcome altogether
            continue
        if task.id in LABS:
            frame = frame.join(kept, ["subject_id", "prediction_time"], "semi")
        labels[task.id] = frame.sort("subject_id", "prediction_time")
        write_labels(folder, task.id, labels[task.id])
    return labels
