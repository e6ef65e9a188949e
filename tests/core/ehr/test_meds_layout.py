import errno
from datetime import datetime
from pathlib import Path

import meds
import polars as pl
import pyarrow.parquet as pq
import pytest

from core.ehr.meds_layout import (
    new_dataset,
    read_dataset_json,
    write_codes,
    write_dataset_json,
    write_events,
    write_labels,
    write_splits,
)
from core.errors import InputError


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_one(dest: Path, events: pl.DataFrame) -> None:
    with new_dataset(dest) as folder:
        write_events(folder, 0, events)
        write_dataset_json(folder, dest.name, "test")


def test_files_satisfy_the_schemas_of_the_meds_package(tmp_path, two_subjects):
    write_events(tmp_path, 0, two_subjects)
    write_codes(
        tmp_path, pl.DataFrame({"code": ["B", "A"], "description": [None, "a"], "parent_codes": [["A"], None]})
    )
    write_splits(tmp_path, pl.DataFrame({"subject_id": [3, 7], "split": ["train", "held_out"]}))
    times = [datetime(2010, 3, 4, 23, 59)] * 2
    for task, value in (("b", [True, False]), ("i", [0, 3]), ("f", [0.5, 1.5]), ("s", ["x", "y"])):
        write_labels(tmp_path, task, pl.DataFrame({"subject_id": [7, 3], "prediction_time": times, "value": value}))
    meds.DataSchema.validate(pq.read_table(tmp_path / "data" / "0.parquet"))
    meds.CodeMetadataSchema.validate(pq.read_table(tmp_path / meds.code_metadata_filepath))
    meds.SubjectSplitSchema.validate(pq.read_table(tmp_path / meds.subject_splits_filepath))
    for task in "bifs":
        meds.LabelSchema.validate(pq.read_table(tmp_path / "labels" / task / "labels.parquet"))
    write_dataset_json(tmp_path, "x", "test")
    meds.DatasetMetadataSchema.validate(read_dataset_json(tmp_path))


def test_a_dataset_appears_whole_or_not_at_all(tmp_path, two_subjects):
    dest = tmp_path / "out"
    with pytest.raises(RuntimeError, match="half-way"), new_dataset(dest) as folder:
        write_events(folder, 0, two_subjects)
        raise RuntimeError("half-way")
    assert names_in(tmp_path) == set()
    write_one(dest, two_subjects)
    assert names_in(tmp_path) == {"out"}


def test_writing_again_replaces_the_dataset_and_a_failure_keeps_the_old_one(tmp_path, two_subjects):
    dest = tmp_path / "out"
    write_one(dest, two_subjects)
    with pytest.raises(RuntimeError), new_dataset(dest) as folder:
        write_events(folder, 0, two_subjects.head(0))
        raise RuntimeError
    assert pl.read_parquet(dest / "data" / "0.parquet").height == two_subjects.height
    write_one(dest, two_subjects.head(4))
    assert pl.read_parquet(dest / "data" / "0.parquet").height == 4
    assert names_in(tmp_path) == {"out"}


def test_what_a_killed_run_left_is_cleared(tmp_path, two_subjects):
    (tmp_path / ".out.partial" / "data").mkdir(parents=True)
    (tmp_path / ".out.partial" / "data" / "9.parquet").write_bytes(b"half")
    (tmp_path / ".out.old").mkdir()  # killed between its two renames
    write_one(tmp_path / "out", two_subjects)
    assert names_in(tmp_path / "out" / "data") == {"0.parquet"}
    assert names_in(tmp_path) == {"out"}


@pytest.mark.parametrize("name", ["a folder of somebody", "a file"])
def test_what_chartlight_did_not_write_is_never_replaced(tmp_path, two_subjects, name):
    dest = tmp_path / "mine"
    if name == "a file":
        dest.write_text("precious")
    else:
        dest.mkdir()
        (dest / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="was not written by Chartlight"):
        write_one(dest, two_subjects)
    assert "precious" in ((dest / "thesis.txt") if dest.is_dir() else dest).read_text()


def test_an_empty_folder_may_be_written_into(tmp_path, two_subjects):
    (tmp_path / "out").mkdir()
    write_one(tmp_path / "out", two_subjects)


def test_two_runs_cannot_write_one_dataset(tmp_path, two_subjects):
    with (
        new_dataset(tmp_path / "out"),
        pytest.raises(InputError, match="another run is writing"),
        new_dataset(tmp_path / "out"),
    ):
        pass


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), pl.exceptions.ComputeError("io: No space left on device")],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, error):
    with pytest.raises(InputError, match=r"disk is full.*free some space"), new_dataset(tmp_path / "out"):
        raise error
    assert names_in(tmp_path) == set()
