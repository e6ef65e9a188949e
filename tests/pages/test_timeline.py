"""The timeline's marks: events of a day in one, but never what is known with what comes later."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from core.ehr.relative_time import Clock
from core.ehr.vocabulary import Vocabulary
from pages.shared.patients.timeline import daily, draw

AT = datetime(2020, 5, 2, 13, 41)


def test_a_mark_of_the_day_holds_no_event_after_the_as_of_time():
    times = [AT - timedelta(days=1), AT - timedelta(hours=2), AT, AT + timedelta(minutes=1), AT + timedelta(days=1)]
    rows = pl.DataFrame({"row": range(5), "time": times, "domain": "labs", "code": [f"LOINC/{i}" for i in range(5)]})
    marks = daily(rows, AT)
    assert [sorted(found) for found in marks["rows"].to_list()] == [[0], [1, 2], [3], [4]]
    assert (marks["time"] > AT).to_list() == [False, False, True, True] == marks["later"].to_list()


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(
    "before, after, days, anchor",
    [
        (100, 0, None, "right"),  # the line stands at the end of all that there is
        (100, 100, None, "center"),
        (0, 100, None, "left"),
        (100, 100, 30, "right"),  # a view of the past ends shortly after the line
    ],
)
def test_no_edge_cuts_the_caption_of_the_line(before, after, days, anchor, relative):
    times = [AT - timedelta(days=before), AT + timedelta(days=after)]
    rows = pl.DataFrame(
        {"row": range(2), "time": times, "end": [None, None], "domain": "labs", "code": ["LOINC/1", "LOINC/2"]},
        schema_overrides={"end": pl.Datetime("us")},
    )
    clock = Clock(relative, datetime(1960, 1, 1))
    chart = draw(daily(rows, AT), rows, ["labs"], AT, clock, Vocabulary({}, {}), days)
    assert [note.xanchor for note in chart.layout.annotations] == [anchor]


@pytest.mark.parametrize(("codes", "words"), [(6, ""), (7, "and 1 more code"), (8, "and 2 more codes")])
def test_what_is_not_listed_is_counted(codes, words):
    rows = pl.DataFrame(
        {
            "row": range(codes), "time": [AT] * codes, "end": [None] * codes, "domain": "labs",
            "code": [f"LOINC/{i}" for i in range(codes)],
        },
        schema_overrides={"end": pl.Datetime("us")},
    )  # fmt: skip
    chart = draw(daily(rows, AT), rows, ["labs"], AT, Clock(False, AT), Vocabulary({}, {}))
    (text,) = chart.data[0].hovertext
    assert text.split("<br>")[-1] == (words or "LOINC/5")
