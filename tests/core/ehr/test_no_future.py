"""Nothing after the prediction time reaches the text, whatever it is."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ehr.leakage import find_leaks
from core.ehr.markdown import SerializationOptions, serialize
from tests.core.ehr.charts import CODES, SCHEMA, VOCABULARY, charts, person

LATER_CODES = [code for code in CODES if code != "SNOMED/3950001"]  # a birth to come makes any time one before birth
OPTIONS = [
    SerializationOptions(profile, strategy, values=values)
    for profile in ("paper", "corrected")
    for strategy in ("markdown", "recent_codes")
    for values in (3, 0)
]
futures = st.lists(
    st.tuples(
        st.integers(1, 10**6),
        st.sampled_from(LATER_CODES),
        st.floats(0, 500, width=32),
        st.sampled_from([None, 1, 2, 9]),
    ),
    max_size=15,
)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o.profile}-{o.strategy}-{o.values}")
@given(events=charts(codes=LATER_CODES), hours=st.integers(0, 480), later=futures)
@settings(max_examples=30, deadline=None)
def test_events_after_the_time_never_change_the_text(options, events, hours, later):
    at = max(datetime(2000, 1, 1) + timedelta(hours=hours), events["time"][0])
    past = events.filter(pl.col("time") <= at)
    new = [
        {"time": at + timedelta(minutes=m), "code": code, "numeric_value": value, "visit_id": visit}
        for m, code, value, visit in sorted(later, key=lambda event: event[0])
    ]
    added = pl.DataFrame([{name: event.get(name) for name in SCHEMA} for event in new], schema=SCHEMA)
    other = pl.concat([past, added.with_columns(row=pl.int_range(past.height, past.height + added.height))])
    assert serialize(other, at, VOCABULARY, options).text == serialize(events, at, VOCABULARY, options).text


@pytest.mark.parametrize("strategy", ["markdown", "recent_codes"])
@given(
    events=charts(codes=LATER_CODES),
    hours=st.integers(0, 480),
    ends=st.lists(st.integers(1, 10**6), min_size=1, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_when_current_visits_end_never_changes_the_text(strategy, events, hours, ends):
    at = max(datetime(2000, 1, 1) + timedelta(hours=hours), events["time"][0])
    options = SerializationOptions("corrected", strategy)
    moved = [
        at + timedelta(minutes=ends[i % len(ends)]) if end is not None and end > at else end
        for i, end in enumerate(events["end"].to_list())
    ]
    other = events.with_columns(pl.Series("end", moved, dtype=pl.Datetime("us")))
    record = serialize(other, at, VOCABULARY, options)
    assert record.text == serialize(events, at, VOCABULARY, options).text
    assert not find_leaks(other, at, record, None, VOCABULARY)


@pytest.mark.parametrize("profile", ["paper", "corrected"])
@given(minutes=st.integers(1, 10**7))
@settings(max_examples=40, deadline=None)
def test_the_current_visit_shows_no_duration_whenever_it_ends(profile, minutes):
    at = datetime(2000, 1, 5)
    begin = datetime(2000, 1, 2)
    events = person({"time": begin, "code": "Visit/IP", "visit_id": 1, "end": at + timedelta(minutes=minutes)})
    text = serialize(events, at, VOCABULARY, SerializationOptions(profile)).text
    assert "duration" not in text
    assert text.count("(3 days before prediction time, current visit)") == 2
