import json
import re

import numpy as np
import polars as pl
import pytest

from core.cli import main
from core.errors import InputError
from core.risk.cards import ITEMS, missing_items
from core.risk.cohort import Problem
from core.risk.heads import load_heads
from core.risk.models import choose_models
from core.risk.report import render_report
from core.risk.results import groups_table, results_table
from core.risk.runner import BenchmarkResult, read_result
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


def test_a_feature_file_that_cannot_be_read_does_not_stop_the_others(dataset, tmp_path):
    from core.risk.runner import load_labels

    (tmp_path / "bad.npz").write_bytes(b"x")
    labels, problems = load_labels(dataset, ["guo_los"])
    chosen = choose_models(
        dataset, labels, [f"bad={tmp_path / 'bad.npz'}"], None, "bad,count:lr_lbfgs", [], None, problems
    )
    assert [f.name for f in chosen] == ["count"]
    assert [(p.task, p.kind) for p in problems] == [("bad", "failed")]
    with pytest.raises(InputError, match="no model"):
        choose_models(dataset, labels, [f"bad={tmp_path / 'bad.npz'}"], None, "bad", [], None, problems)


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
    assert "few positives" in html


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
