"""Start: prepared cases are offered where their patients are."""

import json

import polars as pl
import pytest

from core.ehr.demo.cases import CASES_FILE
from tests.pages import cohort
from tests.pages.conftest import shown


def case(subject: int, title: str) -> dict:
    at = cohort.AT.isoformat()
    more = {"look_at": "What to look at.", "task": "guo_los", "outcome": True}
    return {"subject_id": subject, "prediction_time": at, "title": title, **more}


@pytest.fixture
def prepared(tmp_path):
    folder = cohort.write(tmp_path / "prepared")
    rows = [case(cohort.RICH, "A case with its patient"), case(777, "A case whose patient is gone")]
    (folder / CASES_FILE).write_text(json.dumps(rows))
    return folder


def test_cases_without_their_patient_are_not_offered(open_page, prepared):
    app = open_page("pages/start.py", datasets=prepared)
    assert not app.exception
    text = shown(app)
    assert "Prepared cases" in text and "A case with its patient" in text and "is gone" not in text
    app.button(key=f"Read-prepared-{cohort.RICH}").click().run()
    assert not app.exception and "Something went wrong" not in shown(app)


def test_a_dataset_that_lost_its_patients_has_no_cases(open_page, prepared):
    for path in prepared.glob("data/**/*.parquet"):
        pl.read_parquet(path).clear().write_parquet(path)
    app = open_page("pages/start.py", datasets=prepared)
    assert not app.exception and "Prepared cases" not in shown(app)


def test_a_broken_dataset_leaves_start_alone(open_page, prepared):
    for path in prepared.glob("data/**/*.parquet"):
        path.write_bytes(b"no parquet")
    app = open_page("pages/start.py", datasets=prepared)
    assert not app.exception and "Something went wrong" not in shown(app) and "Prepared cases" not in shown(app)


def test_cases_of_one_title_name_their_datasets(open_page, prepared, tmp_path):
    title = "A case with its patient"
    alone = shown(open_page("pages/start.py", datasets=prepared))
    assert alone.count(title) == 1 and "dataset prepared" not in alone
    second = cohort.write(tmp_path / "second")
    (second / CASES_FILE).write_text((prepared / CASES_FILE).read_text())
    both = shown(open_page("pages/start.py", datasets=f"{prepared},{second}"))
    assert both.count(title) == 2 and both.count("dataset prepared") == both.count("dataset second") == 1
