"""Where tasks are not defined: against the labels, which exist only where they are, and by hand."""

from collections import defaultdict
from datetime import datetime

import polars as pl
import pytest

from core.ehr.demo import generate_demo
from core.ehr.labels import compute_labels
from core.ehr.store import open_dataset
from core.ehr.task_scope import outside_definitions
from core.ehr.vocabulary import Vocabulary

STAYS = ("guo_los", "guo_icu", "guo_readmission")
BY_STAY = (*STAYS, "new_hypertension", "new_hyperlipidemia", "new_pancan", "new_celiac", "new_lupus", "new_acutemi")
SCHEMA = {"time": pl.Datetime("us"), "code": pl.String, "end": pl.Datetime("us"), "table": pl.String}


def record(*rows: tuple) -> pl.DataFrame:
    """Events from (time, code, end, table) in ISO text; what is left out is null."""
    padded = [(*row, *[None] * (4 - len(row))) for row in rows]
    times = [(at(time), code, end and at(end), table) for time, code, end, table in padded]
    return pl.DataFrame(times, schema=SCHEMA, orient="row").sort("time")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def outside(events: pl.DataFrame, time: str, **more) -> dict[str, str]:
    found = outside_definitions(events, at(time), Vocabulary(), **more)
    return {task: why.text(lambda day: f"{day:%Y-%m-%d}") for task, why in found.items()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory):
    return open_dataset(generate_demo(tmp_path_factory.mktemp("scope") / "demo", subjects=150, seed=11))


@pytest.fixture(scope="module")
def computed(demo):
    return compute_labels(demo)


def test_no_task_is_outside_where_it_has_a_label(demo, computed):
    labelled: dict[tuple[int, datetime], set[str]] = defaultdict(set)
    for task in BY_STAY:
        for subject, time in computed.labels[task].select("subject_id", "prediction_time").iter_rows():
            labelled[subject, time].add(task)
    for subject, time in list(labelled)[::4]:
        outside = outside_definitions(demo.events(subject), time, demo.vocabulary)
        assert not outside.keys() & labelled[subject, time], (subject, time)
    assert len(labelled) > 400


@pytest.fixture(scope="module")
def evenings(demo) -> dict[tuple[int, datetime], set[str]]:
    """Tasks outside, on every evening but the first of the days that have an event, of 30 subjects."""
    found = {}
    for subject in demo.index.subject_ids[:30].tolist():
        events = demo.events(subject)
        for day in events["time"].drop_nulls().dt.date().unique().sort()[1:].to_list():
            evening = datetime(day.year, day.month, day.day, 23, 59)
            found[subject, evening] = set(outside_definitions(events, evening, demo.vocabulary))
    return found


@pytest.mark.parametrize("task", BY_STAY)
def test_on_evenings_without_label_the_task_is_outside(demo, computed, evenings, task):
    labelled = set(computed.labels[task].select("subject_id", "prediction_time").iter_rows())
    wrong = [evening for evening, outside in evenings.items() if (task in outside) == (evening in labelled)]
    assert len(evenings) > 300 and not wrong


def test_outpatients_are_asked_nothing_about_a_stay():
    found = outside(record(("2020-01-02", "Visit/OP", "2020-01-02T12:00")), "2020-01-02T23:59")
    assert found["guo_los"] == found["guo_icu"] == "no hospital stay is open"
    assert found["guo_readmission"] == found["new_lupus"] == "asked at discharge, and there was none"
    assert set(found) == set(BY_STAY)  # laboratory results and reports are asked about at any time


def test_a_stay_from_its_first_day_to_the_evening_of_its_last():
    stay = record(("2020-01-02T10:00", "Visit/IP", "2020-01-12T10:00"))
    assert set(outside(stay, "2020-01-02T23:59")) == set(BY_STAY) - {"guo_los", "guo_icu"}
    assert outside(stay, "2020-01-04T23:59")["guo_los"] == "asked at admission, which was 2020-01-02"
    assert outside(stay, "2020-01-10T12:00")["guo_los"] == "7 days have passed already, since 2020-01-02"
    assert outside(stay, "2020-01-10T12:00")["guo_readmission"] == "asked at discharge, and the stay is open"
    assert set(outside(stay, "2020-01-12T23:59")) == {"guo_los", "guo_icu"}
    assert outside(stay, "2020-02-01T23:59")["new_celiac"] == "asked at discharge, which was 2020-01-12"


def test_somebody_who_leaves_in_the_last_minute_of_the_day_has_left():
    stay = record(("2020-01-02T10:00", "Visit/IP", "2020-01-03T23:59:30"))
    assert "guo_readmission" not in outside(stay, "2020-01-03T23:59")


def test_a_known_diagnosis_and_nothing_of_the_future():
    rows = record(
        ("2020-01-02", "Visit/IP", "2020-01-03T10:00"),
        ("2020-01-02T11:00", "ICD10CM/I10"),
        ("2020-01-03T23:59", "ICD10CM/I10"),  # coded again: the first time counts
        ("2020-01-04", "ICD10CM/M32.9"),
    )
    assert outside(rows, "2020-01-03T23:59") == {
        "new_hypertension": "diagnosed already, 2020-01-02",
        "guo_los": "no hospital stay is open",
        "guo_icu": "no hospital stay is open",
    }
    assert "new_lupus" in outside(rows, "2020-01-04T12:00")
    assert "new_hypertension" not in outside(rows, "2020-01-02T11:00") or "asked" in str(
        outside(rows, "2020-01-02T11:00")["new_hypertension"]
    )  # coded at that very time: not before it


def test_intensive_care_on_the_day_of_admission_or_since():
    stay = ("2020-01-02T10:00", "Visit/IP", "2020-01-12T10:00")
    early = record(stay, ("2020-01-02T08:00", "CARE_SITE/ICU", "2020-01-02T09:00"))
    assert outside(early, "2020-01-02T23:59")["guo_icu"] == "in intensive care already, 2020-01-02"
    before = record(stay, ("2019-12-30T08:00", "CARE_SITE/ICU", "2019-12-31T09:00"))
    assert "guo_icu" not in outside(before, "2020-01-02T23:59")


def test_a_stay_without_end_lasts_until_a_day_without_event():
    events = [(f"2020-01-0{day}T12:00", "LOINC/2951-2") for day in range(2, 6)]
    stay = record(("2020-01-02T10:00", "Visit/IP"), *events, ("2020-03-01", "Visit/OP"))
    assert outside(stay, "2020-01-05T20:00")["guo_readmission"] == "asked at discharge, and the stay is open"
    assert outside(stay, "2020-03-01T12:00")["guo_readmission"].endswith("which was 2020-01-05")


def test_admission_and_discharge_events_are_a_stay():
    stay = record(("2020-01-02T10:00", "HOSPITAL_ADMISSION//EW"), ("2020-01-05T10:00", "HOSPITAL_DISCHARGE//HOME"))
    assert "guo_los" not in outside(stay, "2020-01-02T23:59") and "guo_los" in outside(stay, "2020-01-05T23:59")
    assert "guo_readmission" not in outside(stay, "2020-01-05T23:59")
    again = record(("2020-02-02T10:00", "HOSPITAL_ADMISSION//EW"), ("2020-02-05T10:00", "HOSPITAL_DISCHARGE//HOME"))
    between = outside(pl.concat([stay, again]), "2020-01-20T23:59")
    assert between["guo_los"] == "no hospital stay is open"
    assert between["guo_readmission"] == "asked at discharge, which was 2020-01-05"


def test_rows_of_visit_detail_are_no_stay_and_labels_have_the_last_word():
    rows = record(("2020-01-02T10:00", "Visit/IP", "2020-01-05T10:00", "visit_detail"))
    assert "guo_los" in outside(rows, "2020-01-02T23:59")
    assert "guo_los" not in outside(rows, "2020-01-02T23:59", labelled=["guo_los"])


def test_a_record_without_times_has_no_stay():
    assert set(outside(record(), "2020-01-01")) == set(BY_STAY)
