"""run.json: what a benchmark says of itself, read again, damaged, absent; and where the report tells it."""

import hashlib
import json
import shutil
from datetime import UTC, datetime

import polars as pl
import pytest

from core.cli import main
from core.ehr.content import dataset_sha256
from core.ehr.store import open_dataset
from core.errors import InputError
from core.risk.report import render_report
from core.risk.run_record import (
    FILE,
    PATIENTS_NOTES,
    command_line,
    is_synthetic,
    read_record,
    record_rows,
)
from core.risk.runner import RunOptions, count_feature_set, load_labels, read_result, run_benchmark

ARGUMENTS = ["--tasks", "guo_los,lab_anemia", "--models", "count:lr_lbfgs", "--shots", "2,all", "--replicates", "20"]


@pytest.fixture(scope="module")
def made(dataset_path, tmp_path_factory):
    """The dataset marked as synthetic, and a finished run on it."""
    folder = tmp_path_factory.mktemp("record")
    dataset, out = folder / "dataset", folder / "out"
    shutil.copytree(dataset_path, dataset)
    about = {"dataset_name": "made <up>", "synthetic": True}
    (dataset / "metadata" / "dataset.json").write_text(json.dumps(about))
    assert main(["benchmark", str(dataset), "--out", str(out), *ARGUMENTS]) == 0
    return dataset, out


def test_a_run_says_on_what_with_what_and_when_it_was_made(made):
    dataset, out = made
    record = json.loads((out / FILE).read_text())
    assert record["dataset"]["name"] == "made <up>" and record["dataset"]["synthetic"] is True
    assert record["dataset"]["subjects"] == 360
    assert record["labels"]["guo_los"].keys() == {"train", "tuning", "held_out"}
    assert sum(record["labels"]["guo_los"].values()) == 720
    assert [(m["name"], m["heads"]) for m in record["models"]] == [("count", ["lr_lbfgs"])]
    assert record["options"]["shots"] == [2, "all"] and record["options"]["bootstrap_replicates"] == 20
    assert record["options"]["paper_exact"] is False
    assert record["command"] == command_line(["benchmark", str(dataset), "--out", str(out), *ARGUMENTS])
    started, finished = (datetime.fromisoformat(record[name]) for name in ("started", "finished"))
    assert started <= finished <= datetime.now(UTC) and started.tzinfo is not None
    assert {"chartlight", "python", "numpy", "scikit-learn", "lightgbm"} <= set(record["versions"])
    assert record["units"] == {"computed": 4, "reused": 0}
    assert "Not a medical device" in record["notice"]


def test_the_hash_is_of_what_was_there_when_the_run_began(dataset_path, tmp_path):
    dataset = tmp_path / "dataset"
    shutil.copytree(dataset_path, dataset)
    before = dataset_sha256(dataset, ["guo_los"])
    opened = open_dataset(dataset)
    labels, _ = load_labels(opened, ["guo_los"])
    features = [count_feature_set(opened, labels, ("lr_lbfgs",))]

    def meddle(done, total, text):
        path = dataset / "metadata" / "subject_splits.parquet"
        pl.read_parquet(path).reverse().write_parquet(path)

    result = run_benchmark(
        opened, features, tmp_path / "out", ["guo_los"], RunOptions(replicates=20), meddle, labels=labels
    )
    assert dataset_sha256(dataset, ["guo_los"]) != before == result.record["dataset"]["sha256"]


def test_the_hash_is_that_of_the_contents_and_changes_with_any_of_them(made, tmp_path):
    dataset, _ = made
    tasks = ["lab_anemia", "guo_los"]
    first = dataset_sha256(dataset, tasks)
    naive = hashlib.sha256()
    for name in (
        "data/0.parquet",
        "metadata/subject_splits.parquet",
        "labels/guo_los/labels.parquet",
        "labels/lab_anemia/labels.parquet",
    ):
        naive.update(f"{name} {hashlib.sha256((dataset / name).read_bytes()).hexdigest()}\n".encode())
    assert first == naive.hexdigest()
    other = tmp_path / "elsewhere"
    shutil.copytree(dataset, other)
    assert dataset_sha256(other, tasks[::-1]) == first  # not of the place, nor of the order of tasks
    for name in ("data/0.parquet", "metadata/subject_splits.parquet", "labels/guo_los/labels.parquet"):
        changed = tmp_path / name.replace("/", "-")
        shutil.copytree(dataset, changed)
        (changed / name).write_bytes((changed / name).read_bytes() + b" ")
        assert dataset_sha256(changed, tasks) != first


def test_the_report_tells_synthetic_patients_and_provenance_escaped(made):
    _, out = made
    html = (out / "report.html").read_text()
    record = read_record(out)
    assert PATIENTS_NOTES[True] in html and record["dataset"]["sha256"] in html
    assert "made &lt;up&gt;" in html and "<up>" not in html
    assert html.count("lr_lbfgs") == 1 and "count:lr_lbfgs" in html  # the command alone
    assert "Model Counts" in html and "Counts, logistic regression" in html
    assert record["versions"]["numpy"] in html


def test_a_run_on_other_patients_and_one_without_a_record_say_so(made, dataset_path, tmp_path):
    assert main(["benchmark", str(dataset_path), "--out", str(tmp_path / "real"), *ARGUMENTS]) == 0
    real = read_result(tmp_path / "real")
    assert is_synthetic(real.record) is False
    html = render_report(real, "d")
    assert PATIENTS_NOTES[False].replace("'", "&#x27;") in html and PATIENTS_NOTES[True] not in html
    (tmp_path / "real" / FILE).unlink()
    old = read_result(tmp_path / "real")
    assert old.record is None and is_synthetic(old.record) is None
    assert PATIENTS_NOTES[None] in render_report(old, "d")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"dataset": 3}', "\ud800"])
def test_a_damaged_record_is_named(made, tmp_path, content):
    out = tmp_path / "damaged"
    shutil.copytree(made[1], out)
    (out / FILE).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"run\.json of damaged cannot be read"):
        read_result(out)


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {"dataset": {}, "options": 3, "labels": [1], "models": None, "units": "x", "versions": None},
        {"dataset": {"subjects": "many"}, "labels": {"guo_los": 3}, "models": [{}, "x"], "options": {"a": [1, 2]}},
    ],
)
def test_a_record_with_other_entries_still_has_lines(strange):
    rows = dict(record_rows({"dataset": {}, **strange}))
    assert rows["Patients"] == "unknown" and rows["Command"] == "called from a program"


def test_resuming_counts_what_was_reused(made):
    dataset, out = made
    assert main(["benchmark", str(dataset), "--out", str(out), *ARGUMENTS]) == 0
    assert read_record(out)["units"] == {"computed": 0, "reused": 4}
