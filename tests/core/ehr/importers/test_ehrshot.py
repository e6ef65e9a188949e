import gzip
import json
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from core.ehr.importers import ehrshot
from core.ehr.importers.ehrshot import import_ehrshot
from core.ehr.store import open_dataset
from core.errors import InputError

HEADER = "patient_id,start,end,code,value,unit,visit_id,omop_table"
ROWS = [
    "5,1960-01-01 00:00:00,,SNOMED/3950001,,,,person",
    "5,1960-01-01 00:00:00,,Gender/F,,,,person",
    "5,2010-02-03 08:00:00,2010-02-09 12:00:00,Visit/IP,,,42,visit_occurrence",
    "5,2010-02-03 09:00:00,,LOINC/718-7,12.35,g/dL,42,measurement",
    '5,2010-02-03 09:00:00,,LOINC/72166-2,"Former smoker, 10 years",,42,observation',
    "9,1970-01-01 00:00:00,,SNOMED/3950001,,,,person",
    "9,2011-02-03 08:00:00,,SNOMED/233604007,,,,condition_occurrence",
]


@pytest.fixture
def release(tmp_path):
    """Write a release; return its folder."""

    def write(rows=ROWS, header=HEADER, tail="\n", **labels: str) -> Path:
        root = tmp_path / "EHRSHOT_ASSETS"
        (root / "data").mkdir(parents=True)
        (root / "data" / "ehrshot.csv").write_text("\n".join([header, *rows]) + tail)
        (root / "splits").mkdir()
        (root / "splits" / "person_id_map.csv").write_text("split,omop_person_id\ntrain,5\ntest,9\nval,77\n")
        for task, text in labels.items():
            (root / "benchmark" / task).mkdir(parents=True)
            (root / "benchmark" / task / "labeled_patients.csv").write_text(text)
        return root

    return write


def test_the_sample_release_comes_over_row_for_row(shared_data, tmp_path):
    source = shared_data / "ehrshot-shaped"
    report = import_ehrshot(source, tmp_path / "ds", concepts=source / "CONCEPT.csv")
    assert (report.subjects, report.rows_read, report.rows_kept, report.events) == (28, 23040, 23040, 23040)
    assert report.rejected == {}
    assert all(item.described == item.codes for item in report.coverage)
    dataset = open_dataset(tmp_path / "ds")
    rows = pl.read_csv(source / "data" / "ehrshot.csv", infer_schema=False)
    for subject in dataset.index.subject_ids:
        expected = rows.filter(pl.col("patient_id") == str(subject))  # the file is in record order
        events = dataset.events(subject)
        assert events["code"].to_list() == expected["code"].to_list()
        assert events["time"].dt.strftime("%Y-%m-%d %H:%M:%S").to_list() == expected["start"].to_list()
        assert events["end"].dt.strftime("%Y-%m-%d %H:%M:%S").to_list() == expected["end"].to_list()
        assert events["visit_id"].to_list() == expected["visit_id"].cast(pl.Int64).to_list()
        assert events["unit"].to_list() == expected["unit"].to_list()
        values = [None if text is None else np.float32(text) for text in expected["value"]]
        assert events["numeric_value"].to_list() == values
    splits = dict(dataset.splits().iter_rows())
    assert (splits[1], splits[2], splits[3]) == ("train", "tuning", "held_out")
    assert dataset.labels("guo_los").height == 15
    assert dataset.labels("guo_readmission")["value"].dtype == pl.Boolean
    assert dataset.vocabulary.describe("SNOMED/3950001") == "Birth"


def test_numbers_and_texts_go_to_their_columns(release, tmp_path):
    import_ehrshot(release(), tmp_path / "ds")
    events = open_dataset(tmp_path / "ds").events(5)
    assert events["numeric_value"].to_list()[3:] == [np.float32(12.35), None]
    assert events["text_value"].to_list()[3:] == [None, "Former smoker, 10 years"]


def test_a_folder_may_be_called_what_a_glob_would_read_as_a_pattern(release, tmp_path):
    plain, odd = (
        import_ehrshot(release(), tmp_path / "ds"),
        import_ehrshot(tmp_path / "EHRSHOT_ASSETS", tmp_path / "d [2]*"),
    )
    assert (odd.rows_kept, odd.labels) == (plain.rows_kept, plain.labels)
    assert open_dataset(tmp_path / "d [2]*").tasks() == open_dataset(tmp_path / "ds").tasks()


def test_columns_are_found_by_name_and_an_index_column_is_ignored(release, tmp_path):
    rows = [f"{i},measurement,7,{i},LOINC/1,2012-01-01T00:00:00,1.5" for i in range(3)]
    report = import_ehrshot(release(rows, ",omop_table,patient_id,visit_id,code,start,value"), tmp_path / "ds")
    assert report.rows_kept == 3
    events = open_dataset(tmp_path / "ds").events(7)
    assert events.select("code", "numeric_value", "visit_id", "table").row(2) == ("LOINC/1", 1.5, 2, "measurement")


def test_a_gzipped_file_is_read(release, tmp_path):
    root = release()
    path = root / "data" / "ehrshot.csv"
    with gzip.open(f"{path}.gz", "wt") as out:
        out.write(path.read_text())
    path.unlink()
    assert import_ehrshot(root, tmp_path / "ds").rows_kept == 7


def test_bad_rows_are_counted_by_reason_and_the_counts_add_up(release, tmp_path):
    rows = [
        *ROWS,
        "x,2010-01-01 00:00:00,,A,,,,",
        "5,,,A,,,,",
        "5,9999-12-31 00:00:00,,A,,,,",
        "5,0001-01-01 00:00:00,,A,,,,",
        "5,2010-01-01 00:00:00,,,,,,",
        "5,2010-01-01 00:00:00",
        "5,2010-01-01 00:00:00,,A,inf,,,",
        "5,2010-01-01 00:00:00,,A,NaN,,,",
    ]
    report = import_ehrshot(release(rows), tmp_path / "ds")
    assert report.rows_read == len(rows)
    assert report.rows_kept == 9
    assert report.rows_read == report.rows_kept + sum(report.rejected.values())
    assert set(report.rejected.values()) == {1, 2}
    assert sum(report.repaired.values()) == 2
    kept = json.loads((tmp_path / "ds" / "metadata" / "import_report.json").read_text())
    assert kept["rejected"] == report.rejected


def test_labels_of_all_types_come_by_column_name(release, tmp_path):
    root = release(
        guo_los="patient_id,prediction_time,label_type,value\n5,2010-02-03T23:59:00,boolean,True\n",
        lab_anemia="patient_id,prediction_time,value,label_type\n5,2010-02-03T08:59:00,3,categorical\n",
        chexpert="patient_id,prediction_time,label_type,value\n5,2010-02-03T08:59:00,categorical,8192\n"
        "5,2010-02-04T08:59:00,categorical,16384\n9,2010-02-04T08:59:00,categorical,4097\n",
    )
    (root / "benchmark" / "guo_los" / "all_shots_data.json").write_text('{"guo_los": {}}')
    report = import_ehrshot(root, tmp_path / "ds")
    dataset = open_dataset(tmp_path / "ds")
    assert dataset.labels("guo_los").rows() == [(5, datetime(2010, 2, 3, 23, 59), True)]
    assert dataset.labels("lab_anemia")["value"].to_list() == [3]
    assert dataset.labels("chexpert")["value"].to_list() == [8192, 4097]
    assert report.labels_rejected["chexpert: unreadable subject, time or value"] == 1
    assert json.loads((tmp_path / "ds" / "labels" / "guo_los" / "all_shots_data.json").read_text()) == {"guo_los": {}}


def test_tasks_that_the_release_lacks_are_computed_or_named(release, tmp_path):
    report = import_ehrshot(release(), tmp_path / "ds")
    assert report.labels["guo_los"] == 1
    assert "chexpert" in report.tasks_missing
    assert not set(report.labels) & set(report.tasks_missing)
    assert any("computed by the EHRSHOT definitions" in note for note in report.notes)


def test_a_file_cut_in_the_middle_of_a_row_is_an_error_and_nothing_is_left(release, tmp_path):
    root = release(tail="\n5,2010-01-01 00:00")
    with pytest.raises(InputError, match="ends in the middle of a row"):
        import_ehrshot(root, tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_a_file_without_final_line_break_gets_a_note(release, tmp_path):
    report = import_ehrshot(release(tail=""), tmp_path / "ds")
    assert any("does not end with a line break" in note for note in report.notes)


def test_empty_splits_and_labels_are_no_trouble(release, tmp_path):
    root = release(guo_los="patient_id,prediction_time,label_type,value\n")
    (root / "splits" / "person_id_map.csv").write_text("split,omop_person_id\n")
    report = import_ehrshot(root, tmp_path / "ds")
    assert any("no splits" in note for note in report.notes)
    assert report.labels["guo_los"] == 0


def test_a_subject_in_two_splits_is_an_error(release, tmp_path):
    root = release()
    (root / "splits" / "person_id_map.csv").write_text("split,omop_person_id\ntrain,5\ntest,5\n")
    with pytest.raises(InputError, match="puts subject 5 in two splits"):
        import_ehrshot(root, tmp_path / "ds")
    assert not (tmp_path / "ds").exists()


def test_a_cut_gzip_is_an_error(release, tmp_path):
    root = release()
    path = root / "data" / "ehrshot.csv"
    packed = gzip.compress(path.read_bytes() * 50)
    path.unlink()
    (root / "data" / "ehrshot.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"ehrshot\.csv\.gz is damaged or cut short"):
        import_ehrshot(root, tmp_path / "ds")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root), "there is no"),
        (lambda root: (root / "data" / "ehrshot.csv").unlink(), r"holds no data/ehrshot\.csv"),
        (lambda root: (root / "data" / "ehrshot.csv").write_text(""), r"ehrshot\.csv is empty"),
        (
            lambda root: (root / "data" / "ehrshot.csv").write_text("a,b\n1,2\n"),
            "lacks the column patient_id, start, code",
        ),
        (lambda root: (root / "data" / "ehrshot.csv").write_text(HEADER + "\n"), "holds no usable row"),
        (lambda root: (root / "data" / "ehrshot.csv").write_bytes(b"\x89PNG\x00\xff\xfe\x00"), "not UTF-8|not a CSV"),
        (
            lambda root: (root / "data" / "ehrshot.csv").write_text(
                f'{HEADER}\n{ROWS[0]}\n5,2010-01-01,,A,"open,,,\n{ROWS[1]}\n'
            ),
            "quote that is never closed",
        ),
    ],
)
def test_a_bad_source_is_one_sentence_and_leaves_nothing(release, tmp_path, change, message):
    root = release()
    change(root)
    with pytest.raises(InputError, match=message):
        import_ehrshot(root, tmp_path / "out" / "ds")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_missing_concept_file_is_an_error_before_the_work(release, tmp_path):
    with pytest.raises(InputError, match="no concept table"):
        import_ehrshot(release(), tmp_path / "ds", concepts=tmp_path / "nothing.csv")


def test_importing_again_gives_the_same_and_replaces(release, tmp_path):
    root = release()
    import_ehrshot(root, tmp_path / "ds")
    first = open_dataset(tmp_path / "ds").events(5)
    import_ehrshot(root, tmp_path / "ds")
    assert open_dataset(tmp_path / "ds").events(5).equals(first)


def test_an_interrupted_import_leaves_the_old_dataset(release, tmp_path, monkeypatch):
    root = release()
    import_ehrshot(root, tmp_path / "ds")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ehrshot, "write_codes", stop)
    with pytest.raises(KeyboardInterrupt):
        import_ehrshot(root, tmp_path / "ds")
    assert open_dataset(tmp_path / "ds").n_events == 7
    assert {path.name for path in tmp_path.iterdir()} == {"ds", "EHRSHOT_ASSETS"}
