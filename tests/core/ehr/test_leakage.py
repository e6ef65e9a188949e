"""The leakage sentinel: each rule fires on its leak and stays silent without."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from core.ehr.leakage import RULES, find_leaks
from core.ehr.markdown import SerializationOptions, serialize
from core.ehr.record import Record
from core.ehr.tasks import TASK_BY_ID, TASKS
from core.ehr.vocabulary import Vocabulary
from core.errors import InputError
from tests.core.ehr.charts import VOCABULARY, person, sample

ADMITTED = datetime(2000, 1, 1, 10)
AT = datetime(2000, 1, 1, 23, 59)
STAY = {"time": ADMITTED, "code": "Visit/IP", "visit_id": 1, "end": datetime(2000, 1, 9)}
TREE = Vocabulary(
    VOCABULARY.descriptions
    | {"SNOMED/38341003": "Hypertensive disorder", "LOINC/777-3": "Platelets", "CARE_SITE/ICU": "ICU"},
    {"SNOMED/38341003": ("SNOMED/59621000",)},
)


def leaks(events, task=None, at=AT, record=None, **options):
    record = record or serialize(events, at, TREE, SerializationOptions(**options))
    return find_leaks(events, at, record, task, TREE)


def rules(*args, **options):
    return [(finding.rule, finding.severity, finding.rows) for finding in leaks(*args, **options)]


def edited(record: Record, old: str, new: str) -> Record:
    texts = tuple(text.replace(old, new) for text in record.texts)
    return replace(record, text="\n".join(texts), texts=texts)


@pytest.mark.parametrize("task", [None, *TASK_BY_ID])
@pytest.mark.parametrize("profile", ["paper", "corrected"])
def test_a_clean_record_has_no_findings(task, profile):
    events = person({"time": datetime(1999, 1, 1), "code": "SNOMED/233604007"})
    assert rules(events, task, profile=profile) == []


@pytest.mark.parametrize("task", [task.id for task in TASKS])
def test_the_sample_has_no_errors_of_ours(shared_data, task):
    subjects, vocabulary = sample(shared_data)
    for events in subjects.values():
        at = events["time"][len(events) // 2]
        record = serialize(events, at, vocabulary)
        found = {finding.rule for finding in find_leaks(events, at, record, task, vocabulary)}
        assert not found & {"event-after-prediction-time", "current-visit-end"}


def test_events_after_the_time():
    events = person({"time": AT + timedelta(minutes=1), "code": "SNOMED/233604007"})
    late = serialize(events, AT + timedelta(days=1), TREE)
    assert rules(events, record=late) == [("event-after-prediction-time", "error", (4,))]


def test_the_leak_of_the_first_paper_version_is_found():
    events = person(STAY)
    record = serialize(events, AT, TREE)
    assert "current visit" in record.text
    leaky = edited(record, "current visit", "duration: 7 days")
    assert rules(events, record=leaky) == [("current-visit-end", "error", (4,))] * 2
    dated = edited(record, "current visit", "until [2024-01-09](2024-01-09)")
    assert rules(events, record=dated) == [("current-visit-end", "error", (4,))] * 2


def test_a_past_visit_may_show_its_duration():
    events = person(STAY)
    assert rules(events, at=datetime(2000, 2, 1)) == []


def test_order_by_future_ends_is_a_warning_under_paper_only():
    events = person(STAY, STAY | {"visit_id": 2, "end": datetime(2000, 1, 5)})
    assert rules(events, profile="paper") == [("current-visit-end", "warning", (4, 5))]
    assert rules(events, profile="corrected") == []


def test_a_diagnosis_already_there():
    events = person({"time": datetime(1999, 5, 1), "code": "SNOMED/38341003"})
    [finding] = leaks(events, "new_hypertension")
    assert (finding.rule, finding.rows) == ("outcome-code-at-prediction-time", (4,))
    assert "1999-05-01" in finding.message
    assert leaks(events, "new_lupus") == []
    assert leaks(events, TASK_BY_ID["new_hypertension"]) == [finding]


def test_intensive_care_in_the_current_stay():
    ward = {"time": ADMITTED, "code": "Visit/ICU", "visit_id": 2, "end": datetime(2000, 1, 3)}
    assert ("outcome-code-at-prediction-time", "error", (5,)) in rules(person(STAY, ward), "guo_icu")
    earlier = person({"time": datetime(1998, 1, 1), "code": "Visit/ICU", "end": datetime(1998, 1, 3)}, STAY)
    assert rules(earlier, "guo_icu") == []


def test_an_open_stay_at_a_readmission_time():
    assert rules(person(STAY), "guo_readmission") == [("outcome-code-at-prediction-time", "error", (4,))]
    assert rules(person(STAY), "guo_readmission", at=datetime(2000, 1, 9, 23, 59)) == []


def test_the_result_itself():
    result = {"time": AT, "code": "LOINC/777-3", "numeric_value": 90.0}
    earlier = result | {"time": AT - timedelta(hours=3)}
    assert rules(person(earlier, result), "lab_thrombocytopenia") == [("same-lab-at-label-time", "error", (5,))]
    assert rules(person(earlier), "lab_thrombocytopenia") == []
    assert rules(person(earlier, result), "lab_anemia") == []


def test_diagnoses_of_the_current_stay_at_admission():
    first = {"time": ADMITTED, "code": "SNOMED/233604007", "visit_id": 1, "table": "condition_occurrence"}
    events = person(STAY, first, first | {"end": STAY["end"]}, first | {"table": "observation"})
    assert rules(events, "guo_los") == [
        ("discharge-diagnosis-at-admission", "error", (6,)),
        ("discharge-diagnosis-at-admission", "warning", (5,)),
    ]
    assert rules(events, "new_lupus") == []


def test_what_the_text_does_not_show_is_no_leak():
    result = {"time": AT, "code": "LOINC/777-3", "numeric_value": 90.0}
    assert rules(person(result), "lab_thrombocytopenia", drop=("lab_results",)) == []


def test_unknown_task_and_rule_names():
    with pytest.raises(InputError, match="unknown task"):
        leaks(person(), "guo_none")
    assert all(text for text in RULES.values())
