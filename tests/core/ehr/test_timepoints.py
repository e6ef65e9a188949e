"""The subject's own times: labels, visit starts and the end of the record, newest first, each once."""

from datetime import datetime
from types import SimpleNamespace

import polars as pl

from core.ehr.store import open_dataset
from core.ehr.timepoints import END, LABEL, VISIT, labels_by_subject, labels_of, tasks_labelled_at, timepoints
from tests.pages import cohort


def times_of(tmp_path, subject):
    dataset = open_dataset(cohort.write(tmp_path / "cohort"))
    labels = labels_of(labels_by_subject(dataset), subject)
    return timepoints(dataset.events(subject), labels, dataset.vocabulary)


def test_labels_visits_and_end(tmp_path):
    found = times_of(tmp_path, cohort.RICH)
    assert [time.time for time in found] == sorted({time.time for time in found}, reverse=True)
    assert found[0].time == cohort.AT
    assert (found[0].kind, found[0].tasks) == (LABEL, ("guo_icu",))
    assert (found[1].time, found[1].kind) == (datetime(2015, 3, 3, 10), END)
    assert (found[2].time, found[2].kind, found[2].note) == (datetime(2015, 3, 1, 10), VISIT, "Inpatient Visit")
    assert [time.kind for time in found].count(VISIT) == 6


def test_no_time_at_all(tmp_path):
    assert times_of(tmp_path, cohort.STATIC) == []


def test_a_dataset_without_labels_has_none_of_anybody():
    labels = labels_by_subject(SimpleNamespace(tasks=lambda: []))
    assert labels.height == labels_of(labels, 3).height == 0 and tasks_labelled_at(labels, datetime(2020, 1, 1)) == ()


def test_tasks_with_a_label_at_a_time_are_those_of_that_very_time():
    rows = [("b", 1), ("a", 1), ("b", 1), ("c", 2)]
    labels = pl.DataFrame(
        {"task": [task for task, _ in rows], "prediction_time": [datetime(2020, 1, d) for _, d in rows]}
    )
    assert tasks_labelled_at(labels, datetime(2020, 1, 1)) == ("a", "b")
    assert tasks_labelled_at(labels, datetime(2020, 1, 2)) == ("c",)


def test_one_time_has_all_its_notes(tmp_path):
    found = times_of(tmp_path, cohort.TWO)
    assert len(found) == 1
    assert found[0].note == "Outpatient Visit, end of the record"


def test_slicing_labels_is_filtering_them():
    labels = pl.DataFrame({"subject_id": [1, 1, 3, 3, 3, 7], "task": list("abcdef")})
    for subject in range(9):
        assert labels_of(labels, subject).equals(labels.filter(pl.col("subject_id") == subject))
