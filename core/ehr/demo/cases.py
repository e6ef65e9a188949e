"""Prepared cases: subjects of a cohort at which a demonstration has something to show."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from core.ehr.demo.life import Life
    from core.ehr.store import Dataset

CASES_FILE = Path("metadata") / "cases.json"


@dataclass(frozen=True)
class Case:
    """One prepared case.

    Attributes:
        subject_id, prediction_time: what to open.
        title, look_at: what to say about it, and what to look at.
        task, outcome: the label that made it a case.
    """

    subject_id: int
    prediction_time: datetime
    title: str
    look_at: str
    task: str
    outcome: bool


def read_cases(dataset: str | Path) -> list[Case]:
    """The prepared cases of a dataset folder; none where it has no (readable) ``metadata/cases.json``."""
    try:
        rows = json.loads((Path(dataset) / CASES_FILE).read_text(encoding="utf-8"))
        return [Case(**row | {"prediction_time": datetime.fromisoformat(row["prediction_time"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def cases_of(dataset: "Dataset") -> list[Case]:
    """The prepared cases of an open dataset whose patients are (still) in it."""
    return [case for case in read_cases(dataset.path) if dataset.index.find(case.subject_id) is not None]


def write_cases(
    folder: Path, lives: "list[Life]", labels: Mapping[str, pl.DataFrame], splits: pl.DataFrame
) -> list[Case]:
    """Choose the cases among the held-out subjects, write ``metadata/cases.json``, return them."""
    held_out = set(splits.filter(pl.col("split") == "held_out")["subject_id"].to_list())
    by_id = {life.person.id: life for life in lives if life.person.id in held_out}
    cases: list[Case] = []
    for task, outcome, reason, title, look_at in _WANTED:
        found = _find(by_id, labels.get(task), outcome, reason, {case.subject_id for case in cases})
        if found is not None:
            cases.append(Case(*found, title, look_at, task, outcome))
    rows = [asdict(case) | {"prediction_time": case.prediction_time.isoformat()} for case in cases]
    (folder / CASES_FILE).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return cases


_WANTED: tuple[tuple[str, bool, str | None, str, str], ...] = (
    (
        "guo_readmission",
        True,
        "heart_failure",
        "Heart failure, back within 30 days",
        "The stay that has just ended and those before it carry the risk: leave sections out and see what remains.",
    ),
    (
        "new_pancan",
        True,
        "biliary",
        "Signs before a pancreatic cancer",
        "The diagnosis is not in the record yet; its signs are, as in some people who never get it.",
    ),
    (
        "guo_icu",
        True,
        "sepsis",
        "Sepsis on the first day, intensive care to come",
        "Vital signs and diagnoses of the first day. The current visit's end must not show in the text.",
    ),
    (
        "new_lupus",
        True,
        "inflammation",
        "Joint pain, rash and antibodies before lupus",
        "Signs scattered over several visits, none of them proof.",
    ),
    (
        "guo_los",
        False,
        "knee",
        "A planned knee replacement",
        "Low risks throughout: what a score looks like beside the prevalence when nothing is wrong.",
    ),
    (
        "guo_los",
        True,
        "liver",
        "Cirrhosis, a long stay",
        "Flags on sodium and platelets, drugs behind the potassium: do the laboratory scores agree?",
    ),
)


def _find(
    lives: "dict[int, Life]", labels: pl.DataFrame | None, outcome: bool, reason: str | None, used: set[int]
) -> tuple[int, datetime] | None:
    """The first fitting label of a subject with a record of middle length, at least three years in."""
    if labels is None:
        return None
    for subject, at, value in labels.iter_rows():
        life = lives.get(subject)
        if life is None or subject in used or bool(value) != outcome or not 6 <= life.chart.n_visits <= 22:
            continue
        if at < life.person.start + timedelta(days=1000):
            continue
        near = [why for start, end, why in life.stays if start - timedelta(days=1) <= at <= end + timedelta(days=1)]
        if reason is None or reason in near:
            return subject, at
    return None
