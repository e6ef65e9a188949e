"""The visits of a record, most recent first, with their times relative to the prediction time."""

from datetime import datetime, timedelta

import numpy as np

from core.ehr.chart import NEVER, Chart

SHOWN_TIME = datetime(2024, 1, 1)
"""What every prediction time is shown as."""
_DAY = 86_400_000_000


class VisitList:
    """Visits begun by the prediction time, the most recent first.

    ``titles``, ``rows`` (source rows) and ``ids`` are parallel; ``rank`` maps a visit's number to its position, -1 for
    visits that are not in the list.
    """

    def __init__(self, chart: Chart, openings: np.ndarray, now: int):
        """Order the visits opened by the events ``openings`` (indices in record order)."""
        by_visit: dict[int, int] = {}  # of several events of a visit the last one counts, in the first one's place
        for i in openings.tolist():
            number = int(chart.visit[i])
            if chart.corrected and number in by_visit and chart.tables[i] == "visit_detail":
                continue  # a part of the visit, for instance its time on a ward
            # Without an id the paper makes one visit of them all, which takes every event without a visit.
            by_visit[-i - 1 if chart.corrected and number == 0 else number] = i
        numbers, events = list(by_visit), list(by_visit.values())
        keys = [(int(chart.time[i]), _sort_end(int(chart.end[i]), now, chart.corrected)) for i in events]
        order = sorted(range(len(keys)), key=keys.__getitem__, reverse=True)
        described = chart.book.description_id[chart.code[events]].tolist() if events else []
        self.titles = [
            f"{chart.book.descriptions[described[k]]} on {visit_time(now, keys[k][0], int(chart.end[events[k]]))}"
            for k in order
        ]
        self.rows = [(int(chart.row[events[k]]),) for k in order]
        self.ids = [chart.visit_ids[numbers[k]] if numbers[k] >= 0 else None for k in order]
        self.rank = np.full(len(chart.visit_ids), -1)
        for rank, k in enumerate(order):
            if numbers[k] >= 0:
                self.rank[numbers[k]] = rank


def _sort_end(end: int, now: int, corrected: bool) -> int:
    # A visit without end sorts as the latest of those that began together. The paper orders by the end even while it
    # lies in the future; under `corrected` a visit that is still open has no end yet.
    return NEVER if corrected and end > now else end


def visit_time(now: int, start: int, end: int) -> str:
    """Say when a visit began and how long it took, never when a current one will end.

    Args:
        now: prediction time, in microseconds since 1970 like the others.
        start: begin of the visit.
        end: its end, ``NEVER`` where there is none.
    """
    days = (now - start) // _DAY
    try:
        date = (SHOWN_TIME - timedelta(microseconds=now - start)).date().isoformat()
    except OverflowError:  # more than 2,000 years back: a broken date in the source
        date = datetime.min.date().isoformat()
    before = "1 day before prediction time" if days == 1 else f"{days} days before prediction time"
    if end == NEVER:
        stay = ""
    elif end > now:
        stay = ", current visit"
    else:
        length = (end - start) // _DAY
        stay = f", duration: {length} day{'s' if length > 1 else ''}" if length >= 1 else ""
    return f"[{date}]({date}) ({before}{stay})"
