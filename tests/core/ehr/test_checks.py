from datetime import datetime
from types import SimpleNamespace

import polars as pl
import pytest

from core.cli import main
from core.ehr.checks import CheckReport, check_dataset
from core.ehr.importers.ehrshot import import_ehrshot
from core.ehr.meds_layout import write_codes, write_events, write_labels, write_splits
from core.ehr.vocabulary import Coverage
from core.errors import InputError
from tests.core.ehr.conftest import events_frame


@pytest.fixture
def sound(tmp_path, two_subjects):
    folder = tmp_path / "sound"
    write_events(folder, 0, two_subjects)
    write_codes(folder, pl.DataFrame({"code": two_subjects["code"].unique(), "description": "text"}))
    write_splits(folder, pl.DataFrame({"subject_id": [3, 7], "split": ["train", "held_out"]}))
    labels = {"subject_id": [3, 7], "prediction_time": [datetime(2010, 3, 4, 23, 59)] * 2, "value": [True, False]}
    write_labels(folder, "guo_los", pl.DataFrame(labels))
    return folder


def found(folder) -> set[tuple[str, str]]:
    return {(finding.level, finding.rule) for finding in check_dataset(folder).findings}


def test_a_sound_dataset_has_no_findings_but_the_missing_metadata(sound):
    assert found(sound) == {("note", "schema")}


def test_values_times_and_order(sound):
    frame = events_frame(
        [
            (3, datetime(2011, 1, 1), "A", float("nan")),
            (3, datetime(2010, 1, 1), "A", 1.0),
            (3, datetime(9999, 12, 31), "A", 1.0),
            (7, None, "A"),
            (7, datetime(2010, 1, 1), "B"),
        ]
    )
    write_events(sound, 0, frame)
    report = check_dataset(sound)
    text = "\n".join(report.lines())
    assert "1 row left out" in text
    assert "1 value NaN or infinite" in text
    assert "1 event before an earlier one" in text
    assert "2 codes (100.0% of the events) without a description, for example A, B" in text


def test_labels_and_splits_that_do_not_fit(sound):
    at = datetime(2010, 3, 4, 23, 59)
    labels = {
        "subject_id": [3, 3, 99, 7],
        "prediction_time": [at, at, at, datetime(1900, 1, 1)],
        "value": [1, 2, 1, 1],
    }
    write_labels(sound, "lab_anemia", pl.DataFrame(labels))
    write_splits(sound, pl.DataFrame({"subject_id": [3, 3, 88], "split": ["train", "held_out", "test"]}))
    text = "\n".join(check_dataset(sound).lines())
    for part in (
        "1 subject in two splits",
        "1 subject without a split",
        "1 subject of the splits without events",
        "splits are called test",
        "lab_anemia: 1 label of subjects without events",
        "lab_anemia: 1 label before birth",
        "lab_anemia: 1 time with two different labels",
    ):
        assert part in text


def test_foreign_types_are_reported(meds_folder, two_subjects):
    frame = two_subjects.with_columns(pl.col("numeric_value").cast(pl.Float64), pl.col("subject_id").cast(pl.Int32))
    folder = meds_folder(a=frame)
    text = "\n".join(check_dataset(folder).lines())
    assert "1 event file unlike the MEDS schema" in text
    assert "there is no metadata/codes.parquet" in text


def test_numbers_written_as_text_are_a_finding_and_not_the_end(meds_folder, two_subjects):
    """The store reads what is a number; the check stopped at the first that is none."""
    frame = two_subjects.with_columns(numeric_value=pl.lit("7.5 mg"))
    assert "1 event file unlike the MEDS schema" in "\n".join(check_dataset(meds_folder(a=frame)).lines())


def test_leaks_in_records_are_reported_by_rule(sound):
    """A laboratory label at the time of its own result lets the result into the text."""
    at = datetime(2010, 3, 4, 9)
    write_labels(sound, "lab_anemia", pl.DataFrame({"subject_id": [3], "prediction_time": [at], "value": [0]}))
    assert "same-lab-at-label-time" in {rule for _, rule in found(sound)}


def test_the_command_prints_the_report(shared_data, tmp_path, capsys):
    import_ehrshot(shared_data / "ehrshot-shaped", tmp_path / "ds")
    assert main(["check", str(tmp_path / "ds"), "--sample", "2"]) == 0
    out = capsys.readouterr().out
    assert "ds: 28 subjects, 23,040 events" in out
    assert "LOINC: 153 of 153 codes described" in out


def test_the_command_fails_on_a_broken_dataset(sound, capsys):
    write_splits(sound, pl.DataFrame({"subject_id": [3, 3], "split": ["train", "held_out"]}))
    assert main(["check", str(sound)]) == 2
    assert "error: 1 error in" in capsys.readouterr().err
    assert main(["check", str(sound / "nowhere")]) == 2


def test_what_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(InputError):
        check_dataset(tmp_path)


def test_a_share_of_nearly_all_is_not_all():
    known = Coverage("LOINC", codes=3, described=2, events=30_000, events_described=29_999)
    lines = list(CheckReport(SimpleNamespace(name="d", n_subjects=0, n_events=0), [], [known]).lines())
    assert lines[1] == "  LOINC: 2 of 3 codes described (99.9% of events)"
