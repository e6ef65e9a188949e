"""What if: edit a lab value, add or remove a coded event, and read the record again. A simulation, marked as one.

It shows how the model reacts to another text. It does not say what would happen to the patient.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from core.ehr.markdown import SerializationOptions, serialize
from core.ehr.numbers import every_digit
from core.ehr.record import Record
from core.ehr.task_scope import OutsideDefinition, outside_definitions
from core.errors import InputError
from core.risk.heads import Head
from core.risk.records import options_of
from core.risk.score import TaskScore, score_text

NOTICE = "Simulation: the record was edited. It shows how the model reacts to another text, not what would happen."
OFFER = "An edit makes a simulation: it shows how the model reacts to another text, not what would happen."
"""What to say before anything is edited."""


@dataclass(frozen=True)
class SetValue:
    """Replace the numeric value of the event at this ``row`` of the subject's events."""

    row: int
    value: float

    def __str__(self) -> str:
        return f"set the value of event {self.row} to {every_digit(self.value)}"


@dataclass(frozen=True)
class RemoveEvent:
    """Take out the event at this ``row``."""

    row: int

    def __str__(self) -> str:
        return f"remove event {self.row}"


@dataclass(frozen=True)
class RemoveCode:
    """Take out every event with this code."""

    code: str

    def __str__(self) -> str:
        return f"remove every {self.code}"


@dataclass(frozen=True)
class AddEvent:
    """Add a coded event at a time, in a visit where ``visit_id`` names one."""

    code: str
    time: datetime
    value: float | None = None
    unit: str | None = None
    visit_id: int | None = None

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {every_digit(self.value)} {self.unit or ''}".rstrip()
        return f"add {self.code}{value} at {self.time:%Y-%m-%d %H:%M}"


Edit = SetValue | RemoveEvent | RemoveCode | AddEvent


def apply_edits(events: pl.DataFrame, edits: Sequence[Edit]) -> pl.DataFrame:
    """A copy of the events with the edits made, in order; ``row`` keeps the numbers of the original events.

    Added events come after others of the same time and get the next free row numbers.

    Raises:
        InputError: a row or code that is not there, or a value that is not finite.
    """
    for edit in edits:
        if isinstance(edit, SetValue | RemoveEvent):
            at = pl.col("row") == edit.row
            if not events.filter(at).height:
                raise InputError(f"the record has no event {edit.row}", "choose an event of the list")
        if isinstance(edit, SetValue):
            _finite(edit.value)
            if events.filter(at)["numeric_value"][0] is None:
                raise InputError(f"event {edit.row} has no numeric value", "choose a measurement")
            value = pl.when(at).then(pl.lit(edit.value, pl.Float32)).otherwise(pl.col("numeric_value"))
            events = events.with_columns(value.alias("numeric_value"))
        elif isinstance(edit, RemoveEvent):
            events = events.filter(~at)
        elif isinstance(edit, RemoveCode):
            if not events.filter(pl.col("code") == edit.code).height:
                raise InputError(f"the record has no {edit.code}", "choose a code of the record")
            events = events.filter(pl.col("code") != edit.code)
        else:
            events = _added(events, edit)
    return events


def _added(events: pl.DataFrame, edit: AddEvent) -> pl.DataFrame:
    if not edit.code.strip():
        raise InputError("the code of the event to add is empty", "choose a code")
    if edit.value is not None:
        _finite(edit.value)
    new = {
        "row": int(events["row"].max() or 0) + 1 if events.height else 0,  # type: ignore[arg-type]
        "time": edit.time,
        "code": edit.code,
        "numeric_value": edit.value,
        "unit": edit.unit,
        "visit_id": edit.visit_id,
    }
    row = pl.DataFrame({name: [new.get(name)] for name in events.columns}, schema=events.schema)
    return pl.concat([events, row]).sort("time", nulls_last=False, maintain_order=True)


def _finite(value: float) -> None:
    if value != value or value in (float("inf"), float("-inf")):
        raise InputError("the new value is not a finite number", "give a number")


@dataclass(frozen=True)
class WhatIf:
    """A simulated reading beside the real one.

    Attributes:
        edits: in words.
        before: text as it is.
        after: text of the edited record.
        scores: pairs (as it is, simulated) by sub-task key.
        outside: tasks that are not defined for the edited record, and why.
        unread: why edited events do not reach the text, a clause each: "outside of the plausible range".
        notice: to be shown with every number.
    """

    edits: tuple[str, ...]
    before: str
    after: str
    scores: Mapping[str, tuple[TaskScore, TaskScore]]
    outside: Mapping[str, OutsideDefinition]
    unread: tuple[str, ...] = ()
    notice: str = NOTICE

    @property
    def text_changed(self) -> bool:
        """False where the edit does not reach the text, so that no score can change."""
        return self.before != self.after


def what_if(
    dataset: Any,
    subject_id: int,
    at: datetime,
    edits: Sequence[Edit],
    encoder: Any,
    heads: Mapping[str, Head],
    cache: Any = None,
    options: SerializationOptions | None = None,
    labelled: Collection[str] = (),
) -> WhatIf:
    """Score the record as it is and as edited.

    Args:
        dataset: where the subject's events and the codes' descriptions are.
        subject_id: whose record.
        at: as of when.
        edits: what to change, in order.
        encoder: as for :func:`core.risk.score.score_text`, like ``cache``.
        heads: by sub-task key.
        cache: of embeddings.
        options: how to write the record; by default as the heads' records were.
        labelled: tasks that the dataset has a label of at this very time.

    Raises:
        InputError: no head, or an edit that cannot be made.
    """
    if not heads:
        raise InputError("no task is chosen", "choose a task that has a head")
    options = options or options_of(next(iter(heads.values())).identity)
    events = dataset.events(subject_id)
    edited = apply_edits(events, edits)
    before = serialize(events, at, dataset.vocabulary, options).text
    record = serialize(edited, at, dataset.vocabulary, options)
    after = record.text
    real = score_text(before, at, encoder, heads, cache, options)
    simulated = score_text(after, at, encoder, heads, cache, options) if after != before else real
    pairs = {key: pair for key, pair in zip(heads, zip(real, simulated))}
    outside = _outside(events, edited, at, dataset.vocabulary, labelled)
    return WhatIf(tuple(map(str, edits)), before, after, pairs, outside, _unread(events, edited, record))


def _outside(
    events: pl.DataFrame, edited: pl.DataFrame, at: datetime, vocabulary: Any, labelled: Collection[str]
) -> dict[str, OutsideDefinition]:
    """Tasks not defined for the edited record. A label is about the real one: it counts unless the edit decides."""
    real, new = (outside_definitions(rows, at, vocabulary) for rows in (events, edited))
    return {task: why for task, why in new.items() if task not in labelled or task not in real}


def _unread(events: pl.DataFrame, edited: pl.DataFrame, record: Record) -> tuple[str, ...]:
    """Why changed and added events are not in the text."""
    key = ["row", "numeric_value"]
    changed = set(edited.select(key).join(events.select(key), on=key, how="anti", nulls_equal=True)["row"])
    return tuple(reason for reason, rows in record.omitted.items() if changed & set(rows))
