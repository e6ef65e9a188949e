"""Leakage sentinel: whether a record tells what its prediction time could not know.

The lesson behind it: until March 2025 the paper's code printed the length of the current stay, and the published
figure for the task that asks for it was better than it should have been (reference 4.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from core.ehr.label_codes import (
    DIAGNOSES,
    INPATIENT_CODES,
    LABS,
    diagnosis_codes,
    icd_code,
    intensive_care_codes,
    lab_codes,
)
from core.ehr.record import Record
from core.ehr.tasks import Task, get_task
from core.ehr.visit_list import SHOWN_TIME
from core.ehr.visits import is_visit
from core.ehr.vocabulary import Vocabulary
from core.wording import counted

Severity = Literal["error", "warning"]

RULES: dict[str, str] = {
    "event-after-prediction-time": "an event after the prediction time reaches the text",
    "current-visit-end": "the end or duration of a visit that is still open reaches the text",
    "outcome-code-at-prediction-time": "what the task predicts has happened already and stands in the text",
    "same-lab-at-label-time": "the result that the task predicts stands in the text",
    "discharge-diagnosis-at-admission": "a diagnosis of the current stay, usually coded at discharge, is in the text",
}
"""Rule -> what it finds."""

ADMISSION_TASKS = ("guo_los", "guo_icu")
_LABEL_LEAD = timedelta(minutes=1)  # laboratory labels stand one minute before their result
_DURATION = re.compile(r"duration: \d+ days?\)")
_SHOWN_DATE = re.compile(r"\[(\d{4}-\d\d-\d\d)\]\(\1\)")


@dataclass(frozen=True)
class Finding:
    """One leak, or what looks like one.

    Attributes:
        rule: key of :data:`RULES`.
        rows: source rows that it concerns.
        message: what is wrong, in a sentence; times in ISO form.
        severity: ``error`` where the text tells the future, ``warning`` where it may.
    """

    rule: str
    rows: tuple[int, ...]
    message: str
    severity: Severity = "error"


def find_leaks(
    events: pl.DataFrame,
    at: datetime,
    record: Record,
    task: Task | str | None = None,
    vocabulary: Vocabulary | None = None,
) -> list[Finding]:
    """Check one record.

    Args:
        events: all events of the subject (``Dataset.events``).
        at: prediction time that the record stands for.
        record: what the model reads.
        task: task or task id whose outcome must not stand in the text; None checks only what holds for all.
        vocabulary: hierarchy of the codes, for outcomes.

    Returns:
        Findings in the order of :data:`RULES`, empty where there is nothing to say.

    Raises:
        InputError: an unknown task id.
    """
    shown = {row for line in record.lines for row in line.rows}
    seen = events.filter(pl.col("row").is_in(list(shown)))
    visits = events.filter(is_visit(pl.col("code")) & (pl.col("time") <= at))
    findings = [*_later_events(seen, at), *_open_ends(visits.filter(pl.col("end") > at), record)]
    if task is not None:
        task_id = task.id if isinstance(task, Task) else get_task(task).id
        open_stays = visits.filter((pl.col("end") > at) & pl.col("code").is_in(INPATIENT_CODES))
        whole = vocabulary or Vocabulary()
        small = _SubjectVocabulary(whole.descriptions, whole.parent_codes, tuple(seen["code"].unique().to_list()))
        findings += _outcomes(task_id, seen, at, open_stays, small)
        findings += _same_lab(task_id, seen, at, small)
        findings += _discharge_diagnoses(task_id, seen, open_stays)
    return findings


def _later_events(seen: pl.DataFrame, at: datetime) -> Iterable[Finding]:
    later = seen.filter(pl.col("time") > at)
    if later.height:
        first = _first(later)
        yield Finding(
            "event-after-prediction-time",
            tuple(later["row"].to_list()),
            f"{counted(later.height, 'event')} after {at.isoformat(' ')} in the text, the first of {first}",
        )


def _open_ends(open_visits: pl.DataFrame, record: Record) -> Iterable[Finding]:
    rows = set(open_visits["row"].to_list())
    for line in record.lines:
        concerned = tuple(row for row in line.rows if row in rows)
        if not concerned or line.section not in ("past_visits", "visit_details"):
            continue
        late = [date for date in _SHOWN_DATE.findall(line.text) if date > SHOWN_TIME.date().isoformat()]
        if _DURATION.search(line.text) or late:
            yield Finding("current-visit-end", concerned, f"the line {line.text!r} tells how long an open visit lasts")
    if record.options.profile == "paper" and record.options.strategy == "markdown":
        told = open_visits.group_by("time").agg("row", n=pl.col("end").n_unique()).filter(pl.col("n") > 1).sort("time")
        for time, tied, _ in told.iter_rows():
            yield Finding(
                "current-visit-end",
                tuple(tied),
                f"visits open since {time} are ordered by their ends, which lie in the future (profile paper)",
                "warning",
            )


def _outcomes(
    task_id: str, seen: pl.DataFrame, at: datetime, open_stays: pl.DataFrame, vocabulary: "_SubjectVocabulary"
) -> Iterable[Finding]:
    rule = "outcome-code-at-prediction-time"
    if task_id in DIAGNOSES:
        codes = diagnosis_codes(DIAGNOSES[task_id], vocabulary.codes, vocabulary)
        found = seen.filter(pl.col("code").is_in(list(codes)) & (pl.col("time") <= at))
        if found.height:
            first = _first(found)
            yield Finding(
                rule, tuple(found["row"].to_list()), f"the diagnosis of {task_id} is in the record since {first}"
            )
    elif task_id == "guo_icu" and open_stays.height:
        codes = intensive_care_codes(vocabulary.codes, vocabulary)
        begin = open_stays["time"].min()
        found = seen.filter(pl.col("code").is_in(list(codes)) & pl.col("time").is_between(begin, at))
        if found.height:
            first = _first(found)
            yield Finding(rule, tuple(found["row"].to_list()), f"intensive care in the current stay, since {first}")
    elif task_id == "guo_readmission" and open_stays.height:
        begin = _first(open_stays.tail(1))
        yield Finding(rule, tuple(open_stays["row"].to_list()), f"an inpatient stay is open since {begin}")


def _same_lab(task_id: str, seen: pl.DataFrame, at: datetime, vocabulary: "_SubjectVocabulary") -> Iterable[Finding]:
    if task_id not in LABS:
        return
    codes = lab_codes(LABS[task_id], vocabulary.codes, vocabulary)
    value = pl.col("numeric_value").is_not_null() | pl.col("text_value").is_not_null()
    recent = (pl.col("time") > at - _LABEL_LEAD) & (pl.col("time") <= at + _LABEL_LEAD)
    found = seen.filter(pl.col("code").is_in(list(codes)) & value & recent)
    if found.height:
        yield Finding(
            "same-lab-at-label-time",
            tuple(found["row"].to_list()),
            f"{counted(found.height, 'result')} of the same test within a minute of {at.isoformat(' ')} in the text",
        )


def _discharge_diagnoses(task_id: str, seen: pl.DataFrame, open_stays: pl.DataFrame) -> Iterable[Finding]:
    if task_id not in ADMISSION_TASKS:
        return
    ends = dict(zip(open_stays["visit_id"].to_list(), open_stays["end"].to_list()))
    ends.pop(None, None)
    own = seen.filter(pl.col("visit_id").is_in(list(ends)) & ~is_visit(pl.col("code")))
    diagnoses = [
        (row, end == ends[visit])
        for row, code, end, visit, table in own.select("row", "code", "end", "visit_id", "table").iter_rows()
        if table == "condition_occurrence" or (table is None and icd_code(code))
    ]
    tiers: tuple[tuple[Severity, list[int], str], ...] = (
        ("error", [row for row, spans in diagnoses if spans], "end with the stay, so they were coded at discharge"),
        ("warning", [row for row, spans in diagnoses if not spans], "may have been coded at discharge"),
    )
    for severity, rows, why in tiers:
        if rows:
            message = f"{counted(len(rows), 'diagnosis', 'diagnoses')} of the current stay {why}"
            yield Finding("discharge-diagnosis-at-admission", tuple(rows), message, severity)


def _first(events: pl.DataFrame) -> str:
    return str(events["time"].drop_nulls().sort().item(0))


@dataclass(frozen=True)
class _SubjectVocabulary(Vocabulary):
    """A vocabulary that knows only one subject's codes: the codes below a root come without reading all of it."""

    codes: tuple[str, ...] = ()

    def descendants(self, roots: Iterable[str]) -> frozenset[str]:
        """The roots, and those of the subject's codes that lie below them."""
        wanted = set(roots)
        return frozenset(wanted | {code for code in self.codes if wanted & self.ancestors(code)})
