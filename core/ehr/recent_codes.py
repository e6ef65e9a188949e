"""The strategy ``recent_codes``: each code once, the newest first (the paper's later version, reference 1.6).

One line a code: its description, the unit and the value of its newest event. Of events at the same time the
first in the record counts.
"""

from datetime import datetime

import numpy as np

from core.ehr.bullets import unit_text, value_text
from core.ehr.chart import Chart
from core.ehr.codebook import EVENT, VISIT
from core.ehr.omissions import omitted_rows
from core.ehr.record import Record, SerializationOptions


def write_recent_codes(chart: Chart, at: datetime, options: SerializationOptions) -> Record:
    """Write the list of codes as it stood at ``at``. Raises :class:`InputError` for a time before birth."""
    inside = chart.cut(at, options.lookback)
    kind = chart.kind[inside]
    shown = inside[(kind == EVENT) | (kind == VISIT)]
    newest = shown[np.argsort(-chart.time[shown], kind="stable")]
    _, first = np.unique(chart.code[newest], return_index=True)
    sections, texts, rows, visits = [], [], [], []
    for i in newest[np.sort(first)].tolist():
        number = int(chart.code[i])
        section = chart.book.code_section(number)
        if not options.shows(section):
            continue
        sections.append(section)
        texts.append(_line(chart, i, chart.book.descriptions[chart.book.description_id[number]]))
        rows.append(int(chart.row[i]))
        visits.append(chart.visit_ids[chart.visit[i]])
    return Record(
        text="\n".join(texts),
        at=at,
        options=options,
        texts=tuple(texts),
        section_of=tuple(sections),
        visit_of=tuple(visits),
        row_ranges=tuple((k, k + 1) for k in range(len(rows))),
        row_pool=np.array(rows, np.int64),
        omitted_rows=omitted_rows(chart, inside, kind),
    )


def _line(chart: Chart, event: int, description: str) -> str:
    if not chart.has_value[event]:
        return description
    value = value_text(chart, event)
    unit = unit_text(chart, event) if chart.number(event) is not None else None  # the paper: texts carry no unit
    return f"{description}: {value}" if unit is None else f"{description} ({unit}): {value}"
