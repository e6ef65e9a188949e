from collections import Counter
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ehr.importers import cells
from core.ehr.importers.cells import parse_integers, parse_times, split_values, typed_events


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012-03-01 07:10:00", datetime(2012, 3, 1, 7, 10)),
        ("2012-03-01T07:10:00", datetime(2012, 3, 1, 7, 10)),
        ("2012-03-01T07:10:00Z", datetime(2012, 3, 1, 7, 10)),
        ("2012-03-01T07:10", datetime(2012, 3, 1, 7, 10)),
        ("2012-03-01 07:10:00 UTC", datetime(2012, 3, 1, 7, 10)),
        ("2012-03-01 07:10:00+00", datetime(2012, 3, 1, 7, 10)),
        ("2012-03-01 07:10:00.250 -05:30", datetime(2012, 3, 1, 7, 10, 0, 250_000)),
        ("2012-03-01T07:10:00+0100", datetime(2012, 3, 1, 7, 10)),
        ("2012-03-01 07:10:00.250", datetime(2012, 3, 1, 7, 10, 0, 250_000)),
        ("2012-03-01 07:10", datetime(2012, 3, 1, 7, 10)),
        (" 2012-03-01 ", datetime(2012, 3, 1)),
        ("20120301", datetime(2012, 3, 1)),
        ("0001-01-01 00:00:00", datetime(1, 1, 1)),
        ("2012-02-30 00:00:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times(text, expected):
    series = pl.Series("t", ["2000-01-01 00:00:00", text], dtype=pl.String)
    assert parse_times(series).to_list() == [datetime(2000, 1, 1), expected]


def test_integers_also_as_pandas_writes_them_beside_gaps():
    texts = ["12", "12.0", " 7 ", "12.5", "x", "", None, "9007199254740993", "inf"]
    assert parse_integers(pl.Series("i", texts)).to_list() == [
        12,
        12,
        7,
        None,
        None,
        None,
        None,
        9007199254740993,
        None,
    ]
    assert parse_integers(pl.Series("i", [1.0, None, 2.5])).to_list() == [1, None, None]


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_numbers_become_the_nearest_float32(value):
    number, text = split_values(pl.Series("v", [repr(float(value))]), Counter())
    assert text.to_list() == [None]
    assert np.float32(number[0]) == np.float32(value)


def test_numbers_and_texts_are_kept_apart_and_what_is_not_finite_is_counted():
    repaired: Counter[str] = Counter()
    number, text = split_values(
        pl.Series("v", ["128.0", "Former smoker", "nan", "-inf", "1e39", " 12.35 ", "", "1,000", None]), repaired
    )
    assert number.to_list() == [128.0, None, None, None, None, np.float32(12.35), None, None, None]
    assert text.to_list() == [None, "Former smoker", None, None, None, None, None, "1,000", None]
    assert repaired == {cells.NOT_FINITE: 3}


def test_each_bad_row_is_rejected_once_with_its_reason():
    frame = pl.DataFrame(
        {
            "subject_id": ["1", "x", "1", "1", "1", "2"],
            "start": [
                "2012-03-01 07:10:00",
                "2012-03-01 07:10:00",
                "?",
                "9999-12-31 00:00:00",
                "2012-03-01",
                "0001-01-01",
            ],
            "end": ["2012-03-02", None, None, None, "2011-01-01", None],
            "code": ["A", "A", "", "A", None, "A"],
        }
    )
    rejected: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    events = typed_events(frame, rejected, repaired)
    assert events["code"].to_list() == ["A"]
    assert events["end"].to_list() == [datetime(2012, 3, 2)]
    assert rejected == {cells.NO_SUBJECT: 1, cells.NO_TIME: 1, cells.BAD_TIME: 2, cells.NO_CODE: 1}
    assert not repaired


def test_an_end_before_the_start_or_at_the_end_of_time_is_dropped_and_counted():
    frame = pl.DataFrame(
        {
            "subject_id": ["1"] * 3,
            "start": ["2012-03-01 07:10:00"] * 3,
            "end": ["2012-02-01 00:00:00", "9999-12-31 00:00:00", "2012-03-01 07:10:00"],
            "code": ["A"] * 3,
        }
    )
    repaired: Counter[str] = Counter()
    events = typed_events(frame, Counter(), repaired)
    assert events["end"].to_list() == [None, None, datetime(2012, 3, 1, 7, 10)]
    assert repaired == {cells.BAD_END: 2}
