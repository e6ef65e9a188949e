from datetime import datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ehr.meds_layout import EVENT_SCHEMA
from core.ehr.visits import rebuild_visits

DAY = datetime(2020, 1, 1)


def frame(rows: list[tuple]) -> pl.DataFrame:
    """Rows (time, code[, end[, visit_id]])."""
    names = ("time", "code", "end", "visit_id")
    return pl.DataFrame(
        [tuple(row) + (None,) * (4 - len(row)) for row in rows], {n: EVENT_SCHEMA[n] for n in names}, orient="row"
    )


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def test_events_go_to_the_visit_that_covers_them():
    events = frame(
        [
            (None, "Race/5"),
            (DAY, "MEDS_BIRTH"),
            (DAY, "Gender/M"),
            (at(10), "Visit/IP", at(60)),
            (at(10), "LOINC/1"),
            (at(59), "LOINC/2"),
            (at(61), "LOINC/3"),
            (at(200), "Visit/OP", at(201)),
            (at(200.5), "LOINC/4"),
        ]
    )
    assert rebuild_visits(events)["visit_id"].to_list() == [None, None, None, 1, 1, 1, None, 2, 2]


def test_birth_and_demographics_belong_to_no_visit_though_one_covers_them():
    events = frame([(at(0), "Visit/IP", at(60)), (at(1), "MEDS_BIRTH"), (at(1), "Gender/F"), (at(2), "LOINC/1")])
    assert rebuild_visits(events)["visit_id"].to_list() == [1, None, None, 1]


def test_the_visit_that_began_last_wins_and_the_outer_one_goes_on():
    events = frame([(at(0), "Visit/IP", at(100)), (at(10), "Visit/ER", at(20)), (at(15), "A"), (at(30), "B")])
    assert rebuild_visits(events)["visit_id"].to_list() == [1, 2, 2, 1]


def test_an_outpatient_visit_without_end_lasts_its_day_and_its_end_is_not_invented():
    rebuilt = rebuild_visits(frame([(at(9), "Visit/OP"), (at(20), "A"), (at(25), "B")]))
    assert rebuilt["visit_id"].to_list() == [1, 1, None]
    assert rebuilt["end"].to_list() == [None, None, None]


def test_an_inpatient_stay_without_end_goes_on_until_a_day_of_silence():
    rebuilt = rebuild_visits(frame([(at(9), "Visit/IP"), (at(30), "A"), (at(50), "B"), (at(90), "C")]))
    assert rebuilt["visit_id"].to_list() == [1, 1, 1, None]


def test_a_discharge_event_ends_the_stay_and_is_written():
    rebuilt = rebuild_visits(
        frame(
            [
                (at(1), "HOSPITAL_ADMISSION//ER"),
                (at(40), "LAB//1"),
                (at(200), "HOSPITAL_DISCHARGE//HOME"),
                (at(201), "X"),
            ]
        )
    )
    assert rebuilt["visit_id"].to_list() == [1, 1, 1, None]
    assert rebuilt["end"][0] == at(200)


def test_a_discharge_after_the_next_admission_is_not_the_first_stays():
    rebuilt = rebuild_visits(
        frame([(at(1), "Visit/IP"), (at(100), "Visit/IP"), (at(150), "HOSPITAL_DISCHARGE//HOME")])
    )
    assert rebuilt["end"].to_list() == [None, at(150), None]


def test_two_events_of_one_admission_share_its_discharge():
    rows = [
        (at(1), "Visit/IP"),
        (at(1), "HOSPITAL_ADMISSION//ER"),
        (at(90), "A"),
        (at(200), "HOSPITAL_DISCHARGE//HOME"),
    ]
    assert rebuild_visits(frame(rows))["end"].to_list() == [at(200), at(200), None, None]


def test_visits_that_are_named_end_at_the_discharge_of_their_id():
    """MIMIC-IV in MEDS: the emergency room and the stay after it carry one hadm_id, and no event has an end."""
    events = frame(
        [
            (at(1), "ED_REGISTRATION", None, 7),
            (at(4), "HOSPITAL_ADMISSION//EMERGENCY", None, 7),
            (at(5), "ED_OUT", None, 7),
            (at(6), "LAB//1", None, 7),
            (at(99), "HOSPITAL_DISCHARGE//HOME", None, 7),
            (at(500), "HOSPITAL_ADMISSION//ELECTIVE", None, 8),
            (at(600), "HOSPITAL_DISCHARGE//HOME", None, 9),
            (at(700), "ED_REGISTRATION", None, 10),
            (at(700), "ED_OUT", None, 10),  # gone as it began
        ]
    )
    filled = rebuild_visits(events)
    assert filled["end"].to_list() == [at(5), at(99), None, None, None, None, None, at(700), None]
    assert filled.drop("end").equals(events.drop("end"))


def test_datasets_that_name_their_visits_are_left_alone():
    events = frame([(at(1), "Visit/IP", at(2), 77), (at(1.5), "A")])
    assert rebuild_visits(events).equals(events)
    nothing = frame([(at(1), "A")])
    assert rebuild_visits(nothing).equals(nothing)
    assert rebuild_visits(frame([])).height == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["A", "B", "Visit/OP", "Visit/IP"]), st.integers(0, 90)))
)
def test_with_known_ends_it_equals_the_naive_rule(draws):
    rows = sorted(
        ((at(hour), code, at(hour + span) if code.startswith("Visit") else None) for hour, code, span in draws),
        key=lambda row: row[0],
    )
    events = frame(rows)
    visits = [(k, row) for k, row in enumerate(rows) if row[1].startswith("Visit")]
    number = {k: n + 1 for n, (k, _) in enumerate(visits)}
    expected = []
    for k, (time, code, _) in enumerate(rows):
        covering = [number[j] for j, (start, _, end) in visits if start <= time <= end]
        expected.append(number[k] if code.startswith("Visit") else (max(covering) if covering else None))
    assert rebuild_visits(events)["visit_id"].to_list() == expected


def test_thousands_of_visits_are_quick():
    rng = np.random.default_rng(0)
    hours = np.sort(rng.integers(0, 200_000, 50_000))
    events = frame([(at(int(hour)), "Visit/IP" if i % 20 == 0 else "A") for i, hour in enumerate(hours)])
    assert rebuild_visits(events)["visit_id"].max() == 2500
