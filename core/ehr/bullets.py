"""Ordinary events grouped into bullet lines: one line a description, per visit and category."""

import numpy as np

from core.ehr.chart import Chart
from core.ehr.codebook import one_line
from core.ehr.numbers import format_number, shortest
from core.ehr.record import EVENT_CATEGORIES

LAST_VALUES = 3
"""Values shown of an ordinary event, oldest first."""
N_CATEGORIES = len(EVENT_CATEGORIES)

Range = tuple[int, int]


class Bullets:
    """Bullet lines of ordinary events at one prediction time.

    Events of the same description share a line within a visit and category; lines stand in the order of their first
    event. Events outside of all visits share lines regardless of category. ``rows`` holds the source rows of all
    lines; a line's own are a range of it.
    """

    def __init__(self, chart: Chart, events: np.ndarray, rank: np.ndarray, age: tuple[int, str] | None = None):
        """Group ``events``.

        Args:
            chart: the subject.
            events: indices of the events, in record order.
            rank: position of each event's visit in the list of visits, -1 for none.
            age: an event that the paper's code overwrites, and the text that it puts there.
        """
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
        members = events[order]
        low, high, number = starts[place], ends[place], description[first][place]
        self.rows = chart.row[members]
        self._ranges: list[Range] = list(zip(low.tolist(), high.tolist()))
        bullets = chart.book.bullets
        self._texts = [bullets[n] if n >= 0 else f"- {age[1]}" for n in number.tolist()]  # type: ignore[index]
        self._add_values(chart, members, low, high, number)
        self._bounds = _bounds(bucket[first][place])

    def of(self, rank: int, category: int) -> tuple[list[str], list[Range]]:
        """Lines of one category of one visit, and the range of ``rows`` of each."""
        return self._lines(rank * N_CATEGORIES + category)

    def general(self) -> tuple[list[str], list[Range]]:
        """Lines of the events outside of all visits."""
        return self._lines(-1)

    def filled(self) -> dict[int, list[int]]:
        """Categories that have lines, by rank of visit."""
        found: dict[int, list[int]] = {}
        for bucket in self._bounds:
            if bucket >= 0:
                found.setdefault(bucket // N_CATEGORIES, []).append(bucket % N_CATEGORIES)
        return found

    def _lines(self, bucket: int) -> tuple[list[str], list[Range]]:
        begin, end = self._bounds.get(bucket, (0, 0))
        return self._texts[begin:end], self._ranges[begin:end]

    def _add_values(
        self, chart: Chart, members: np.ndarray, low: np.ndarray, high: np.ndarray, number: np.ndarray
    ) -> None:
        """Append the last values, after the unit of the last event, to the lines that have any."""
        has_value = chart.has_value[members]
        before = np.concatenate([[0], np.cumsum(has_value)])
        begin, end = before[low], before[high]
        some = np.flatnonzero(end > begin)
        if not len(some):
            return
        values = [value_text(chart, i) for i in members[has_value].tolist()]
        lasts = members[high[some] - 1].tolist()
        from_ = np.maximum(begin, end - LAST_VALUES)[some].tolist()
        for line, last, a, b, n in zip(some.tolist(), lasts, from_, end[some].tolist(), number[some].tolist()):
            shown = ", ".join(values[a:b])
            if shown:
                unit = None if n < 0 else unit_text(chart, last)
                self._texts[line] += f": {shown}" if unit is None else f" ({unit}): {shown}"


def _bounds(buckets: np.ndarray) -> dict[int, Range]:
    """Where each bucket begins and ends in a sorted array."""
    if not len(buckets):
        return {}
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    ends = np.append(starts[1:], len(buckets))
    return dict(zip(buckets[starts].tolist(), zip(starts.tolist(), ends.tolist())))


def value_text(chart: Chart, event: int) -> str:
    """The value of an event that has one, as printed."""
    number = chart.numbers[event]
    if number == number:
        return format_number(shortest(number))
    text = chart.texts[event] or ""
    return one_line(text) if chart.corrected else text


def unit_text(chart: Chart, event: int) -> str | None:
    """The unit of an event as printed, None where it has none."""
    unit = chart.units[event]
    return one_line(unit) or None if unit is not None and chart.corrected else unit
