"""``python -m core label`` and ``python -m core demo``."""

import shutil
from pathlib import Path

import pytest

from core.cli import main
from core.ehr.store import open_dataset
from core.files import alone


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("label") / "demo"
    assert main(["demo", str(dest), "--subjects", "60", "--seed", "4"]) == 0
    return dest


def test_it_writes_the_labels_that_are_lacking(cohort: Path, capsys: pytest.CaptureFixture[str]):
    before = open_dataset(cohort).labels("guo_los").rows()
    shutil.rmtree(cohort / "labels" / "guo_los")
    assert main(["label", str(cohort)]) == 0
    assert open_dataset(cohort).labels("guo_los").rows() == before
    assert f"guo_los: {len(before)} labels" in capsys.readouterr().out
    assert not list(cohort.glob(".labels*"))


def test_labels_that_are_there_are_not_replaced(cohort: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["label", str(cohort), "--tasks", "guo_los"]) == 2
    assert capsys.readouterr().err.startswith("error: Chartlight demo cohort has labels for guo_los already")


@pytest.mark.parametrize(("argument", "message"), [("--tasks=guo", "unknown task"), ("--tasks=chexpert,", "already")])
def test_bad_tasks_are_said(cohort: Path, capsys: pytest.CaptureFixture[str], argument: str, message: str):
    assert main(["label", str(cohort), argument]) == 2
    assert message in capsys.readouterr().err


def test_it_says_which_codes_it_read_and_when_there_is_nothing_to_do(cohort: Path, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(cohort / "labels" / "lab_anemia")
    assert main(["label", str(cohort)]) == 0
    assert "laboratory codes: LOINC/718-7" in capsys.readouterr().out
    assert main(["label", str(cohort)]) == 0
    assert capsys.readouterr().out == "all tasks have labels already\n"


def test_two_runs_on_one_dataset_do_not_write_into_each_other(cohort: Path, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(cohort / "labels" / "lab_anemia")
    with alone(cohort / ".labels.lock", cohort):
        assert main(["label", str(cohort)]) == 2
    assert "another run is writing" in capsys.readouterr().err
    assert main(["label", str(cohort)]) == 0
    assert not list(cohort.glob(".labels*"))
