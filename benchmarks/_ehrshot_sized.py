"""A made-up release in EHRSHOT's layout and, by default, its size: 6,739 subjects, 41.6 million rows.

Sizes per subject are log-normal (median near 3,300), codes Zipf-like over 30,000, times sorted with many ties, a third
of the rows with a number, a few with text; about one row in 45 opens a visit. No real person is in it.
"""

from pathlib import Path

import numpy as np
import polars as pl

from core.ehr.tasks import TASKS

SUBJECTS, EVENTS = 6_739, 41_600_000
_VOCABULARIES = ("LOINC", "SNOMED", "RxNorm", "CPT4", "ICD10PCS", "HCPCS")
_CODES = 30_000
_CHUNK = 150


def write_release(folder: Path, subjects: int = SUBJECTS, events: int = EVENTS, seed: int = 0) -> Path:
    """Write ``data/ehrshot.csv`` and ``splits/person_id_map.csv``; return the folder."""
    rng = np.random.default_rng(seed)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "splits").mkdir(exist_ok=True)
    ids = np.sort(rng.choice(np.arange(115_967_096, 115_975_096 + subjects), subjects, replace=False))
    sizes = rng.lognormal(0.0, 1.1, subjects)
    sizes = np.maximum(8, (sizes / sizes.sum() * events).astype(np.int64))
    codes = [f"{_VOCABULARIES[i % len(_VOCABULARIES)]}/{10_000 + i * 7}" for i in range(_CODES)]
    codes += ["Visit/OP", "Visit/IP", "Visit/ER", "SNOMED/3950001", "Gender/F", "Gender/M", "Race/5"]
    split = np.array(["train", "val", "test"])[rng.integers(0, 3, subjects)]
    pl.DataFrame({"split": split, "omop_person_id": ids}).write_csv(folder / "splits" / "person_id_map.csv")
    _write_labels(rng, folder, ids)
    with (folder / "data" / "ehrshot.csv").open("wb") as out:
        for start in range(0, subjects, _CHUNK):
            chunk = _rows(rng, ids[start : start + _CHUNK], sizes[start : start + _CHUNK], codes)
            chunk.write_csv(out, include_header=start == 0, datetime_format="%Y-%m-%d %H:%M:%S")
    return folder


def _write_labels(rng: np.random.Generator, folder: Path, ids: np.ndarray) -> None:
    """Labels of all 15 tasks, a few a subject, as the release has them."""
    for task in TASKS:
        people = np.repeat(ids, 3)
        minutes = rng.integers(1_000_000_000, 1_500_000_000, len(people)) // 60 * 60
        kind = "boolean" if task.label_type == "boolean" else "categorical"
        value = rng.integers(0, {"boolean": 2, "severity": 4, "findings": 1 << 14}[task.label_type], len(people))
        frame = pl.DataFrame(
            {
                "patient_id": people,
                "prediction_time": pl.Series(minutes * 1_000_000)
                .cast(pl.Datetime("us"))
                .dt.strftime("%Y-%m-%dT%H:%M:%S"),
                "label_type": kind,
                "value": np.where(value == 1, "True", "False") if kind == "boolean" else value.astype("U8"),
            }
        )
        path = folder / "benchmark" / task.id / "labeled_patients.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_csv(path)


def _rows(rng: np.random.Generator, ids: np.ndarray, sizes: np.ndarray, codes: list[str]) -> pl.DataFrame:
    n = int(sizes.sum())
    subject = np.repeat(ids, sizes)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    birth = rng.integers(-1_200_000_000, 900_000_000, len(ids))
    span = rng.integers(200_000_000, 500_000_000, len(ids))
    seconds = np.repeat(birth + 10_000_000, sizes) + (rng.random(n) * np.repeat(span, sizes)).astype(np.int64)
    seconds = seconds // 600 * 600  # many events share a time
    order = np.lexsort((seconds, subject))
    seconds = seconds[order]
    code = np.minimum(rng.zipf(1.2, n) - 1, _CODES - 1)
    visit = rng.random(n) < 1 / 45
    code[visit] = _CODES + rng.integers(0, 3, int(visit.sum()))
    for place, special in enumerate((_CODES + 3, _CODES + 4, _CODES + 6)):
        code[first + place] = special
        seconds[first + place] = birth
        visit[first + place] = False
    code[first + 1] = _CODES + 4 + rng.integers(0, 2, len(ids))
    value = pl.Series(np.round(rng.lognormal(3, 1, n), 1)).cast(pl.String)
    value = value.set(pl.Series(rng.random(n) < 0.01), "Former smoker")
    empty = visit | (rng.random(n) < 0.65)
    for place in range(3):
        empty[first + place] = True
    value = value.set(pl.Series(empty), None)
    end = pl.Series((seconds + rng.integers(0, 400_000, n)) * 1_000_000).cast(pl.Datetime("us"))
    frame = pl.DataFrame(
        {
            "patient_id": subject,
            "start": pl.Series(seconds * 1_000_000).cast(pl.Datetime("us")),
            "end": end.set(pl.Series(~visit), None),
            "code": pl.Series(codes, dtype=pl.String).gather(code),
            "value": value,
            "unit": pl.Series(["mmol/L"], dtype=pl.String).new_from_index(0, n).set(value.is_null(), None),
            "visit_id": np.cumsum(visit) + 1_000_000,
            "omop_table": pl.Series(["visit_occurrence", "measurement"], dtype=pl.String).gather(
                (~visit).astype(np.int64)
            ),
        }
    )
    return frame
