"""Compare: what did not change between two times is equal, though the record shifts every date to its own time."""

from datetime import timedelta
from types import SimpleNamespace

from core.ehr.markdown import SerializationOptions, serialize
from core.ehr.relative_time import Clock
from core.ehr.store import open_dataset
from pages.shared import difference
from pages.shared.patients import compare
from tests.pages import cohort


def texts_at(folder, at, relative=False):
    dataset = open_dataset(folder)
    events = dataset.events(cohort.RICH)
    clock = Clock(relative, events["time"].min())
    patient = SimpleNamespace(events=events, clock=clock)
    return compare._texts(serialize(events, at, dataset.vocabulary, SerializationOptions()), patient)


def test_visits_of_the_past_are_equal_at_two_times(cohort_folder):
    early, late = (
        texts_at(cohort_folder, cohort.AT + timedelta(days=days, hours=hours)) for days, hours in ((40, 5), (90, 0))
    )
    visits = [[line for line in texts if "Inpatient Visit on" in line] for texts in (early, late)]
    assert visits[0] == visits[1]
    assert "- Inpatient Visit on 2014-03-01 (duration: 4 days)" in visits[0]


def test_no_calendar_date_in_relative_mode(cohort_folder):
    assert not any("201" in line for line in texts_at(cohort_folder, cohort.AT, relative=True))


def test_counts_are_those_of_a_naive_count():
    first, second = ["a", "", "b", "c"], ["a", "b", "d", "", "e"]
    assert compare.counts(first, second) == (2, 1, 2)
    assert compare.counts(first, first) == (0, 0, 3)
    assert compare.counts([], second) == (4, 0, 0)


def test_a_difference_keeps_signs_apart_from_the_dashes_of_a_list():
    found = difference.lines(["# R", "- pulse: 80", "- BMI: 30"], ["# R", "- pulse: 90", "- BMI: 30"], 1)
    assert found[0].startswith("@@")
    assert found[1:] == ["  # R", "- - pulse: 80", "+ - pulse: 90", "  - BMI: 30"]
