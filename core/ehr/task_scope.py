"""Which tasks are not defined for a patient at a time: a head scores any record, also where EHRSHOT never asks.

The definitions are those of the labels (``core.ehr.labels``), asked of one record and of nothing after the time.
Laboratory results and radiology reports are asked about before an event that is still to come, so at any time.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from core.ehr.label_codes import (
    ADMISSION_PREFIX,
    DIAGNOSES,
    DISCHARGE_PREFIX,
    INPATIENT_CODES,
    diagnosis_codes,
    intensive_care_codes,
)
from core.ehr.labels import LONG_STAY
from core.ehr.vocabulary import Vocabulary

_SILENCE = timedelta(hours=24)
"""A stay whose end nothing tells is over after so long without an event, as in ``core.ehr.visits``."""
_MINUTE = timedelta(minutes=1)
"""Prediction times of a day are at 23:59, and who leaves within that minute has left."""


@dataclass(frozen=True)
class OutsideDefinition:
    """Why a task is not defined at a time.

    Attributes:
        reason: in words; the time of ``since`` follows it.
        since: the time that the reason speaks of, if it speaks of one.
    """

    reason: str
    since: datetime | None = None

    def text(self, day: Callable[[datetime], str]) -> str:
        """The reason as a clause, its time as ``day`` shows it: "diagnosed already, 2020-06-03"."""
        return self.reason if self.since is None else f"{self.reason} {day(self.since)}"


def clauses(outside: Mapping[str, OutsideDefinition], day: Callable[[datetime], str]) -> dict[str, str]:
    """Why tasks are not defined, by task, times as ``day`` shows them."""
    return {task: why.text(day) for task, why in outside.items()}


def outside_definitions(
    events: pl.DataFrame, at: datetime, vocabulary: Vocabulary, labelled: Collection[str] = ()
) -> dict[str, OutsideDefinition]:
    """Tasks that are not defined for this patient at this time, and why.

    Args:
        events: of ``Dataset.events``; later ones are not looked at, but for the end of a stay that has begun.
        at: prediction time.
        vocabulary: descriptions and hierarchy of the codes.
        labelled: tasks that the dataset has a label of at this very time; their labelers have decided.

    Returns:
        By task id. A task that is not in it is defined, as far as this record tells.
    """
    known = events.filter(pl.col("time").is_not_null() & (pl.col("time") <= at))
    codes = known["code"].unique().to_list()
    opened, ended = _stays(events, known, at)
    admission, discharge = _not_admitted(opened, at), _not_discharged(opened, ended, at)
    found: dict[str, OutsideDefinition | None] = {
        "guo_los": _too_long(opened, at) or admission,
        "guo_icu": _in_intensive_care(known, opened, intensive_care_codes(codes, vocabulary)) or admission,
        "guo_readmission": discharge,
    }
    for task, definition in DIAGNOSES.items():
        times = known.filter(pl.col("code").is_in(list(diagnosis_codes(definition, codes, vocabulary))))["time"]
        first = times.min()
        before = isinstance(first, datetime) and first < at
        found[task] = OutsideDefinition("diagnosed already,", first) if before else discharge  # type: ignore[arg-type]
    return {task: outside for task, outside in found.items() if outside and task not in labelled}


def _stays(events: pl.DataFrame, known: pl.DataFrame, at: datetime) -> tuple[list[datetime], list[datetime]]:
    """When the hospital stays that are open began, in order, and when the others ended."""
    admission = pl.col("code").str.starts_with(ADMISSION_PREFIX)
    begun = known.filter(
        (pl.col("code").is_in(list(INPATIENT_CODES)) | admission)
        & (pl.col("table").is_null() | (pl.col("table") == "visit_occurrence"))
    )
    discharged = pl.col("code").str.starts_with(DISCHARGE_PREFIX) & pl.col("time").is_not_null()
    discharges, times = events.filter(discharged)["time"].to_list(), known["time"].to_list()
    opened, ended = [], []
    for start, end, code in begun.select("time", "end", "code").iter_rows():
        if end is None and code.startswith(ADMISSION_PREFIX):
            end = min((time for time in discharges if time > start), default=None)
        if end is None:
            end = _silent_since(times, start, at)
        if end is None or (end > start and end >= at + _MINUTE):
            opened.append(start)
        elif end > start:
            ended.append(end)
    return opened, ended


def _silent_since(times: list[datetime], start: datetime, at: datetime) -> datetime | None:
    """The last event before a silence of :data:`_SILENCE`; None where there is none up to ``at``."""
    last = start.replace(hour=23, minute=59, second=0, microsecond=0)
    for time in (*(time for time in times if time > last), at):
        if time - last > _SILENCE:
            return last
        last = time
    return None


def _not_admitted(opened: list[datetime], at: datetime) -> OutsideDefinition | None:
    if not opened:
        return OutsideDefinition("no hospital stay is open")
    if any(start.date() == at.date() for start in opened):
        return None
    return OutsideDefinition("asked at admission, which was", opened[-1])


def _too_long(opened: list[datetime], at: datetime) -> OutsideDefinition | None:
    if opened and all(at - start >= LONG_STAY for start in opened):
        return OutsideDefinition(f"{LONG_STAY.days} days have passed already, since", opened[-1])
    return None


def _in_intensive_care(
    known: pl.DataFrame, opened: list[datetime], places: Collection[str]
) -> OutsideDefinition | None:
    """Care on the day of admission excludes a stay, as does any since."""
    if not opened:
        return None
    care = known.filter(
        pl.col("code").is_in(list(places))
        & (pl.col("end").is_null() | (pl.col("end") > pl.col("time")))
        & (pl.col("time").dt.date() >= max(opened).date())
    )["time"].min()
    return OutsideDefinition("in intensive care already,", care) if isinstance(care, datetime) else None


def _not_discharged(opened: list[datetime], ended: list[datetime], at: datetime) -> OutsideDefinition | None:
    if any(end.date() == at.date() for end in ended):
        return None
    if opened:
        return OutsideDefinition("asked at discharge, and the stay is open")
    if not ended:
        return OutsideDefinition("asked at discharge, and there was none")
    return OutsideDefinition("asked at discharge, which was", max(ended))
