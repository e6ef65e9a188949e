"""Prepared cases: subjects of the cohort at which a demonstration has something to show."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from core.ehr.demo.life import Life

CASES_FILE = Path("metadata") / "cases.json"


def write_cases(folder: Path, lives: list[Life], labels: dict[str, pl.DataFrame], splits: pl.DataFrame) -> None:
    """Write ``metadata/cases.json``: a list of {subject_id, prediction_time, title, look_at, task, outcome}."""
    held_out = set(splits.filter(pl.col("split") == "held_out")["subject_id"].to_list())
    by_id = {life.person.id: life for life in lives if life.person.id in held_out}
    cases = []
    for task, outcome, reason, title, look_at in _WANTED:
        case = _find(by_id, labels.get(task), outcome, reason, {c["subject_id"] for c in cases})
        if case is not None:
            subject, at = case
            cases.append(
                {
                    "subject_id": subject,
                    "prediction_time": at.isoformat(),
                    "title": title,
                    "look_at": look_at,
                    "task": task,
                    "outcome": outcome,
                }
            )
    path = folder / CASES_FILE
    path.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


_WANTED: tuple[tuple[str, bool, str | None, str, str], ...] = (
    (
        "guo_readmission",
        True,
        "heart_failure",
        "Heart failure, back within 30 days",
        "The stay that has just ended and the stays before it carry the risk; compare with the sections left out.",
    ),
    (
        "new_pancan",
        True,
        None,
        "Weight loss before a pancreatic cancer",
        "The diagnosis is not in the record yet; its signs are, as in some people who never get it.",
    ),
    (
        "guo_icu",
        True,
        "sepsis",
        "Sepsis on the first day, intensive care to come",
        "Vital signs and the diagnoses of the first day; the current visit's end must not show in the text.",
    ),
    (
        "new_lupus",
        True,
        None,
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
    lives: dict[int, Life], labels: pl.DataFrame | None, outcome: bool, reason: str | None, used: set[int]
) -> tuple[int, datetime] | None:
    """The first fitting label of a subject with a record of middle length."""
    if labels is None:
        return None
    for subject, at, value in labels.iter_rows():
        life = lives.get(subject)
        if life is None or subject in used or bool(value) != outcome or not 6 <= life.chart.n_visits <= 22:
            continue
        near = [why for start, end, why in life.stays if start - timedelta(days=1) <= at <= end + timedelta(days=1)]
        if reason is None or reason in near:
            return subject, at
    return None
