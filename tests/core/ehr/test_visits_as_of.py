"""Rebuilt visits of a record say nothing of what came after the prediction time."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from core.ehr.markdown import serialize
from core.ehr.store import open_dataset
from core.ehr.visits import REBUILT, rebuild_visits, visits_as_of
from tests.core.ehr.charts import VOCABULARY

ADMITTED = datetime(2020, 1, 1, 9)
AT = ADMITTED + timedelta(days=4)


def write(folder, discharge: datetime | None, later: bool):
    """A MEDS dataset that names no visits: one stay, an event after a gap of two days, perhaps more after ``AT``."""
    rows = [
        (datetime(1950, 1, 1), "MEDS_BIRTH"),
        (ADMITTED, "Visit/IP"),
        (ADMITTED + timedelta(hours=2), "SNOMED/233604007"),
        (ADMITTED + timedelta(days=3), "SNOMED/3"),
    ]
    if discharge:
        rows.append((discharge, "HOSPITAL_DISCHARGE//HOME"))
    if later:
        rows.append((AT + timedelta(hours=1), "SNOMED/3"))
    rows.sort(key=lambda row: row[0])
    (folder / "data").mkdir(parents=True)
    frame = pl.DataFrame(rows, schema={"time": pl.Datetime("us"), "code": pl.String}, orient="row")
    frame.select(
        pl.lit(1, pl.Int64).alias("subject_id"),
        "time",
        "code",
        pl.lit(None, pl.Float32).alias("numeric_value"),
    ).write_parquet(folder / "data" / "0.parquet")
    return open_dataset(folder).events(1)


@pytest.mark.parametrize("profile", ["corrected", "paper"])
@pytest.mark.parametrize(
    ("discharge", "later"),
    [(AT + timedelta(days=1), False), (AT + timedelta(days=9), True), (None, True)],
)
def test_what_comes_after_the_prediction_time_changes_nothing(tmp_path, profile, discharge, later):
    from core.ehr.record import SerializationOptions

    options = SerializationOptions(profile=profile)
    known = write(tmp_path / "known", None, False)
    more = write(tmp_path / "more", discharge, later)
    assert REBUILT in known.columns
    assert serialize(more, AT, VOCABULARY, options).text == serialize(known, AT, VOCABULARY, options).text


def test_a_discharge_before_the_prediction_time_still_counts(tmp_path):
    ended = write(tmp_path / "ended", ADMITTED + timedelta(days=3, hours=1), False)
    text = serialize(ended, AT, VOCABULARY).text
    assert "duration: 3 days" in text


def test_the_record_as_of_a_time_is_what_there_was_up_to_and_at_that_time(tmp_path):
    """Cut at any event: nothing later, nothing lost, and visits as if the dataset had ended there."""
    events = write(tmp_path / "more", ADMITTED + timedelta(days=3, hours=1), True)
    for at in events["time"].to_list():
        found = visits_as_of(events, at)
        assert found["row"].to_list() == events.filter(pl.col("time") <= at)["row"].to_list()
        bare = events.filter(pl.col("time") <= at).with_columns(
            visit_id=pl.lit(None, pl.Int64), end=pl.lit(None, pl.Datetime("us"))
        )
        assert found.select("visit_id", "end").equals(rebuild_visits(bare).select("visit_id", "end"))
