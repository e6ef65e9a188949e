from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from core.ehr.meds_layout import write_events, write_labels, write_splits
from core.ehr.relative_time import whole_years
from core.ehr.store import open_dataset
from core.ehr.subjects import SubjectFilter, list_subjects, neighbours_in_list, subject_table
from core.errors import InputError
from tests.core.ehr.conftest import events_frame


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(1)
    rows = []
    for subject in range(100, 200):
        birth = datetime(1930 + subject % 60, 1, 1)
        rows.append((subject, birth, "SNOMED/3950001"))
        if subject % 3:
            rows.append((subject, birth, f"Gender/{'F' if subject % 3 == 1 else 'M'}"))
        for day in range(int(rng.integers(1, 5))):
            rows.append((subject, datetime(2010, 1, 1) + timedelta(days=day), f"SNOMED/{subject % 7}"))
    write_events(tmp_path, 0, events_frame(rows))
    ids = list(range(100, 200))
    write_splits(
        tmp_path, pl.DataFrame({"subject_id": ids, "split": ["train" if i < 170 else "held_out" for i in ids]})
    )
    times = [datetime(2010, 1, 1)] * 2
    write_labels(
        tmp_path, "guo_los", pl.DataFrame({"subject_id": [105, 190], "prediction_time": times, "value": [True, False]})
    )
    return open_dataset(tmp_path)


def ids(dataset, **filters) -> list[int]:
    return list_subjects(dataset, SubjectFilter(**filters), limit=1000)[0]["subject_id"].to_list()


def test_a_page_has_the_header_columns(dataset):
    page, total = list_subjects(dataset, offset=10, limit=5)
    assert total == 100
    assert page["subject_id"].to_list() == [110, 111, 112, 113, 114]
    assert page.columns == ["subject_id", "sex", "birth", "birth_year", "age", "first", "last", "n_events", "split"]
    row = page.row(0, named=True)
    assert (row["sex"], row["birth_year"], row["age"], row["split"]) == ("male", 1980, 30, "train")
    assert row["first"] == datetime(2010, 1, 1)


def test_each_filter_keeps_what_a_naive_filter_keeps(dataset):
    everyone = range(100, 200)
    assert ids(dataset, id_prefix="19") == list(range(190, 200))
    assert ids(dataset, sex="female") == [i for i in everyone if i % 3 == 1]
    assert ids(dataset, sex="unknown") == [i for i in everyone if i % 3 == 0]
    assert ids(dataset, split="held_out") == list(range(170, 200))
    assert ids(dataset, min_age=40, max_age=50) == [i for i in everyone if 40 <= 80 - i % 60 <= 50]
    assert ids(dataset, task="guo_los") == [105, 190]
    assert ids(dataset, code="SNOMED/3") == [i for i in everyone if i % 7 == 3]
    assert ids(dataset, code="SNOMED/39*") == list(everyone)
    assert ids(dataset, sex="male", split="train", code="SNOMED/3") == [
        i for i in everyone if i % 3 == 2 and i < 170 and i % 7 == 3
    ]


def test_sorting_is_stable_by_id(dataset):
    page, _ = list_subjects(dataset, SubjectFilter(sort="age", descending=True), limit=1000)
    assert page["age"].to_list() == sorted(page["age"].to_list(), reverse=True)
    for _, group in page.group_by("age"):
        assert group["subject_id"].is_sorted()


def test_previous_and_next_follow_the_filtered_list(dataset):
    women = SubjectFilter(sex="female")
    assert neighbours_in_list(dataset, women, 103) == (100, 106)
    assert neighbours_in_list(dataset, women, 100) == (None, 103)
    assert neighbours_in_list(dataset, women, 101) == (None, None)


def test_nobody_found_is_an_empty_page(dataset):
    page, total = list_subjects(dataset, SubjectFilter(id_prefix="999"))
    assert (page.height, total) == (0, 0)


@pytest.mark.parametrize("filter", [SubjectFilter(sort="name"), SubjectFilter(task="nothing")])
def test_unknown_choices_are_errors(dataset, filter):
    with pytest.raises(InputError):
        list_subjects(dataset, filter)


@pytest.mark.parametrize(
    ("birth", "last", "age"),
    [
        (datetime(2001, 3, 1), datetime(2019, 3, 1), 18),
        (datetime(2001, 3, 1), datetime(2019, 2, 28, 23), 17),
        (datetime(2001, 3, 1, 12), datetime(2019, 3, 1, 11), 17),
        (datetime(2000, 2, 29), datetime(2019, 2, 28), 18),
        (datetime(2000, 2, 29), datetime(2019, 3, 1), 19),
    ],
)
def test_ages_are_counted_by_the_calendar(tmp_path, birth, last, age):
    (tmp_path / "data").mkdir()
    pl.DataFrame({"subject_id": [1, 1], "time": [birth, last], "code": ["MEDS_BIRTH", "X/1"]}).write_parquet(
        tmp_path / "data" / "0.parquet"
    )
    assert subject_table(open_dataset(tmp_path))["age"].to_list() == [age] == [whole_years(birth, last)]
