import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from core.ehr.meds_layout import (
    EVENT_SCHEMA,
    write_codes,
    write_dataset_json,
    write_events,
    write_labels,
    write_splits,
)
from core.ehr.store import EVENT_COLUMNS, open_dataset
from core.errors import InputError
from tests.core.ehr.conftest import events_frame

COLUMNS = ["row", "time", "code", "numeric_value", "text_value", "unit", "end", "visit_id", "table"]


def random_events(subjects: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for subject in range(10, 10 + subjects):
        n = int(rng.integers(1, 60))
        days = np.sort(rng.integers(0, 20, n))
        for day in days:
            time = datetime(2000, 1, 1) + timedelta(days=int(day))
            rows.append(
                (subject, time, f"LOINC/{rng.integers(0, 9)}", float(np.float32(rng.random())), None, "g", None, 1)
            )
    return events_frame(rows)


def test_a_subjects_events_are_those_of_a_plain_filter_in_record_order(tmp_path):
    frame = random_events(300)
    half = frame.filter(pl.col("subject_id") < 150)
    write_events(tmp_path, 0, half)
    write_events(tmp_path, 1, frame.filter(pl.col("subject_id") >= 150))
    dataset = open_dataset(tmp_path)
    assert dataset.n_subjects == 300
    assert dataset.n_events == frame.height
    for subject in (10, 11, 149, 150, 309):
        events = dataset.events(subject)
        assert events.columns == COLUMNS == list(EVENT_COLUMNS)
        assert events["row"].to_list() == list(range(events.height))
        assert events.drop("row").equals(frame.filter(pl.col("subject_id") == subject).drop("subject_id"))


def test_subjects_that_span_row_groups_come_back_whole(meds_folder):
    frame = random_events(200)
    folder = meds_folder()
    frame.write_parquet(folder / "data" / "x.parquet", row_group_size=7)
    dataset = open_dataset(folder)
    for subject, events in dataset.iter_events():
        assert events["numeric_value"].equals(frame.filter(pl.col("subject_id") == subject)["numeric_value"])


def test_types_are_fixed_and_absent_columns_are_null(meds_folder):
    frame = pl.DataFrame({"subject_id": [1, 1], "time": [None, datetime(2001, 1, 1)], "code": ["A", "B"]})
    frame = frame.with_columns(pl.col("time").cast(pl.Datetime("ns")), pl.col("code").cast(pl.Categorical))
    events = open_dataset(meds_folder(a=frame)).events(1)
    assert dict(events.schema) == {"row": pl.Int64()} | {k: v for k, v in EVENT_SCHEMA.items() if k != "subject_id"}
    assert events["time"].to_list() == [None, datetime(2001, 1, 1)]
    assert events["numeric_value"].to_list() == [None, None]


def test_names_that_other_extractions_use_are_understood(meds_folder):
    frame = pl.DataFrame(
        {
            "subject_id": [1], "time": [datetime(2001, 1, 1)], "code": ["LAB//1"], "hadm_id": [77.0],
            "valueuom": ["mg/dL"], "omop_table": ["measurement"],
        }
    )  # fmt: skip
    row = open_dataset(meds_folder(a=frame)).events(1).row(0, named=True)
    assert (row["visit_id"], row["unit"], row["table"]) == (77, "mg/dL", "measurement")


def test_visits_named_by_text_stay_apart(meds_folder):
    times = [datetime(2001, 1, day) for day in (1, 1, 2, 3, 4)]
    frame = pl.DataFrame({"subject_id": [1] * 5, "time": times, "code": ["A"] * 5})
    named = frame.with_columns(visit_id=pl.Series(["enc-a", "enc-b", "enc-a", None, "12"]))
    visits = open_dataset(meds_folder(a=named)).events(1)["visit_id"].to_list()
    assert visits[0] == visits[2] != visits[1] and visits[3] is None and visits[4] == 12


def test_tables_as_meds_etl_names_them_are_those_of_omop(meds_folder):
    names = ["visit", "condition", "procedure", "DRUG_EXPOSURE", "drug", "measurement", "mine", None]
    frame = pl.DataFrame(
        {"subject_id": 1, "time": datetime(2001, 1, 1), "code": "SNOMED/1", "table": pl.Series(names)}
    )
    dataset = open_dataset(meds_folder(a=frame))
    expected = ["visit_occurrence", "condition_occurrence", "procedure_occurrence", "drug_exposure", "drug_exposure"]
    assert dataset.events(1)["table"].to_list() == [*expected, "measurement", "mine", None]
    assert dataset.scan().collect()["table"].to_list() == [*expected, "measurement", "mine", None]


def test_zoned_times_are_read_as_utc(meds_folder):
    zoned = pl.Series("time", [datetime(2001, 1, 1, 12)]).dt.replace_time_zone("Europe/Berlin")
    frame = pl.DataFrame({"subject_id": [1], "time": zoned, "code": ["A"]})
    assert open_dataset(meds_folder(a=frame)).events(1)["time"].to_list() == [datetime(2001, 1, 1, 11)]


def test_numeric_values_stay_float32(tmp_path, two_subjects):
    write_events(tmp_path, 0, two_subjects)
    value = open_dataset(tmp_path).events(3)["numeric_value"]
    assert value.dtype == pl.Float32
    assert value[3] == np.float32(12.35)


def test_values_and_times_that_are_none_are_left_out_and_counted(meds_folder):
    good = datetime(2005, 1, 1)
    frame = events_frame(
        [
            (1, datetime(1, 1, 1), "NULL-MARK"),
            (1, good, "NAN", float("nan"), "text", None, datetime(9999, 12, 31)),
            (1, good, "INF", float("inf")),
            (1, good, "OK", 1.5, None, None, datetime(2005, 1, 2)),
            (1, datetime(9999, 12, 31), "NULL-MARK"),
        ]
    ).with_columns(pl.when(pl.col("code") == "INF").then(None).otherwise("code").alias("code").fill_null("INF"))
    dataset = open_dataset(meds_folder(a=frame))
    events = dataset.events(1)
    assert events["code"].to_list() == ["NAN", "INF", "OK"]
    assert events["numeric_value"].to_list() == [None, None, 1.5]
    assert events["end"].to_list() == [None, None, datetime(2005, 1, 2)]
    assert (dataset.n_events, dataset.n_rejected) == (3, 2)
    assert dataset.scan().collect().height == 3


def test_events_out_of_order_are_sorted_with_ties_kept(meds_folder):
    early, late = datetime(2001, 1, 1), datetime(2002, 1, 1)
    frame = events_frame([(1, late, "C"), (1, early, "A"), (1, late, "D"), (1, early, "B")])
    assert open_dataset(meds_folder(a=frame)).events(1)["code"].to_list() == ["A", "B", "C", "D"]


def test_an_unknown_subject_is_one_sentence(tmp_path, two_subjects):
    write_events(tmp_path, 0, two_subjects)
    for subject in (4, 0, 99):
        with pytest.raises(InputError, match=rf"subject {subject} is not in .*; choose one of its 2 subjects"):
            open_dataset(tmp_path).events(subject)


def test_an_empty_dataset_opens(tmp_path):
    (tmp_path / "data").mkdir()
    dataset = open_dataset(tmp_path)
    assert (dataset.n_subjects, dataset.n_events, dataset.tasks()) == (0, 0, [])
    assert dataset.splits().is_empty()
    assert dataset.scan().collect().is_empty()


@pytest.mark.parametrize("state", ["missing", "no data folder"])
def test_what_is_no_dataset_is_an_error(tmp_path, state):
    folder = tmp_path / "x"
    if state != "missing":
        folder.mkdir()
    with pytest.raises(InputError, match=r"no dataset folder|not in the MEDS layout"):
        open_dataset(folder)


def test_a_truncated_file_is_an_error_that_names_it(meds_folder, two_subjects):
    folder = meds_folder(a=two_subjects)
    path = folder / "data" / "a.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"a\.parquet is not a readable Parquet file or is cut short"):
        open_dataset(folder)


def test_damage_inside_a_file_is_an_error_not_a_crash(meds_folder):
    frame = random_events(400)
    folder = meds_folder(a=frame)
    dataset = open_dataset(folder)
    path = folder / "data" / "a.parquet"
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(InputError, match="not a readable Parquet file"):
        for _ in dataset.iter_events():
            pass


def test_a_file_that_changed_after_opening_is_noticed(meds_folder, two_subjects):
    folder = meds_folder(a=two_subjects)
    dataset = open_dataset(folder)
    two_subjects.reverse().write_parquet(folder / "data" / "a.parquet")
    os.utime(folder / "data" / "a.parquet", ns=(1, 1))
    with pytest.raises(InputError, match="changed on disk"):
        dataset.events(3)


@pytest.mark.parametrize("missing", ["subject_id", "time", "code"])
def test_a_missing_column_is_named(meds_folder, two_subjects, missing):
    with pytest.raises(InputError, match=f"lacks the MEDS column {missing}"):
        open_dataset(meds_folder(a=two_subjects.drop(missing)))


def test_a_subject_in_two_files_is_an_error(meds_folder, two_subjects):
    with pytest.raises(InputError, match="2 subjects in more than one file"):
        open_dataset(meds_folder(a=two_subjects, b=two_subjects))


def test_a_subject_in_two_places_of_a_file_is_an_error(meds_folder, two_subjects):
    broken = pl.concat([two_subjects, two_subjects.head(1)])
    with pytest.raises(InputError, match="rows of 1 subject are not together"):
        open_dataset(meds_folder(a=broken))


def test_labels_of_every_type_and_layout_are_read(meds_folder, two_subjects):
    folder = meds_folder(a=two_subjects)
    time = [datetime(2010, 3, 4, 23, 59)]
    (folder / "labels" / "aces" / "train").mkdir(parents=True)
    (folder / "labels" / "aces" / "held_out").mkdir(parents=True)
    frame = pl.DataFrame(
        {"subject_id": [7], "prediction_time": time, "boolean_value": [True], "index_timestamp": time}
    )
    frame.write_parquet(folder / "labels" / "aces" / "train" / "0.parquet")
    frame.with_columns(subject_id=pl.lit(3)).write_parquet(folder / "labels" / "aces" / "held_out" / "0.parquet")
    pl.DataFrame({"subject_id": [3], "prediction_time": time, "integer_value": [2]}).write_parquet(
        folder / "labels" / "lab_anemia.parquet"
    )
    dataset = open_dataset(folder)
    assert dataset.tasks() == ["aces", "lab_anemia"]
    assert dataset.labels("aces").rows() == [(3, time[0], True), (7, time[0], True)]
    assert dataset.labels("lab_anemia")["value"].to_list() == [2]
    with pytest.raises(InputError, match="no labels for guo_los; use a task that it has: aces, lab_anemia"):
        dataset.labels("guo_los")


def test_label_files_of_two_types_are_an_error(meds_folder, two_subjects):
    folder = meds_folder(a=two_subjects)
    (folder / "labels" / "t").mkdir(parents=True)
    frame = pl.DataFrame({"subject_id": [7], "prediction_time": [datetime(2010, 1, 1)]})
    frame.with_columns(boolean_value=pl.lit(True)).write_parquet(folder / "labels" / "t" / "0.parquet")
    frame.with_columns(integer_value=pl.lit(1)).write_parquet(folder / "labels" / "t" / "1.parquet")
    with pytest.raises(InputError, match="values of different types"):
        open_dataset(folder).labels("t")


def test_a_label_file_of_another_shape_is_an_error(meds_folder, two_subjects):
    folder = meds_folder(a=two_subjects)
    (folder / "labels").mkdir()
    pl.DataFrame({"patient": [1]}).write_parquet(folder / "labels" / "x.parquet")
    with pytest.raises(InputError, match=r"x\.parquet"):
        open_dataset(folder).labels("x")


def test_the_index_is_kept_outside_the_dataset_and_follows_its_changes(meds_folder, two_subjects, home):
    folder = meds_folder(a=two_subjects)
    before = sorted(folder.rglob("*"))
    assert open_dataset(folder).n_events == 8
    assert sorted(folder.rglob("*")) == before
    assert len(list((home / "index").iterdir())) == 1
    two_subjects.head(4).write_parquet(folder / "data" / "a.parquet")
    assert open_dataset(folder).n_events == 4
    assert len(list((home / "index").iterdir())) == 1  # that of the dataset as it was has gone


def test_a_damaged_index_is_built_again(meds_folder, two_subjects, home):
    folder = meds_folder(a=two_subjects)
    open_dataset(folder)
    for path in (home / "index").iterdir():
        path.write_bytes(b"garbage")
    assert open_dataset(folder).n_events == 8


def test_threads_share_a_dataset(tmp_path):
    frame = random_events(80)
    write_events(tmp_path, 0, frame)
    dataset = open_dataset(tmp_path)
    expected = {i: dataset.events(i) for i in range(10, 90)}
    with ThreadPoolExecutor(8) as pool:
        for subject, events in zip(list(expected) * 3, pool.map(dataset.events, list(expected) * 3)):
            assert events.equals(expected[subject])


def test_synthetic_and_name_come_from_the_metadata(tmp_path, two_subjects):
    write_events(tmp_path, 0, two_subjects)
    assert open_dataset(tmp_path).name == tmp_path.name
    assert not open_dataset(tmp_path).synthetic
    write_dataset_json(tmp_path, "Demo", "demo", synthetic=True)
    assert open_dataset(tmp_path).name == "Demo"
    assert open_dataset(tmp_path).synthetic


def test_a_release_that_was_not_imported_is_no_empty_dataset(tmp_path):
    (tmp_path / "data").mkdir()
    assert open_dataset(tmp_path).n_subjects == 0
    (tmp_path / "data" / "ehrshot.csv").write_text("patient_id,start,code\n")
    with pytest.raises(InputError, match=r"no Parquet file among them; .*import ehrshot"):
        open_dataset(tmp_path)


FORBIDDEN = PermissionError("Permission denied (os error 13): x")  # as Polars says it: without a number


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda dataset: dataset.labels("guo_los"), "cannot be read as MEDS labels"),
        (lambda dataset: dataset.splits(), "cannot be read as MEDS splits"),
        (lambda dataset: dataset.vocabulary, "codes.parquet cannot be read"),
    ],
    ids=["labels", "splits", "codes"],
)
@pytest.mark.parametrize("error", [FORBIDDEN, UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")])
def test_a_file_that_may_not_be_read_is_one_sentence_with_the_reason(
    tmp_path, two_subjects, monkeypatch, read, words, error
):
    """As root nothing is forbidden: what Polars raises is raised here."""
    write_events(tmp_path, 0, two_subjects)
    write_codes(tmp_path, pl.DataFrame({"code": ["A"]}))
    write_splits(tmp_path, pl.DataFrame({"subject_id": [1], "split": ["train"]}))
    labels = pl.DataFrame({"subject_id": [1], "prediction_time": [datetime(2020, 1, 1)], "value": [True]})
    write_labels(tmp_path, "guo_los", labels)
    dataset = open_dataset(tmp_path)

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(pl, "read_parquet", refuse)
    with pytest.raises(InputError, match=words) as caught:
        read(dataset)
    assert str(error) in str(caught.value)


@pytest.mark.parametrize("hidden", ["data", "data/more", "labels"])
def test_a_folder_that_may_not_be_listed_is_an_error_and_not_an_empty_one(tmp_path, two_subjects, monkeypatch, hidden):
    """Path.rglob passes such a folder over in silence: the dataset had no subjects, and its check no findings."""
    write_events(tmp_path, 0, two_subjects)
    (tmp_path / "data" / "more").mkdir()
    (tmp_path / "labels").mkdir()
    assert open_dataset(tmp_path).tasks() == []
    scan = os.scandir

    def refuse(path="."):
        if str(path) == str(tmp_path / hidden):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=rf"the folder .*{hidden} cannot be read \(Permission denied\)"):
        open_dataset(tmp_path).tasks()


def test_a_folder_whose_name_is_no_text_is_named_like_any_other(tmp_path, two_subjects):
    """Names of another encoding are what old shares have; Python carries their bytes as lone surrogates."""
    folder = tmp_path / os.fsdecode(b"klinik-\xe4")
    write_dataset_json(folder, "x", "test")
    with pytest.raises(InputError, match=r"cannot be read|not a readable"):
        (folder / "data").mkdir()
        (folder / "data" / "0.parquet").write_bytes(b"nothing")
        open_dataset(folder)


def test_files_behind_links_are_read_once_and_a_link_to_nothing_is_an_error(tmp_path, two_subjects):
    """Shards often lie on another disk. A folder that is a link was passed over, and its subjects were missing."""
    write_events(tmp_path / "disk", 0, two_subjects)
    here = tmp_path / "here" / "data"
    (here / "tuning").mkdir(parents=True)
    other = pl.DataFrame({"subject_id": [99], "time": [datetime(2000, 1, 1)], "code": ["A"]})
    other.write_parquet(here / "tuning" / "0.parquet")
    (here / "train").symlink_to(tmp_path / "disk" / "data")
    (here / "tuning" / "above").symlink_to(here)
    dataset = open_dataset(tmp_path / "here")
    assert dataset.index.subject_ids.tolist() == sorted({*two_subjects["subject_id"], 99})
    assert dataset.n_events == two_subjects.height + 1
    (here / "gone.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"gone\.parquet is not a readable Parquet file .*No such file"):
        open_dataset(tmp_path / "here")
