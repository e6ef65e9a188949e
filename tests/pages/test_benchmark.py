"""The Benchmark page: published numbers alone, a finished run in every tab, damaged folders, roles, files, the map."""

import csv
import io
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest

from core import figures, files
from core.access import Identity
from core.ehr.store import open_dataset
from core.embedding.features import Features
from core.risk.embedding_map import has_umap
from core.risk.featuresets import FeatureSet
from core.risk.neighbours import NeighbourPool, save_pool
from core.risk.runner import RunOptions, load_labels, read_predictions, read_result, run_benchmark
from core.risk.subtasks import ALL_SUBTASKS
from pages.shared.benchmark import source
from tests.core.risk.conftest import write_dataset
from tests.pages.conftest import shown
from tests.pages.test_patients import figures as drawn
from tests.pages.test_patients import sound, tables

PAGE = "pages/benchmark.py"
TASKS = ["guo_los", "lab_anemia", "chexpert"]
TABS = (
    "Overview", "Few-shot", "Tasks", "Calibration", "Compare models", "Subgroups", "Ablations", "Problems",
    "Embedding map",
)  # fmt: skip


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Path:
    """A dataset of 360 subjects with labels and splits."""
    return write_dataset(tmp_path_factory.mktemp("benchmark-data") / "shaped")


@pytest.fixture(scope="session")
def run_folder(cohort, tmp_path_factory) -> Path:
    """A finished run: a model that sees the outcomes through noise, another that sees less, and an ablation."""
    dataset = open_dataset(cohort)
    labels, _ = load_labels(dataset, TASKS)
    rng = np.random.default_rng(0)
    of = labels["chexpert"]
    signal = np.stack([*of.target.values(), *(labels[task].target[task] for task in TASKS[:2])], axis=1).astype(float)

    def features(name: str, noise: float, variant: str = "") -> FeatureSet:
        matrix = (signal + noise * rng.normal(size=signal.shape)).astype(np.float32)
        return FeatureSet(name, ("lr_lbfgs",), of.subject, of.time, None, matrix, variant=variant)

    out = tmp_path_factory.mktemp("benchmark") / "results" / "first"
    sets = [features("=sharp", 0.7), features("blunt", 3.0), features("=sharp", 1.5, "context=512")]
    run_benchmark(dataset, sets, out, TASKS, RunOptions(shots=(2, 8, -1), replicates=30))
    shutil.rmtree(out / "units")
    return out


@pytest.fixture
def no_demo(monkeypatch, tmp_path):
    """Without the shipped run."""
    monkeypatch.setattr(source, "DEMO", tmp_path / "none")


def test_published_numbers_stand_alone_with_version_and_command(open_page, no_demo):
    app = open_page(PAGE)
    sound(app)
    text, table = shown(app), tables(app)
    assert "python -m core benchmark" in text and "There is no run of your own yet" in text
    assert "paper v5" in table and "Qwen3-Embedding-8B" in table and "0.769 (0.744–0.794)" in table
    assert "Length-of-stay leak" not in text


def test_the_leak_is_told_wherever_the_first_version_is_shown(open_page, no_demo):
    app = open_page(PAGE)
    app.button_group(key="benchmark-versions").set_value(["v1/v2"]).run()
    sound(app)
    assert "Length-of-stay leak" in shown(app)
    assert "0.774 (0.749–0.798)" in tables(app) and "(leak)" in tables(app)


@pytest.mark.parametrize("tab", ["Overview", "Few-shot", "Ablations"])
def test_a_mean_of_fewer_tasks_says_so_wherever_groups_are_shown(open_page, run_folder, tab):
    app = open_page(PAGE, results=run_folder.parent, query={"benchmark": tab})
    sound(app)
    assert "compare only with values over the same tasks" in shown(app)
    assert "mean of 3 of 4 groups, 16 of 28 tasks" in drawn(app)
    if tab == "Overview":
        assert "1 of 3 tasks" in tables(app) and "3 of 4 groups, 16 of 28 tasks" in tables(app)
        assert "14 of 14" not in tables(app)


def test_a_whole_run_has_no_remark_on_its_tasks(open_page):
    app = open_page(PAGE, query={"benchmark": "Overview"})
    sound(app)
    assert "over the same tasks" not in shown(app) and "of 28 tasks" not in tables(app)


@pytest.mark.parametrize("tab", ["Overview", "Calibration"])
def test_the_shipped_run_says_that_it_is_synthetic(open_page, tab):
    app = open_page(PAGE, query={"benchmark": tab})
    sound(app)
    choice = app.selectbox(key="benchmark-run")
    assert choice.value == source.DEMO_NAME and choice.options[0] == "Demo cohort (synthetic patients)"
    assert "Synthetic patients." in shown(app) and "not comparable to EHRSHOT" in shown(app)
    assert not any(path.suffix == ".csv" for path in source.DEMO.iterdir())
    assert sum(path.stat().st_size for path in source.DEMO.iterdir()) < 3_000_000


def test_the_shipped_run_is_whole_and_its_predictions_are_those_behind_its_results():
    result, predictions = read_result(source.DEMO), read_predictions(source.DEMO)
    assert set(result.results.select("model", "head").unique().iter_rows()) == {
        ("minilm", "lr_lbfgs"), ("count", "lr_lbfgs"), ("count", "gbm"),
    }  # fmt: skip
    record = result.record
    assert record["dataset"]["synthetic"] is True and record["dataset"]["subjects"] == 2000
    assert not re.search(r"(?:^|[ \"])/\w", json.dumps(record).replace("\\/", "/"))  # no path of a machine
    auroc = result.results.filter((pl.col("score") == "auroc") & (pl.col("k") == -1) & (pl.col("variant") == ""))
    for task, sub, model, head, value in auroc.select(
        "labeling_function", "sub_task", "model", "head", "value"
    ).iter_rows():
        rows = predictions.filter(
            (pl.col("labeling_function") == task) & (pl.col("sub_task") == sub) & (pl.col("model") == model)
            & (pl.col("head") == head) & (pl.col("k") == -1)
        )  # fmt: skip
        assert roc_auc_score(rows["label"], rows["proba"]) == pytest.approx(value, abs=1e-9), (sub, model, head)
    few = predictions.filter(pl.col("k") != -1).select("model", "head", "k").unique().rows()
    assert {k for model, head, k in few if model == "minilm"} == {8, 32, 128}


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_without_a_run(open_page, no_demo, tab):
    app = open_page(PAGE, query={"benchmark": tab})
    sound(app)


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_with_a_run(open_page, run_folder, cohort, tab):
    app = open_page(PAGE, datasets=cohort, query={"benchmark": tab}, results=run_folder.parent)
    sound(app)
    assert "need a run" not in shown(app)


def test_choices_stay_while_another_tab_or_page_is_read(open_page, run_folder, cohort, no_demo):
    def score(app: AppTest):
        return next(group for group in app.get("button_group") if group.key == "overview-score")

    app = open_page(PAGE, datasets=cohort, results=run_folder.parent)
    score(app).set_value("auprc").run()
    for tab in ("Tasks", "Tasks", "Overview"):
        app.session_state["benchmark"] = tab
        sound(app.run())
    assert score(app).value == "auprc"
    app.switch_page("pages/model_facts.py").run()
    app.switch_page(PAGE).run()
    sound(app)
    assert score(app).value == "auprc"


def test_problems_name_tasks_findings_and_feature_sets_in_words(open_page, run_folder, cohort, tmp_path):
    results = tmp_path / "results"
    folder = shutil.copytree(run_folder, results / "first")
    rows = [("guo_los", "no_split", 3), ("chexpert.pleural_effusion", "one_class", 1), ("count", "failed", 0)]
    found = [{"task": task, "kind": kind, "count": n, "message": "left out"} for task, kind, n in rows]
    schema = pl.read_parquet_schema(folder / "problems.parquet")
    pl.DataFrame(found, schema=schema).write_parquet(folder / "problems.parquet")
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Problems"}, results=results)
    sound(app)
    table = tables(app)
    assert all(name in table for name in ("Long LOS", "Pleural Effusion", "Counts", "labels outside of the splits"))
    assert not any(task in table for task, _, _ in rows)


def said(app: AppTest) -> str:
    """All that a page shows: texts, labels, options, alt texts, figures and tables with their headings."""
    return "\n".join([*(str(getattr(node, "proto", "")) for node in app.main), tables(app)])


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("folder", ["a run of one's own", "the shipped run"])
def test_models_are_named_in_words(open_page, run_folder, cohort, tab, folder):
    own = {"datasets": cohort, "results": run_folder.parent} if folder != "the shipped run" else {}
    app = open_page(PAGE, query={"benchmark": tab}, **own)
    sound(app)
    for family in ("context", "lookback", "instruction", "sections") if tab == "Ablations" else ("",):
        if family:
            app.button_group(key="ablation-family").set_value(family).run()
            sound(app)
        text = said(app)
        assert "logistic regression" in text  # the line below the choice of a run, at least
        assert not re.search(r"lr_lbfgs|count gbm|\[(?:context|lookback)=", text)


def test_compared_models_are_chosen_by_key_and_shown_in_words(open_page):
    app = open_page(PAGE, query={"benchmark": "Compare models"})
    choice = app.selectbox(key="compare-b")
    assert "minilm, logistic regression, context 2,048 tokens" in choice.options
    assert "minilm, logistic regression, look-back 1 year" in choice.options
    choice.set_value("minilm lr_lbfgs [lookback=1y]").run()
    sound(app)
    table = pl.read_parquet(source.DEMO / "differences.parquet").filter(
        (pl.col("a") == "minilm lr_lbfgs") & (pl.col("b") == "minilm lr_lbfgs [lookback=1y]") & (pl.col("k") == -1)
        & (pl.col("score") == "auroc")
    )  # fmt: skip
    shown_ = sorted(app.dataframe[0].value["A minus B"])
    assert shown_ == sorted(table["difference"]) and shown_


def test_how_a_run_was_made_names_its_models_in_words(open_page):
    app = open_page(PAGE)
    app.session_state["benchmark-made"] = True
    app.run()
    rows = next(frame.value for frame in app.dataframe if "What" in frame.value.columns).set_index("What")["Value"]
    assert rows["Model Counts"].iloc[0].startswith("logistic regression, ")
    assert rows["Model minilm, look-back 1 year"].startswith("logistic regression, 384 features")
    assert not rows[rows.index != "Command"].str.contains("lr_lbfgs").any()  # the command is to be typed again


def test_any_run_on_synthetic_patients_says_so_and_tells_how_it_was_made(open_page, run_folder, cohort, tmp_path):
    made = tmp_path / "results" / "made-up"
    shutil.copytree(run_folder, made)
    record = json.loads((made / "run.json").read_text())
    record["dataset"] |= {"synthetic": True, "name": "<b>made</b>"}
    record["command"] = "python -m core benchmark made"
    (made / "run.json").write_text(json.dumps(record))
    app = open_page(PAGE, datasets=cohort, results=made.parent)
    sound(app)
    assert app.selectbox(key="benchmark-run").options[0] == "made-up (synthetic patients)"
    assert "Synthetic patients." in shown(app) and "not comparable to EHRSHOT" in shown(app)
    app.session_state["benchmark-made"] = True
    app.run()
    assert "python -m core benchmark made" in tables(app) and record["dataset"]["sha256"] in tables(app)
    assert "not comparable to EHRSHOT" in drawn(app) or any(
        "not comparable" in caption.value for caption in app.caption
    )


def test_a_run_on_real_patients_has_no_such_label_and_one_without_a_record_says_unknown(
    open_page, run_folder, cohort, tmp_path
):
    app = open_page(PAGE, datasets=cohort, results=run_folder)
    sound(app)
    assert "Synthetic patients." not in shown(app) and "Unknown patients." not in shown(app)
    assert app.selectbox(key="benchmark-run").options[0] == run_folder.name
    old = tmp_path / "old"
    shutil.copytree(run_folder, old)
    (old / "run.json").unlink()
    app = open_page(PAGE, datasets=cohort, results=old)
    sound(app)
    assert "Unknown patients." in shown(app)


def test_our_values_stand_beside_the_published_ones(open_page, run_folder, cohort):
    app = open_page(PAGE, datasets=cohort, results=run_folder)
    groups = pl.read_parquet(run_folder / "groups.parquet").filter(
        (pl.col("score") == "auroc") & (pl.col("k") == -1) & (pl.col("group") == "macro") & (pl.col("variant") == "")
    )
    table = app.dataframe[0].value
    ours = table[table["Source"] == "This run"]
    assert len(ours) == 2 and "paper v5" in set(table["Source"])
    for model, value in groups.select("model", "value").iter_rows():
        assert ours[ours["Model"] == f"{model}, logistic regression"]["Macro"].item().startswith(f"{value:.3f}")
    assert "3 of 4 groups" in ours["Macro"].iloc[0]


def test_the_best_model_stands_on_top_whichever_way_a_score_counts(open_page, run_folder, cohort):
    app = open_page(PAGE, datasets=cohort, results=run_folder)
    for score, better in (("auroc", max), ("brier", min)):
        app.button_group(key="overview-score").set_value(score).run()
        sound(app)
        table = app.dataframe[0].value
        ours = table[table["Source"] == "This run"]["Macro"].str[:5].astype(float).tolist()
        assert len(ours) == 2 and ours[0] == better(ours)
    assert "Brier score, uncalibrated" in drawn(app), "another number than the calibrated one of the tab Tasks"


def test_few_shot_curves_have_ours_and_the_leaderboards(open_page, run_folder, cohort):
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Few-shot"}, results=run_folder)
    app.selectbox(key="few-shot-place").set_value("operational_outcomes").run()
    sound(app)
    spec = drawn(app)
    assert (
        "=sharp, logistic regression" in spec
        and "CLMBR-T-Base" in spec
        and "Leaderboard v3.2" in spec
        and "paper v5" in spec
    )


def looks_of(app) -> dict[str, set[tuple[str, str]]]:
    """Colour and shape of each named trace of a page's first figure."""
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    found: dict[str, set[tuple[str, str]]] = {}
    for trace in spec["data"]:
        marker = trace.get("marker") or {}
        if not trace.get("name") or "symbol" not in marker:
            continue
        symbols = marker["symbol"] if isinstance(marker["symbol"], list) else [marker["symbol"]]
        found.setdefault(trace["name"], set()).update((marker["color"], s.removesuffix("-open")) for s in symbols)
    return found


def test_a_model_keeps_its_colour_and_mark_on_every_tab(open_page, run_folder, cohort):
    def tab(name, **choices):
        app = open_page(PAGE, datasets=cohort, query={"benchmark": name}, results=run_folder)
        for key, value in choices.items():
            widget = app.button_group if key == "benchmark-versions" else app.selectbox
            widget(key=key).set_value(value).run()
        return looks_of(app)

    board = {"benchmark-versions": ["EHRSHOT leaderboard v3.2"]}
    seen = [
        tab("Few-shot", **{"few-shot-place": "macro"}),
        tab("Few-shot", **{"few-shot-place": "operational_outcomes"}),
        tab("Few-shot", **{"few-shot-place": "operational_outcomes"}, **board),
        tab("Tasks"),
        tab("Tasks", **board),
        tab("Calibration"),
        tab("Ablations"),
    ]
    merged: dict[str, set[tuple[str, str]]] = {}
    for found in seen:
        for name, marks in found.items():
            merged.setdefault(name, set()).update(marks)
    assert all(len(marks) == 1 for marks in merged.values()), merged
    assert {"=sharp, logistic regression", "blunt, logistic regression"} <= merged.keys() and len(merged) > 6
    assert len({mark for marks in merged.values() for mark in marks}) == len(merged), "no two models look alike"


def test_few_positives_are_marked(open_page, run_folder, cohort):
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Tasks"}, results=run_folder)
    table = app.dataframe[0].value
    few = table["Positives"] < 30
    assert (table[few]["Estimate"] == "not reliable").all() and (table[~few]["Estimate"] == "reliable").all()
    assert set(table["Model"]) == {"=sharp, logistic regression", "blunt, logistic regression"}


def test_the_better_model_wins_the_paired_comparison(open_page, run_folder, cohort):
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Compare models"}, results=run_folder)
    first = app.dataframe[0].value
    assert (first["A minus B"] > 0).all()  # numbers: a column of text would be sorted as text
    a, b = app.selectbox(key="compare-a").value, app.selectbox(key="compare-b").value
    app.selectbox(key="compare-a").set_value(b).run()
    app.selectbox(key="compare-b").set_value(a).run()
    turned = app.dataframe[0].value.set_index("Task")["A minus B"]
    for task, value in first.set_index("Task")["A minus B"].items():
        assert turned[task] == -value


def test_subgroups_need_the_patients_and_hide_small_cells(open_page, run_folder, cohort):
    app = open_page(PAGE, query={"benchmark": "Subgroups"}, results=run_folder)
    sound(app)
    assert "The dataset of this run is not offered here" in shown(app)
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Subgroups"}, results=run_folder)
    table = app.dataframe[0].value
    assert set(table["By"]) == {"sex", "age band", "record length"}
    hidden = table[table["Patients"] == "suppressed"]
    assert (hidden[["Labels", "Positives", "Brier score"]] == "").all(axis=None)


def test_a_damaged_run_is_one_sentence(open_page, run_folder, tmp_path):
    broken = tmp_path / "results" / "broken"
    shutil.copytree(run_folder, broken)
    (broken / "groups.parquet").write_bytes(b"no parquet")
    app = open_page(PAGE, results=broken.parent)
    sound(app)
    assert "Broken holds no finished benchmark" in shown(app) and "Traceback" not in shown(app)


def test_a_run_with_other_columns_and_a_missing_folder_are_one_sentence(open_page, run_folder, tmp_path):
    odd = tmp_path / "results" / "odd"
    shutil.copytree(run_folder, odd)
    pl.read_parquet(odd / "results.parquet").drop("n_positive").write_parquet(odd / "results.parquet")
    app = open_page(PAGE, results=odd)
    sound(app)
    assert "lacks n" in shown(app)
    app = open_page(PAGE, results=tmp_path / "nowhere")
    sound(app)
    assert "The results folder nowhere does not exist" in shown(app)


def test_a_run_without_predictions_still_has_its_other_tabs(open_page, run_folder, tmp_path):
    lean = tmp_path / "lean"
    shutil.copytree(run_folder, lean)
    (lean / "predictions.parquet").unlink()
    app = open_page(PAGE, query={"benchmark": "Calibration"}, results=lean)
    sound(app)
    assert "Lean has no predictions" in shown(app)


def test_a_viewer_may_look_but_not_download(open_page, run_folder, monkeypatch):
    monkeypatch.setattr("pages.shared.sign_in.local_identity", lambda: Identity("vera", "viewer"))
    app = open_page(PAGE, results=run_folder)
    sound(app)
    assert not app.get("download_button")
    assert all(button.disabled for button in app.button if button.label in ("PNG", "SVG", "CSV"))


def test_files_carry_the_notice_and_no_formula(open_page, run_folder, cohort, monkeypatch):
    taken = {}
    monkeypatch.setattr(
        "pages.shared.downloads.button", lambda label, data, name, *rest, **more: taken.update({name: data})
    )
    open_page(PAGE, datasets=cohort, query={"benchmark": "Few-shot"}, results=run_folder)
    made = {name: data() for name, data in taken.items()}
    lines = made["benchmark-few-shot.csv"].splitlines()
    assert "Not a medical device" in lines[0]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[1:]))))
    assert {row["series"] for row in rows} >= {"'=sharp, logistic regression"}
    assert not any(value.startswith("=") for row in rows for value in row.values())
    k = {row["Training examples of each class (k)"] for row in rows}
    assert k == {"2", "8", "all"}, "the number of examples, not the place on the paper"
    assert all(f", k = {row['Training examples of each class (k)']}: " in row["note"] for row in rows)
    svg = made["benchmark-few-shot.svg"].decode()
    assert ElementTree.fromstring(svg).tag.endswith("svg") and "Not a medical device" in svg
    assert "=sharp, logistic regression" in svg and "lr_lbfgs" not in svg
    assert Image.open(io.BytesIO(made["benchmark-few-shot.png"])).size[0] > 1000


def test_a_cell_that_a_spreadsheet_would_run_is_made_inert():
    import pandas as pd

    text = files.csv_text(pd.DataFrame({"=a": ["=1+1", "@x", "+2", "-3.5", "plain"], "n": [1, 2, 3, 4, -5]}))
    assert text.splitlines()[1:] == ["'=a,n", "'=1+1,1", "'@x,2", "+2,3", "-3.5,4", "plain,-5"]


@pytest.mark.parametrize("count", [1, 9])
def test_the_notice_lies_inside_the_picture_and_below_the_legend(count):
    series = [figures.Series(f"series {i}", [0.0, 1.0], [0.0, 1.0]) for i in range(count)]
    svg = figures.render(figures.Plot("t", "a", series, note="a note " * 60), "svg").decode()
    height = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[1])
    places = {text: float(y) for y, text in re.findall(r"translate\([\d.-]+ ([\d.-]+)\)[^>]*>([^<]+)<", svg)}
    notice = next(y for text, y in places.items() if "Not a medical device" in text)
    assert notice < height
    notes = min(y for text, y in places.items() if "a note" in text)
    assert all(y < notes for text, y in places.items() if "a note" not in text and "Chartlight" not in text)


def test_the_table_of_a_plot_has_its_marks():
    series = figures.Series("m", [1.0, None], [0.0, 1.0], [0.5, None], [1.5, None], ["one", "gap"])
    plot = figures.Plot("t", "a", [series], x_title="AUROC", y_title="task", rows=["first", "second"])
    assert figures.table(plot).to_dict("records") == [
        {"series": "m", "task": "first", "AUROC": 1.0, "lower": 0.5, "upper": 1.5, "note": "one"}
    ]


@pytest.fixture
def heads_folder(cohort, tmp_path) -> Path:
    """Heads' pool of a few records of the cohort, with unknown outcomes among them."""
    labels, _ = load_labels(open_dataset(cohort), ["guo_los"])
    of = labels["guo_los"]
    n = 60
    outcome = np.full((n, len(ALL_SUBTASKS)), -1, np.int8)
    outcome[:40, 0] = of.target["guo_los"][:40]
    matrix = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    folder = tmp_path / "heads" / "tiny"
    folder.mkdir(parents=True)
    save_pool(NeighbourPool(matrix, of.subject[:n], of.time[:n], outcome), folder)
    return folder.parent


def test_the_map_colours_outcomes_and_leaves_unknown_grey(open_page, cohort, heads_folder):
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Embedding map"}, heads=heads_folder)
    sound(app)
    spec = drawn(app)
    assert '"unknown"' in spec and '"had it"' in spec and "Distances on a plane mislead" in shown(app)
    app.selectbox(key="map-colour").set_value("sex").run()
    sound(app)
    assert '"female"' in drawn(app) and '"male"' in drawn(app)


@pytest.mark.slow
@pytest.mark.skipif(not has_umap(), reason="umap-learn is not installed (requirements-umap.txt)")
def test_umap_is_offered_beside_pca_and_drawn(open_page, cohort, heads_folder):
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Embedding map"}, heads=heads_folder)
    method = app.button_group(key="map-method")
    assert method.value == "pca"
    before = drawn(app)
    method.set_value("umap").run()
    sound(app)
    assert drawn(app) != before and '"had it"' in drawn(app)
    assert "of the variance" not in shown(app) and "Distances on a plane mislead" in shown(app)


def test_the_map_reads_a_features_folder(open_page, cohort, tmp_path, monkeypatch):
    folder = tmp_path / "features"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    labels, _ = load_labels(open_dataset(cohort), ["guo_los"])
    of = labels["guo_los"]
    matrix = np.random.default_rng(1).normal(size=(len(of), 6)).astype(np.float32)
    features = Features(of.subject, of.time, np.array(["all"] * len(of), object), matrix, {})
    monkeypatch.setattr("pages.shared.benchmark.vectors.read_features", lambda path: features)
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Embedding map"}, features=folder, heads=tmp_path)
    sound(app)
    positive = int(of.target["guo_los"].sum())
    assert f"{positive:,} had it" in drawn(app) or f"{positive:,} had it" in "".join(
        chart.proto.alt for chart in app.get("plotly_chart") if hasattr(chart.proto, "alt")
    )


def test_a_damaged_pool_is_one_sentence(open_page, heads_folder):
    (heads_folder / "tiny" / "neighbours.npz").write_bytes(b"no archive")
    app = open_page(PAGE, query={"benchmark": "Embedding map"}, heads=heads_folder)
    sound(app)
    assert "cannot be read" in shown(app)


def test_without_embeddings_the_map_says_how_to_make_them(open_page, tmp_path):
    app = open_page(PAGE, query={"benchmark": "Embedding map"}, heads=tmp_path / "none")
    sound(app)
    assert "python -m core embed" in shown(app)


def test_a_difference_without_a_defined_replicate_has_no_interval(open_page, run_folder, cohort, tmp_path):
    """Of few patients every resample of a finding may have one class; that excludes nothing."""
    folder = tmp_path / "rare"
    shutil.copytree(run_folder, folder)
    nan, of_task = float("nan"), pl.col("task") == "chexpert"
    ends = {"lower": -1.0, "upper": 1.0, "p_value": 0.5, "p_holm": 0.5}
    table = pl.read_parquet(folder / "differences.parquet").with_columns(
        **{name: pl.when(of_task).then(nan).otherwise(value) for name, value in ends.items()}
    )
    table.write_parquet(folder / "differences.parquet")
    app = open_page(PAGE, datasets=cohort, query={"benchmark": "Compare models"}, results=folder)
    sound(app)
    row = app.dataframe[0].value.set_index("Task").loc["Chest X-ray Findings"]
    assert (row["95 % interval"], row["p"], row["p, Holm"]) == ("not defined",) * 3
    text = shown(app)
    assert "across 2 tasks" in text and "2 show no clear difference. Not tested: 1" in text
    assert "exclude" not in text and "nan" not in drawn(app)


def test_the_benchmark_calls_reliable_what_a_score_does(open_page):
    """32 positives of 25 patients: Risk gives no reliable estimate of hypertension with the shipped heads."""
    table = open_page(PAGE, query={"benchmark": "Tasks"}).dataframe[0].value.set_index("Task")
    row = table.loc["Hypertension"].iloc[0]
    assert (row["Positives"], row["Of patients"], row["Estimate"]) == (32, 25, "not reliable")
    assert (table.drop("Hypertension")["Estimate"] == "reliable").all()
    app = open_page(PAGE, query={"benchmark": "Calibration"})
    app.selectbox(key="calibration-task").set_value("new_hypertension").run()
    sound(app)
    assert "25 held-out patients of the rarer outcome, fewer than 30" in shown(app)


def test_subgroups_say_on_how_few_examples_their_models_learned(open_page, run_folder, cohort, tmp_path):
    folder = tmp_path / "few"
    shutil.copytree(run_folder, folder)
    rows = pl.read_parquet(folder / "predictions.parquet")
    rows.filter(pl.col("k") != -1).write_parquet(folder / "predictions.parquet")
    for results, said in ((run_folder, False), (folder, True)):
        app = open_page(PAGE, datasets=cohort, query={"benchmark": "Subgroups"}, results=results)
        sound(app)
        assert ("Trained on 8 examples a class." in shown(app)) == said
