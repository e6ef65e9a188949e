"""The task table, the instructions and the label decoding."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ehr.tasks import (
    CHEXPERT_LABELS,
    GROUPS,
    TASK_BY_ID,
    TASKS,
    binary_labels,
    decode_findings,
    get_task,
)
from core.errors import InputError


def test_there_are_15_tasks_in_four_groups():
    assert len(TASKS) == 15 == len(TASK_BY_ID)
    assert [sum(task.group == group for task in TASKS) for group in GROUPS] == [3, 5, 6, 1]
    assert [task.group for task in TASKS] == sorted((t.group for t in TASKS), key=list(GROUPS).index)


def test_instructions_are_the_papers():
    assert get_task("guo_los").instruction == (
        "Given a patient's electronic healthcare record (EHR) in Markdown format, retrieve relevant passages that "
        "answer the query: will the patient stay in the hospital for more than 7 days"
    )
    assert get_task("new_acutemi").instruction_for("recent_codes") == (
        "Given a patient's electronic healthcare record (EHR) as a newline separated list, retrieve relevant passages "
        "that answer the query: has the patient an acute myocardial infarction"
    )
    assert get_task("lab_anemia").query == "has the patient anemia"


def test_horizons_read_as_words():
    assert get_task("guo_readmission").horizon == timedelta(days=30)
    assert [get_task(t).horizon_text for t in ("guo_los", "guo_readmission", "chexpert", "new_lupus")] == [
        "until discharge",
        "30 days",
        "24 hours",
        "365 days",
    ]


def test_unknown_names_say_which_exist():
    with pytest.raises(InputError, match="guo_los"):
        get_task("los")
    with pytest.raises(InputError, match="recent_codes"):
        get_task("guo_los").instruction_for("yaml")


def test_8192_is_no_finding_alone():
    def findings(value):
        return [name for name, bit in zip(CHEXPERT_LABELS, decode_findings([value])[0]) if bit]

    assert findings(8192) == ["No Finding"]
    assert findings(1) == ["Support Devices"]
    assert findings(0b00100100000000) == ["Cardiomegaly", "Edema"]


@given(st.lists(st.integers(0, 2**14 - 1), min_size=1))
def test_findings_are_the_bits_of_the_integer(values: list[int]):
    matrix = decode_findings(values)
    assert matrix.shape == (len(values), 14)
    for value, row in zip(values, matrix):
        assert "".join(map(str, row)) == format(value, "014b")


def test_labels_become_targets():
    assert binary_labels(get_task("lab_anemia"), [0, 1, 2, 3]).tolist() == [0, 1, 1, 1]
    assert binary_labels(get_task("guo_icu"), np.array([True, False])).tolist() == [1, 0]
    assert binary_labels(get_task("chexpert"), [8192]).shape == (1, len(CHEXPERT_LABELS))
    assert binary_labels(get_task("guo_icu"), []).shape == (0,)


@pytest.mark.parametrize(("task", "value"), [("lab_anemia", 4), ("guo_los", 2), ("guo_los", -1), ("chexpert", 16384)])
def test_values_outside_the_label_type_are_an_error(task: str, value: int):
    with pytest.raises(InputError):
        binary_labels(get_task(task), [value])
