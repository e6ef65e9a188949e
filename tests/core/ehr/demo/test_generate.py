"""The demo cohort: reproducible, complete, in public vocabularies, and learnable."""

import hashlib
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from core.ehr.demo import generate_demo
from core.ehr.demo.cases import read_cases
from core.ehr.demo.generate import read_codes
from core.ehr.store import open_dataset
from core.ehr.tasks import TASKS
from core.errors import InputError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_demo(tmp_path_factory.mktemp("demo") / "cohort", subjects=400, seed=3)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_one_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path):
    generate_demo(tmp_path / "a", subjects=60, seed=1)
    generate_demo(tmp_path / "b [2] *", subjects=60, seed=1)  # a name that a glob would read as a pattern
    generate_demo(tmp_path / "c", subjects=60, seed=2)
    assert digest(tmp_path / "a") == digest(tmp_path / "b [2] *")
    assert digest(tmp_path / "a")["data/0.parquet"] != digest(tmp_path / "c")["data/0.parquet"]


def test_it_is_a_dataset_that_opens_and_says_that_it_is_synthetic(cohort: Path):
    dataset = open_dataset(cohort)
    assert dataset.synthetic
    assert dataset.n_subjects == 400
    assert set(dataset.tasks()) == {task.id for task in TASKS}
    assert set(dataset.splits()["split"]) == {"train", "tuning", "held_out"}
    assert "synthetic" in (cohort / "metadata" / "card.md").read_text()


def test_every_code_is_described_and_comes_from_a_public_vocabulary(cohort: Path):
    used = pl.scan_parquet(cohort / "data" / "*.parquet").select(pl.col("code").unique()).collect()["code"]
    codes = read_codes()
    assert set(used) <= set(codes["code"])
    assert codes["code"].is_unique().all()
    assert (codes["description"].str.len_chars() > 0).all()
    allowed = {"ICD10CM", "ICD10PCS", "LOINC", "RxNorm", "CVX", "Visit", "Gender", "Race", "Ethnicity", "CARE_SITE"}
    assert {code.split("/")[0] for code in used} <= allowed | {"MEDS_BIRTH", "MEDS_DEATH"}


def test_a_label_time_lies_within_the_record(cohort: Path):
    dataset = open_dataset(cohort)
    born = (
        pl.scan_parquet(cohort / "data" / "*.parquet")
        .group_by("subject_id")
        .agg(first=pl.col("time").min(), last=pl.col("time").max())
        .collect()
    )
    for task in dataset.tasks():
        labels = dataset.labels(task).join(born, "subject_id", "left")
        assert (labels["prediction_time"] > labels["first"]).all()


def test_events_stay_inside_their_visit_and_before_the_end_of_observation(cohort: Path):
    events = pl.scan_parquet(cohort / "data" / "*.parquet").collect()
    stays = events.filter(pl.col("code") == "Visit/IP").select("visit_id", start="time", stop="end")
    inside = events.filter(pl.col("code") != "Visit/IP").join(stays, "visit_id")
    assert inside.filter((pl.col("time") < pl.col("start")) | (pl.col("time") > pl.col("stop"))).is_empty()
    ordered = events.with_columns(step=pl.col("time").diff().over("subject_id"))
    assert ordered["step"].drop_nulls().min() >= timedelta(0)


def test_stays_of_one_subject_do_not_overlap(cohort: Path):
    stays = (
        pl.scan_parquet(cohort / "data" / "*.parquet")
        .filter(pl.col("code") == "Visit/IP")
        .sort("subject_id", "time")
        .with_columns(previous=pl.col("end").shift().over("subject_id"))
        .collect()
    )
    assert stays.height > 100
    assert stays.filter(pl.col("previous") >= pl.col("time")).is_empty()


def test_more_than_one_system_of_units_is_used(cohort: Path):
    units = pl.scan_parquet(cohort / "data" / "*.parquet").select("code", "unit").unique().collect()
    by_code = {code: set(group["unit"]) for (code,), group in units.group_by("code")}
    assert by_code["LOINC/29463-7"] == {"kg", "[lb_av]", "[oz_av]"}
    assert by_code["LOINC/8310-5"] == {"Cel", "[degF]"}
    assert by_code["LOINC/14749-6"] == {"mmol/L"} and by_code["LOINC/2345-7"] == {"mg/dL"}


def test_prepared_cases_point_at_held_out_labels(cohort: Path):
    cases = read_cases(cohort)
    dataset = open_dataset(cohort)
    held_out = set(dataset.splits().filter(pl.col("split") == "held_out")["subject_id"])
    assert len(cases) >= 3
    for case in cases:
        of_subject = dataset.labels(case.task).filter(pl.col("subject_id") == case.subject_id)
        labels = of_subject.filter(pl.col("prediction_time") == case.prediction_time)
        assert labels["value"].to_list() == [case.outcome]
        assert case.subject_id in held_out


def test_a_dataset_without_cases_has_none(tmp_path: Path):
    assert read_cases(tmp_path) == []
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "cases.json").write_text('[{"subject_id": 1}]')
    assert read_cases(tmp_path) == []


def test_diagnoses_have_their_category_above_them(cohort: Path):
    vocabulary = open_dataset(cohort).vocabulary
    assert vocabulary.parents("ICD10CM/E11.65") == ("ICD10CM/E11",)
    assert vocabulary.describe("ICD10CM/E11") == "Type 2 diabetes mellitus"
    assert all(vocabulary.describe(p) for code in vocabulary.parent_codes for p in vocabulary.parents(code))
    dotted = [code for code in vocabulary.descriptions if code.startswith("ICD10CM/") and "." in code]
    assert all(vocabulary.parents(code) for code in dotted)


def test_a_failure_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(InputError):
        generate_demo(tmp_path / "mine", subjects=20)
    with pytest.raises(InputError):
        generate_demo(tmp_path / "few", subjects=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
