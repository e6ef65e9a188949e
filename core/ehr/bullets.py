"""Ordinary events grouped into bullet lines: one line a description, per visit and category."""

from collections.abc import Iterator

import numpy as np

from core.ehr.chart import Chart
from core.ehr.codebook import one_line
from core.ehr.numbers import format_number
from core.ehr.record import EVENT_CATEGORIES

LAST_VALUES = 3
"""Values shown of an ordinary event, oldest first."""
N_CATEGORIES = len(EVENT_CATEGORIES)

Bullet = tuple[str, np.ndarray]
"""Text of a line, and the rows of all events that it stands for."""


class Bullets:
    """Bullet lines of ordinary events at one prediction time.

    Events of the same description share a line within a visit and category; lines stand in the order of their first
    event. Events outside of all visits share lines regardless of category.
    """

    def __init__(self, chart: Chart, events: np.ndarray, rank: np.ndarray, age: tuple[int, str] | None = None):
        """Group ``events``.

        Args:
            chart: the subject.
            events: indices of the events, in record order.
            rank: position of each event's visit in the list of visits, -1 for none.
            age: an event that the paper's code overwrites, and the text that it puts there.
        """
        self._chart = chart
        self._age = age
        description = chart.book.description_id[chart.code[events]]
        category = chart.category[events]
        if age is not None:
            is_age = events == age[0]
            description[is_age], category[is_age] = -1, 0
        bucket = np.where(rank < 0, -1, rank * N_CATEGORIES + category)
        key = bucket * (len(chart.book.descriptions) + 1) + description
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1)) if len(key) else np.empty(0, np.int64)
        ends = np.append(starts[1:], len(key))[: len(starts)]
        first = order[starts]
        place = np.lexsort((first, bucket[first]))
        self._members = events[order]
        self._rows = chart.row[self._members]
        self._has_value = chart.has_value[self._members]
        with_values = np.add.reduceat(self._has_value, starts, dtype=np.int64) > 0 if len(starts) else starts
        self._low, self._high = starts[place].tolist(), ends[place].tolist()
        self._description = description[first][place].tolist()
        self._with_values = with_values[place].tolist()
        self._bucket = bucket[first][place]

    def of(self, rank: int, category: int) -> Iterator[Bullet]:
        """Lines of one category of one visit."""
        return self._lines(rank * N_CATEGORIES + category)

    def general(self) -> Iterator[Bullet]:
        """Lines of the events outside of all visits."""
        return self._lines(-1)

    def filled(self) -> dict[int, list[int]]:
        """Categories that have lines, by rank of visit."""
        found: dict[int, list[int]] = {}
        for bucket in np.unique(self._bucket[self._bucket >= 0]).tolist():
            found.setdefault(bucket // N_CATEGORIES, []).append(bucket % N_CATEGORIES)
        return found

    def _lines(self, bucket: int) -> Iterator[Bullet]:
        begin, end = np.searchsorted(self._bucket, (bucket, bucket + 1)).tolist()
        descriptions = self._chart.book.descriptions
        for group in range(begin, end):
            low, high = self._low[group], self._high[group]
            number = self._description[group]
            text = descriptions[number] if number >= 0 or self._age is None else self._age[1]
            if self._with_values[group]:
                text = self._with_its_values(text, number, low, high)
            yield f"- {text}", self._rows[low:high]

    def _with_its_values(self, text: str, number: int, low: int, high: int) -> str:
        chart = self._chart
        members = self._members[low:high]
        shown = ", ".join(value_text(chart, i) for i in members[self._has_value[low:high]][-LAST_VALUES:].tolist())
        if not shown:
            return text
        unit = None if number < 0 else unit_text(chart, int(members[-1]))
        return f"{text}: {shown}" if unit is None else f"{text} ({unit}): {shown}"


def value_text(chart: Chart, event: int) -> str:
    """The value of an event that has one, as printed."""
    value = chart.value(event)
    if isinstance(value, float):
        return format_number(value)
    return one_line(value or "") if chart.corrected else str(value)


def unit_text(chart: Chart, event: int) -> str | None:
    """The unit of an event as printed, None where it has none."""
    unit = chart.units[event]
    return one_line(unit) or None if unit is not None and chart.corrected else unit
