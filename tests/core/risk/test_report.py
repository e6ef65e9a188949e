import json
import re
import shutil

import numpy as np
import polars as pl
import pytest

from core.cli import main
from core.commands.benchmark import other_records
from core.ehr.content import records_sha256
from core.ehr.tasks import TASKS
from core.errors import InputError
from core.risk.cards import ITEMS, missing_items
from core.risk.cohort import Problem
from core.risk.heads import load_heads
from core.risk.models import choose_models
from core.risk.report import render_report
from core.risk.report_table import groups_text
from core.risk.results import groups_table, results_table
from core.risk.runner import BenchmarkResult, load_labels, read_result
from core.safety import EXPORT_NOTICE


@pytest.fixture(scope="module")
def run_folder(dataset_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "out"
    arguments = ["benchmark", str(dataset_path), "--out", str(out), "--tasks", "guo_los,lab_anemia"]
    assert main([*arguments, "--models", "count:lr_lbfgs", "--shots", "2,4,all", "--replicates", "20"]) == 0
    return out


def test_the_command_writes_tables_and_a_self_contained_report(run_folder, capsys):
    for name in ("results.csv", "groups.csv", "differences.csv", "problems.csv", "predictions.parquet"):
        assert (run_folder / name).is_file()
    html = (run_folder / "report.html").read_text()
    assert EXPORT_NOTICE in html and "<svg" in html and "Long LOS" in html
    assert "<td>Counts, logistic regression</td>" in html
    assert "leaked" in html and "v5" in html
    assert not re.search(r'(src|href)\s*=\s*"?https?:', html) and "<script" not in html
    assert read_result(run_folder).results.height


def test_bad_arguments_exit_with_one_line(dataset_path, tmp_path, capsys):
    base = ["benchmark", str(dataset_path), "--out", str(tmp_path / "out")]
    for extra in (
        ["--models", "nonsense"],
        ["--models", "count:gbm", "--shots", "minilm=8"],
        ["--ablate-shots", "nonsense"],
        ["--shots", "1000"],
        ["--tasks", "nonsense"],
        ["--models", "count:nonsense"],
        ["--features", str(tmp_path / "none.npz"), "--models", "none"],
        ["--replicates", "1"],
    ):
        assert main([*base, *extra]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and "; " in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--features", "--clmbr", "--shots-data"])
def test_a_path_with_nothing_there_is_told_before_the_work(dataset_path, tmp_path, capsys, option):
    nowhere, out = tmp_path / "nowhere", tmp_path / "out"
    arguments = ["benchmark", str(dataset_path), "--out", str(out), "--shots", "8", option, str(nowhere)]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: there is no {nowhere}; check the path that {option} names\n"
    assert not out.exists()


def test_tasks_without_labels_are_told_and_not_taken_for_a_missing_split(dataset_path, tmp_path, capsys):
    shutil.copytree(dataset_path, tmp_path / "ds")
    shutil.rmtree(tmp_path / "ds" / "labels" / "guo_icu")
    arguments = ["benchmark", str(tmp_path / "ds"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--tasks", "guo_icu", "--models", "count"]) == 2
    assert " has no labels for guo_icu that can be used; name a task that it has (" in capsys.readouterr().err


def test_features_of_other_records_are_noted(dataset, tmp_path):
    folder = tmp_path / "features"
    folder.mkdir()
    own = {"dataset": "ours", "records_sha256": records_sha256(dataset)}
    for manifest, noted in ((own, 0), (own | {"records_sha256": "0" * 64}, 1), ({"dataset": "old"}, 0)):
        (folder / "manifest.json").write_text(json.dumps(manifest))
        problems = other_records(dataset, [f"mine={folder}", str(tmp_path / "vectors.npz")])
        assert [(p.task, p.kind) for p in problems] == [("mine", "other_records")] * noted


def test_a_feature_file_that_cannot_be_read_does_not_stop_the_others(dataset, tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"x")
    labels, problems = load_labels(dataset, ["guo_los"])
    chosen = choose_models(
        dataset, labels, [f"bad={tmp_path / 'bad.npz'}"], None, "bad,count:lr_lbfgs", [], None, problems
    )
    assert [f.name for f in chosen] == ["count"]
    assert [(p.task, p.kind) for p in problems] == [("bad", "failed")]
    with pytest.raises(InputError, match="no model"):
        choose_models(dataset, labels, [f"bad={tmp_path / 'bad.npz'}"], None, "bad", [], None, problems)


def test_two_features_of_one_name_are_refused(dataset, tmp_path):
    labels, problems = load_labels(dataset, ["guo_los"])
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        np.savez(
            tmp_path / folder / "same.npz",
            subject_id=labels["guo_los"].subject,
            prediction_time=labels["guo_los"].time,
            matrix=np.ones((len(labels["guo_los"]), 2), np.float32),
        )
    (tmp_path / "bad.npz").write_bytes(b"x")
    x, y, bad = (str(tmp_path / name) for name in ("x/same.npz", "y/same.npz", "bad.npz"))

    def choose(features, models, clmbr=None):
        return choose_models(dataset, labels, features, clmbr, models, [], None, problems)

    for features in ([x, y], [f"same={bad}", y], [x, f"same={bad}"]):
        with pytest.raises(InputError, match="two feature folders are both named same; write NAME=PATH"):
            choose(features, "same")
    with pytest.raises(InputError, match="both named clmbr"):
        choose([f"clmbr={x}"], "clmbr", tmp_path / "y" / "same.npz")
    with pytest.raises(InputError, match="named count"):
        choose([f"count={x}"], "count")
    assert [one.name for one in choose([x, f"other={y}"], "same,other")] == ["same", "other"]


def test_a_group_of_fewer_tasks_says_so_in_the_report_and_on_the_terminal():
    def row(model, task):
        value = {"lab_anemia": 0.9}.get(task, 0.7)
        return {
            "labeling_function": task, "sub_task": task, "model": model, "head": "lr_lbfgs", "replicate": 0, "k": -1,
            "score": "auroc", "value": value, "std": 0.1, "lower": 0.5, "mean": 0.7, "upper": 0.9, "variant": "",
            "n": 100, "n_positive": 50, "undefined": 0, "chosen": "C=1",
        }  # fmt: skip

    labs = [task.id for task in TASKS if task.group == "lab_values"]
    results = results_table([*(row("whole", task) for task in labs), row("part", "lab_anemia")])
    groups = groups_table(results)
    text = groups_text(groups).splitlines()
    whole, part = (next(line for line in text if line.startswith(name)) for name in ("whole", "part"))
    assert "0.740  " in whole and "(1 of 4 groups, 5 of 28 tasks)" in whole
    assert "0.900 (1 of 5 tasks)" in part and "0.900 (1 of 4 groups, 1 of 28 tasks)" in part
    empty = pl.DataFrame(schema={"task": pl.String})
    html = render_report(BenchmarkResult(results, groups, empty, [], 0, 0), "d")
    assert ", 1 of 5 tasks</td>" in html and ", 1 of 4 groups, 5 of 28 tasks</td>" in html
    assert "5 of 5 tasks" not in html


def test_names_from_data_are_escaped_in_the_report():
    row = {
        "labeling_function": "guo_los",
        "sub_task": "guo_los",
        "model": "<img src=x>",
        "head": "lr_lbfgs",
        "replicate": 0,
        "k": -1,
        "score": "auroc",
        "value": 0.7,
        "std": 0.1,
        "lower": 0.5,
        "mean": 0.7,
        "upper": 0.9,
        "variant": "",
        "n": 100,
        "n_positive": 12,
        "undefined": 0,
        "chosen": "C=1",
    }
    results = results_table([row])
    empty = pl.DataFrame(schema={"task": pl.String})
    problem = Problem("<b>x</b>", "failed", 1, "<script>alert(1)</script>")
    html = render_report(BenchmarkResult(results, groups_table(results), empty, [problem], 0, 0), "<i>d</i>")
    for bad in ("<img", "<script", "<b>x", "<i>d"):
        assert bad not in html
    assert "too few patients" in html


def test_cards_of_trained_heads_are_complete(heads_folder):
    for head in load_heads(heads_folder).values():
        assert missing_items(head.card) == []
        assert set(ITEMS) <= set(head.card)
        json.dumps(head.card, allow_nan=False)
        for group in head.card["subgroups"]:
            assert not group["suppressed"] or "n" not in group


def test_an_incomplete_card_is_found(heads_folder):
    card = dict(load_heads(heads_folder)["guo_los"].card)
    assert missing_items({**card, "licence": ""}) == ["licence"]
    performance = {**card["performance"], "auroc": {"value": 0.7}}
    assert missing_items({**card, "performance": performance}) == ["performance.auroc (value, lower, upper)"]
    assert "calibration.slope" in missing_items({**card, "calibration": {"method": "platt"}})
    assert len(missing_items({})) == len(ITEMS)


def test_card_figures_are_those_of_the_arrays(heads):
    from sklearn.metrics import roc_auc_score

    for head in heads.values():
        value = roc_auc_score(head.reference_target, head.reference_probability)
        assert head.card["performance"]["auroc"]["value"] == pytest.approx(value, abs=5e-5)
        assert head.card["data"]["held_out_positive"] == head.n_positive
        assert np.isfinite(head.reference_raw).all()


def test_no_p_value_is_nought_in_the_report():
    """Ten thousand replicates have p-values down to 0.0002."""
    difference = {
        "task": "guo_los", "k": -1, "a": "x lr_lbfgs", "b": "y lr_lbfgs", "score": "auroc", "difference": 0.1,
        "lower": 0.05, "upper": 0.15, "p_value": 0.0002, "n": 100, "undefined": 0, "p_holm": 0.0004,
    }  # fmt: skip
    results = results_table([])
    html = render_report(BenchmarkResult(results, groups_table(results), pl.DataFrame([difference]), [], 0, 0), "d")
    assert html.count("<td>&lt;0.001</td>") == 2 and "<td>0.000</td>" not in html


def test_the_table_counts_the_patients_behind_a_figure(run_folder):
    results, rows = read_result(run_folder).results, pl.read_parquet(run_folder / "predictions.parquet")
    for (task, k), part in results.group_by("labeling_function", "k"):
        of = rows.filter((pl.col("labeling_function") == task) & (pl.col("k") == k))
        for column, label in (("patients_with", 1), ("patients_without", 0)):
            assert set(part[column]) == {len(set(of.filter(pl.col("label") == label)["patient_id"]))}
