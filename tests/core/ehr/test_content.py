"""The hash of all that a record's text rests on changes with each of it, and with nothing else."""

import shutil
from datetime import datetime

import polars as pl
import pytest

from core.ehr.content import records_sha256
from core.ehr.meds_layout import write_codes, write_events, write_labels, write_splits
from core.ehr.store import open_dataset


@pytest.fixture
def folder(tmp_path, two_subjects):
    path = tmp_path / "dataset"
    write_events(path, 0, two_subjects)
    write_codes(path, pl.DataFrame({"code": ["LOINC/718-7"], "description": ["Hemoglobin"]}))
    return path


def test_it_changes_with_events_and_descriptions_and_with_nothing_else(folder, two_subjects, tmp_path):
    first = records_sha256(open_dataset(folder))
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    write_splits(moved, pl.DataFrame({"subject_id": [3, 7], "split": ["train", "held_out"]}))
    labels = {"subject_id": [3], "prediction_time": [datetime(2010, 3, 4)], "value": [True]}
    write_labels(moved, "guo_los", pl.DataFrame(labels))
    assert records_sha256(open_dataset(moved)) == first
    write_codes(moved, pl.DataFrame({"code": ["LOINC/718-7"], "description": ["Haemoglobin"]}))
    described = records_sha256(open_dataset(moved))
    write_events(folder, 0, two_subjects.with_columns(pl.col("numeric_value") + 1))
    assert len({first, described, records_sha256(open_dataset(folder))}) == 3


def test_it_changes_with_the_concepts_that_describe_codes(folder, tmp_path):
    (tmp_path / "athena").mkdir()
    hashes = {records_sha256(open_dataset(folder))}
    for name in ("Male", "Man"):
        (tmp_path / "athena" / "CONCEPT.csv").write_text(
            f"concept_id\tconcept_name\tvocabulary_id\tconcept_code\n8507\t{name}\tGender\tM\n"
        )
        hashes.add(records_sha256(open_dataset(folder, tmp_path / "athena")))
    assert len(hashes) == 3
