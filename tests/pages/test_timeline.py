"""The timeline's marks: events of a day in one, but never what is known with what comes later."""

from datetime import datetime, timedelta

import polars as pl

from pages.shared.patients.timeline import daily

AT = datetime(2020, 5, 2, 13, 41)


def test_a_mark_of_the_day_holds_no_event_after_the_as_of_time():
    times = [AT - timedelta(days=1), AT - timedelta(hours=2), AT, AT + timedelta(minutes=1), AT + timedelta(days=1)]
    rows = pl.DataFrame({"row": range(5), "time": times, "domain": "labs", "code": [f"LOINC/{i}" for i in range(5)]})
    marks = daily(rows, AT)
    assert [sorted(found) for found in marks["rows"].to_list()] == [[0], [1, 2], [3], [4]]
    assert (marks["time"] > AT).to_list() == [False, False, True, True] == marks["later"].to_list()
