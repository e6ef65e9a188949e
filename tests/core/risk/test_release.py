"""The whole way of an EHRSHOT release: written as one, imported, benchmarked by the command line on all 15 tasks."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from core.cli import main
from core.ehr.tasks import TASKS
from core.risk.cohort import load_task_labels
from core.risk.fewshot import make_shots, shots_to_json
from core.risk.runner import SHOTS_FILE, read_predictions, read_result
from core.risk.subtasks import SUBTASK_BY_KEY

_SPLITS = {"train": "train", "tuning": "val", "held_out": "test"}
_KINDS = {"boolean": "boolean", "severity": "categorical", "findings": "categorical"}


def write_release(folder, dataset):
    """The tests' dataset in the layout of the EHRSHOT release, with few-shot draws of each task."""
    events = pl.read_parquet(dataset.path / "data" / "0.parquet")
    (folder / "data").mkdir(parents=True)
    (folder / "splits").mkdir()
    code = pl.col("code").replace({"MEDS_BIRTH": "SNOMED/3950001"})
    start = pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S")
    events.select(
        pl.col("subject_id").alias("patient_id"),
        start.alias("start"),
        pl.lit(None, pl.String).alias("end"),
        code.alias("code"),
        pl.col("numeric_value").cast(pl.String).alias("value"),
        "unit",
        pl.lit(None, pl.String).alias("visit_id"),
        pl.lit("observation").alias("omop_table"),
    ).write_csv(folder / "data" / "ehrshot.csv")
    splits = dataset.splits()
    pl.DataFrame(
        {"split": [_SPLITS[name] for name in splits["split"]], "omop_person_id": splits["subject_id"]}
    ).write_csv(folder / "splits" / "person_id_map.csv")
    draws = {}
    for task in TASKS:
        out = folder / "benchmark" / task.id
        out.mkdir(parents=True)
        frame = dataset.labels(task.id)
        value = frame["value"].cast(pl.String).replace({"true": "True", "false": "False"})
        pl.DataFrame(
            {
                "patient_id": frame["subject_id"],
                "prediction_time": frame["prediction_time"].dt.strftime("%Y-%m-%dT%H:%M:%S"),
                "value": value,
                "label_type": [_KINDS[task.label_type]] * frame.height,
            }
        ).write_csv(out / "labeled_patients.csv")
        labels, _ = load_task_labels(dataset, task.id)
        drawn = {}
        for key, target in labels.target.items():
            rng = np.random.default_rng(7)  # not the draws that we would make
            train, tuning = (rng.permutation(labels.rows(split)) for split in ("train", "tuning"))
            shots = make_shots(target, train, tuning, [4])
            drawn[SUBTASK_BY_KEY[key].paper_name] = shots_to_json(labels.subject, labels.time, target, shots)
        (out / SHOTS_FILE).write_text(json.dumps(drawn))
        draws[task.id] = drawn
    return draws


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """An imported release and a finished run on it, and the release's draws."""
    folder = tmp_path_factory.mktemp("release")
    draws = write_release(folder / "EHRSHOT_ASSETS", dataset)
    assert main(["import", "ehrshot", str(folder / "EHRSHOT_ASSETS"), str(folder / "ehrshot")]) == 0
    command = ["benchmark", str(folder / "ehrshot"), "--models", "count:lr_lbfgs", "--shots", "4,all"]
    assert main([*command, "--replicates", "20", "--out", str(folder / "run")]) == 0
    return folder, draws


def test_all_tasks_and_findings_of_a_release_are_evaluated(finished):
    folder, _ = finished
    result = read_result(folder / "run")
    auroc = result.results.filter(pl.col("score") == "auroc")
    assert set(auroc["labeling_function"]) == {task.id for task in TASKS}
    assert auroc.filter(pl.col("k") == -1).height == 28 and auroc.filter(pl.col("k") == 4).height == 28 * 5
    macro = result.groups.filter((pl.col("group") == "macro") & (pl.col("score") == "auroc") & (pl.col("k") == -1))
    assert macro["n_groups"].to_list() == [4] and macro["value"][0] > 0.65  # the planted signal
    predictions = read_predictions(folder / "run").filter((pl.col("k") == -1) & (pl.col("sub_task") == "Edema"))
    value = auroc.filter((pl.col("k") == -1) & (pl.col("sub_task") == "Edema"))["value"][0]
    assert roc_auc_score(predictions["label"], predictions["proba"]) == pytest.approx(value, abs=1e-12)


def test_labels_and_splits_are_the_releases(finished, dataset):
    folder, _ = finished
    record = json.loads((folder / "run" / "run.json").read_text())
    for task in TASKS:
        labels, _ = load_task_labels(dataset, task.id)
        expected = {split: len(labels.rows(split)) for split in ("train", "tuning", "held_out")}
        assert record["labels"][task.id] == expected


def test_the_releases_own_draws_are_used(finished):
    folder, draws = finished
    assert not (folder / "run" / "shots").exists()  # none had to be made
    assert not [p for p in read_result(folder / "run").problems if p.kind == "shots_file"]
    kept = json.loads((folder / "ehrshot" / "labels" / "guo_los" / SHOTS_FILE).read_text())
    assert kept == draws["guo_los"]
