"""The benchmark run whole on a generated EHRSHOT-shaped dataset, and on every kind of bad input."""

import json
import shutil
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from core.ehr.store import open_dataset
from core.ehr.tasks import TASK_BY_ID, TASKS
from core.errors import InputError
from core.risk import runner
from core.risk.bootstrap import Resamples
from core.risk.cohort import TaskLabels, load_task_labels
from core.risk.featuresets import FeatureSet, join, read_precomputed
from core.risk.models import choose_models
from core.risk.report import render_report, write_report
from core.risk.results import COLUMNS, differences_table, groups_table, results_table
from core.risk.runner import (
    BenchmarkResult,
    RunOptions,
    count_feature_set,
    load_labels,
    read_predictions,
    read_result,
    run_benchmark,
)
from core.risk.units import UnitPart, UnitResult, UnitSpec, load_unit, run_unit

from .conftest import write_labels


@pytest.fixture(scope="module")
def whole(dataset, embedded, tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "out"
    options = RunOptions(shots=(2, 8, -1), replicates=50)
    return out, run_benchmark(dataset, [embedded], out, [task.id for task in TASKS], options)


def test_every_task_sub_task_and_shot_has_its_rows(whole):
    _, result = whole
    table = result.results
    assert table.columns[: len(COLUMNS)] == list(COLUMNS)
    auroc = table.filter(pl.col("score") == "auroc")
    assert auroc.filter(pl.col("k") == -1).height == 28
    assert auroc.filter(pl.col("k") == 8).height == 28 * 5
    assert set(auroc["labeling_function"]) == {task.id for task in TASKS}
    assert not result.problems


def test_values_equal_scikit_learn_on_the_predictions(whole):
    out, result = whole
    predictions = read_predictions(out)
    keys = ["labeling_function", "sub_task", "k", "replicate"]
    for key, rows in predictions.group_by(keys):
        got = result.results.filter(pl.all_horizontal(pl.col(n) == v for n, v in zip(keys, key)))
        value = dict(zip(got["score"], got["value"]))
        label, proba = rows["label"].to_numpy(), rows["proba"].to_numpy()
        assert value["auroc"] == pytest.approx(roc_auc_score(label, proba), abs=1e-12)
        assert value["auprc"] == pytest.approx(average_precision_score(label, proba), abs=1e-12)
        assert value["brier"] == pytest.approx(brier_score_loss(label, proba), abs=1e-12)


def test_evaluation_is_always_on_the_whole_held_out_split(whole, dataset):
    out, _ = whole
    predictions = read_predictions(out)
    labels, _ = load_task_labels(dataset, "guo_los")
    for _, rows in predictions.filter(pl.col("labeling_function") == "guo_los").group_by(["k", "replicate"]):
        assert rows.height == len(labels.rows("held_out"))
    splits = dict(dataset.splits().iter_rows())
    assert {splits[i] for i in predictions["patient_id"].unique()} == {"held_out"}


def test_groups_follow_the_papers_rule(whole):
    _, result = whole
    auroc = result.results.filter((pl.col("score") == "auroc") & (pl.col("k") == -1))
    groups = result.groups.filter((pl.col("score") == "auroc") & (pl.col("k") == -1))
    by_group = {}
    for task, value in auroc.select("labeling_function", "value").iter_rows():
        by_group.setdefault(TASK_BY_ID[task].group, []).append(value)
    for group, values in by_group.items():
        assert groups.filter(pl.col("group") == group)["value"][0] == pytest.approx(np.mean(values))
    macro = groups.filter(pl.col("group") == "macro")
    assert macro["value"][0] == pytest.approx(np.mean([np.mean(v) for v in by_group.values()]))
    assert macro["n_groups"][0] == 4 and macro["n_tasks"][0] == 28


def test_more_shots_are_better_and_calibration_undoes_the_balance(whole):
    _, result = whole
    macro = result.groups.filter((pl.col("group") == "macro") & (pl.col("score") == "auroc")).sort("k")
    by_k = dict(zip(macro["k"], macro["value"]))
    assert by_k[-1] > by_k[2]
    brier = result.results.filter(pl.col("k") == 8).group_by("score").agg(pl.col("value").mean())
    value = dict(brier.iter_rows())
    assert value["brier_calibrated"] < value["brier"]


def test_a_finished_unit_is_not_computed_again_and_a_damaged_one_is(whole, dataset, embedded):
    out, first = whole
    options = RunOptions(shots=(2, 8, -1), replicates=50)
    tasks = [task.id for task in TASKS]
    again = run_benchmark(dataset, [embedded], out, tasks, options)
    assert again.computed == 0 and again.reused == first.computed
    assert again.results.equals(first.results)
    unit = sorted((out / "units").glob("guo_los.*.npz"))[0]
    unit.write_bytes(unit.read_bytes()[:100])
    repaired = run_benchmark(dataset, [embedded], out, tasks, options)
    assert repaired.computed == 1 and repaired.results.equals(first.results)
    assert not list(out.rglob(".*"))
    assert read_result(out).results.equals(first.results)


def test_other_data_or_options_take_no_old_unit(whole, dataset, embedded, tmp_path):
    out, _ = whole
    changed = FeatureSet("hash-words", ("lr_lbfgs",), embedded.subject, embedded.time, None, embedded.matrix * 2 + 0.1)
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    options = RunOptions(shots=(-1,), replicates=50)
    assert run_benchmark(dataset, [changed], copy, ["guo_los"], options).computed == 1
    assert run_benchmark(dataset, [embedded], copy, ["guo_los"], RunOptions(replicates=20)).computed == 1


def test_models_are_compared_in_pairs_with_holm(dataset, embedded, tmp_path):
    noise = FeatureSet(
        "noise",
        ("lr_lbfgs",),
        embedded.subject,
        embedded.time,
        None,
        np.random.default_rng(0).normal(size=embedded.matrix.shape).astype(np.float32),
    )
    tasks = ["guo_los", "lab_anemia", "chexpert"]
    result = run_benchmark(dataset, [embedded, noise], tmp_path, tasks, RunOptions(replicates=100))
    auroc = result.differences.filter(pl.col("score") == "auroc")
    assert set(auroc["task"]) == set(tasks)
    assert (auroc["difference"] > 0.1).all() and (auroc["lower"] > 0).all()
    assert (auroc["p_holm"] >= auroc["p_value"]).all()
    own = result.results.filter((pl.col("labeling_function") == "chexpert") & (pl.col("score") == "auroc"))
    mean = own.group_by("model").agg(pl.col("value").mean())
    by_model = dict(mean.iter_rows())
    got = auroc.filter(pl.col("task") == "chexpert")["difference"][0]
    assert got == pytest.approx(by_model["hash-words"] - by_model["noise"], abs=1e-9)


def test_ablations_run_with_their_own_shots_and_meet_only_unchanged_models(dataset, embedded, tmp_path):
    variants = [replace(embedded, variant=f"context={n}", shots=(-1,)) for n in (1, 2)]
    options = RunOptions(shots=(2, -1), replicates=20)
    result = run_benchmark(dataset, [embedded, *variants], tmp_path, ["guo_los"], options)
    of = result.results.group_by("variant").agg(pl.col("k").unique().sort())
    assert {variant: ks for variant, ks in of.iter_rows()} == {"": [-1, 2], "context=1": [-1], "context=2": [-1]}
    pairs = set(result.differences.select("a", "b").iter_rows())
    base = "hash-words lr_lbfgs"
    assert pairs == {(base, f"{base} [context=1]"), (base, f"{base} [context=2]")}
    assert (result.differences["difference"] == 0).all()  # the same features


def test_a_difference_says_how_many_replicates_it_leaves_out(dataset):
    rng, n = np.random.default_rng(0), 200
    keys = ["chexpert.edema", "chexpert.fracture", "chexpert.pneumonia"]
    target = {keys[0]: (rng.random(n) < 0.3).astype(np.int8)}
    target |= {key: (np.arange(n) == i).astype(np.int8) for i, key in enumerate(keys[1:])}  # one positive patient each
    labels = TaskLabels(
        "chexpert", np.arange(n), np.full(n, np.datetime64("2020-01-01", "us")), np.full(n, "held_out"), target
    )

    def unit(name, k):
        spec, rows = UnitSpec("chexpert", name, "", "lr_lbfgs", k, False, 400, 0), np.arange(n)
        of = keys if k == -1 else keys[:1]
        scores = {key: 0.3 * target[key] + 0.7 * rng.random(n) for key in of}
        parts = tuple(UnitPart(key, 0, rows, p, p, np.zeros((3, 1)), "") for key, p in scores.items())
        return UnitResult(spec, parts, ())

    table = differences_table([unit(name, k) for name in "ab" for k in (-1, 8)], {"chexpert": labels})
    drawn = Resamples(np.arange(n), 400, 0).counts
    lost = int((drawn[:, :2] == 0).any(axis=1).sum())  # without one of the two lone patients
    assert 200 < lost < 280
    undefined = dict(table.filter(pl.col("score") == "auroc").select("k", "undefined").iter_rows())
    assert undefined == {-1: lost, 8: 0}


def test_counts_beat_chance_with_both_heads(dataset, tmp_path):
    labels, _ = load_labels(dataset, ["guo_los"])
    counts = count_feature_set(dataset, labels)
    result = run_benchmark(dataset, [counts], tmp_path, ["guo_los"], RunOptions(replicates=20))
    auroc = result.results.filter(pl.col("score") == "auroc")
    assert set(auroc["head"]) == {"gbm", "lr_lbfgs"} and (auroc["value"] > 0.7).all()
    chosen = auroc.filter(pl.col("head") == "gbm")["chosen"][0]
    assert "learning_rate=" in chosen


def test_precomputed_features_as_npz_and_parquet(embedded, tmp_path, dataset):
    np.savez(
        tmp_path / "clmbr.npz",
        patient_ids=embedded.subject,
        labeling_time=embedded.time.astype("datetime64[s]"),
        data_matrix=embedded.matrix,
    )
    pl.DataFrame(
        {
            "subject_id": embedded.subject,
            "prediction_time": embedded.time,
            "embedding": [row.tolist() for row in embedded.matrix],
        }
    ).write_parquet(tmp_path / "clmbr.parquet")
    for name in ("clmbr.npz", "clmbr.parquet"):
        read = read_precomputed(tmp_path / name, "clmbr")
        assert (read.subject == embedded.subject).all() and (read.time == embedded.time).all()
        assert np.abs(read.matrix - embedded.matrix).max() < 1e-6
    both = join([embedded, read_precomputed(tmp_path / "clmbr.npz", "clmbr")])
    assert both.name == "hash-words+clmbr" and both.dimension == 2 * embedded.dimension


def test_a_pickle_and_uneven_vectors_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", patient_ids=np.array([object()], dtype=object))
    with pytest.raises(InputError, match="pickle"):
        read_precomputed(tmp_path / "x.npz", "clmbr")
    stamp = [datetime(2020, 1, 1)] * 2
    frame = pl.DataFrame({"subject_id": [1, 2], "prediction_time": stamp, "embedding": [[1.0, 2.0], [1.0]]})
    frame.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="different lengths"):
        read_precomputed(tmp_path / "x.parquet", "clmbr")
    with pytest.raises(InputError, match="no features file"):
        read_precomputed(tmp_path / "none.npz", "clmbr")


@pytest.fixture
def broken(dataset_path, tmp_path):
    """The dataset with everything wrong that labels can have."""
    folder = tmp_path / "broken"
    shutil.copytree(dataset_path, folder)
    good = pl.read_parquet(folder / "labels" / "guo_los" / "labels.parquet")
    first = good.row(0)
    rows = good.rows()
    rows += [rows[5], rows[5]]  # two repetitions
    rows += [(first[0], first[1], not first[2])]  # a contradiction
    rows += [(90_001, first[1], True), (90_002, first[1], False)]  # unknown subjects
    rows += [(first[0], datetime(1900, 1, 1), True)]  # before birth
    write_labels(folder, TASK_BY_ID["guo_los"], rows)
    times = good["prediction_time"].to_list()
    write_labels(folder, TASK_BY_ID["guo_icu"], [(s, t, False) for s, t in zip(good["subject_id"], times)])
    splits = pl.read_parquet(folder / "metadata" / "subject_splits.parquet")
    held = set(splits.filter(pl.col("split") == "held_out")["subject_id"])
    rows = pl.read_parquet(folder / "labels" / "new_lupus" / "labels.parquet").rows()
    write_labels(folder, TASK_BY_ID["new_lupus"], [(s, t, v and s not in held) for s, t, v in rows])
    splits.filter(pl.col("subject_id") > 3).write_parquet(folder / "metadata" / "subject_splits.parquet")
    rows = pl.read_parquet(folder / "labels" / "lab_anemia" / "labels.parquet").rows()
    write_labels(folder, TASK_BY_ID["lab_anemia"], [(*row[:2], 9) if i < 4 else row for i, row in enumerate(rows)])
    shutil.rmtree(folder / "labels" / "new_celiac")
    return folder


def test_everything_wrong_is_named_and_counted_and_the_rest_goes_on(broken, embedded, tmp_path):
    dataset = open_dataset(broken)
    partial = FeatureSet(
        "clmbr", ("lr_lbfgs",), embedded.subject[:-100], embedded.time[:-100], None, embedded.matrix[:-100]
    )
    tasks = ["guo_los", "guo_icu", "new_lupus", "lab_anemia", "new_celiac", "guo_readmission"]
    result = run_benchmark(dataset, [embedded, partial], tmp_path / "out", tasks, RunOptions(replicates=20))
    found = {(p.task, p.kind): p for p in result.problems}
    assert found["guo_los", "unknown_subject"].count == 2
    assert found["guo_los", "before_birth"].count == 1
    assert "1 label from before the subject's birth was left out" in found["guo_los", "before_birth"].message
    assert found["guo_los", "duplicate_label"].count == 2
    assert found["guo_los", "conflicting_label"].count == 2
    assert found["guo_los", "no_split"].count >= 2
    assert found["lab_anemia", "bad_label"].count == 4
    assert "no positives" in found["guo_icu", "one_class"].message
    assert "held_out split has no positives" in found["new_lupus", "one_class"].message
    assert found["new_celiac", "no_labels"].message
    missing = [p for p in result.problems if p.kind == "missing_features" and p.task == "guo_readmission"]
    assert len(missing) == 1 and missing[0].count == 100
    assert missing[0].message.startswith("CLMBR-T-Base: no features for 100 of ")
    evaluated = set(result.results["labeling_function"])
    assert evaluated == {"guo_los", "lab_anemia", "guo_readmission"}
    table = pl.read_parquet(tmp_path / "out" / "problems.parquet")
    assert table.height == len(result.problems)


def test_subjects_in_two_splits_are_left_out(dataset_path, tmp_path):
    folder = tmp_path / "torn"
    shutil.copytree(dataset_path, folder)
    path = folder / "metadata" / "subject_splits.parquet"
    splits = pl.read_parquet(path)
    train = splits.filter(pl.col("split") == "train")
    torn = train["subject_id"][:3].to_list()
    pl.concat([splits, train[:3].with_columns(split=pl.lit("held_out")), train[3:5]]).write_parquet(path)
    labels, problems = load_task_labels(open_dataset(folder), "guo_los")
    assert [(p.kind, p.count) for p in problems] == [("two_splits", 6)]  # two labels each
    assert len(labels) == 720 - 6 and not set(labels.subject.tolist()) & set(torn)
    by_split = {split: set(labels.subject[labels.split == split].tolist()) for split in ("train", "held_out")}
    assert not by_split["train"] & by_split["held_out"]
    assert set(train["subject_id"][3:5].to_list()) <= by_split["train"], "named twice, in one split: counted once"


def test_nothing_to_run_is_an_error(dataset, embedded, tmp_path):
    with pytest.raises(InputError, match="no model"):
        run_benchmark(dataset, [], tmp_path, ["guo_los"])
    with pytest.raises(InputError, match="no finished benchmark"):
        read_result(tmp_path)


def test_a_stop_in_the_middle_keeps_what_was_done(dataset, embedded, tmp_path):
    def stop(done, total, note):
        if done == 3:
            raise KeyboardInterrupt

    tasks = [task.id for task in TASKS[:8]]
    options = RunOptions(replicates=20, workers=1)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(dataset, [embedded], tmp_path, tasks, options, stop)
    result = run_benchmark(dataset, [embedded], tmp_path, tasks, options)
    assert result.reused >= 3 and result.reused + result.computed == 8


def test_shots_of_a_release_are_used(whole, dataset, embedded, tmp_path):
    out, first = whole
    options = RunOptions(shots=(8,), replicates=50, shots_data=out / "shots")
    result = run_benchmark(dataset, [embedded], tmp_path, ["guo_los"], options)
    same = first.results.filter((pl.col("labeling_function") == "guo_los") & (pl.col("k") == 8))
    assert result.results["value"].to_list() == pytest.approx(same["value"].to_list(), nan_ok=True)


def test_shots_beside_the_labels_are_taken_and_a_k_that_they_lack_is_named(whole, dataset_path, embedded, tmp_path):
    out, first = whole
    folder = tmp_path / "with-shots"
    shutil.copytree(dataset_path, folder)
    shutil.copy(out / "shots" / "guo_los" / "all_shots_data.json", folder / "labels" / "guo_los")
    own = open_dataset(folder)
    result = run_benchmark(own, [embedded], tmp_path / "a", ["guo_los"], RunOptions(shots=(8,), replicates=50))
    same = first.results.filter((pl.col("labeling_function") == "guo_los") & (pl.col("k") == 8))
    assert result.results["value"].to_list() == pytest.approx(same["value"].to_list(), nan_ok=True)
    assert not result.problems and not (tmp_path / "a" / "shots").exists()
    result = run_benchmark(own, [embedded], tmp_path / "b", ["guo_los"], RunOptions(shots=(4,), replicates=50))
    assert [(p.kind, p.count) for p in result.problems] == [("shots_file", 1)]
    assert result.results.filter(pl.col("k") == 4).height


def test_draws_of_another_split_are_named_and_not_used(whole, dataset, embedded, tmp_path):
    """A subject of the release's train split that the dataset holds out would be learned and evaluated on."""
    out, _ = whole
    labels, _ = load_task_labels(dataset, "guo_los")
    drawn = json.loads((out / "shots" / "guo_los" / "all_shots_data.json").read_text())["guo_los"]["8"]["0"]
    moved = np.isin(labels.subject, drawn["patient_ids_train_k"][:1])
    labels = replace(labels, split=np.where(moved, "held_out", labels.split))
    options = RunOptions(shots=(8,), replicates=20, shots_data=out / "shots")
    result = run_benchmark(dataset, [embedded], tmp_path, ["guo_los"], options, labels={"guo_los": labels})
    (problem,) = result.problems
    assert problem.kind == "shots_file" and "the dataset has it in held_out; our own draws" in problem.message
    own = json.loads((tmp_path / "shots" / "guo_los" / "all_shots_data.json").read_text())["guo_los"]["8"]
    split_of = dict(zip(labels.subject.tolist(), labels.split.tolist()))
    for part, split in (("train", "train"), ("val", "tuning")):
        assert {split_of[s] for one in own.values() for s in one[f"patient_ids_{part}_k"]} == {split}


def test_a_shots_folder_without_the_task_is_named(dataset, embedded, tmp_path):
    options = RunOptions(shots=(2,), replicates=20, shots_data=tmp_path / "mistyped")
    result = run_benchmark(dataset, [embedded], tmp_path / "out", ["guo_los"], options)
    (problem,) = result.problems
    assert problem.message == "mistyped has no guo_los/all_shots_data.json; our own draws were used"
    assert result.results.filter(pl.col("k") == 2).height


def test_a_model_without_a_task_takes_no_draws_from_the_others(dataset, embedded, tmp_path):
    elsewhere = replace(embedded, name="other", task=np.full(len(embedded.subject), "guo_icu"))
    both = run_benchmark(dataset, [embedded, elsewhere], tmp_path / "a", ["guo_los"], RunOptions((2,), replicates=20))
    alone = run_benchmark(dataset, [embedded], tmp_path / "b", ["guo_los"], RunOptions((2,), replicates=20))
    assert alone.results.height and both.results.equals(alone.results)
    assert any(p.kind == "missing_features" and "no features for 720 of 720" in p.message for p in both.problems)


def test_a_model_is_named_once(dataset, tmp_path):
    labels, _ = load_labels(dataset, ["guo_los"])
    for models in ("count,count", "count:gbm,count"):
        with pytest.raises(InputError, match="is named twice"):
            choose_models(dataset, labels, [], None, models, [], None, [])
    assert len(choose_models(dataset, labels, [], None, "count:gbm,count:lr_lbfgs", [], None, [])) == 2


def test_tables_of_two_runs_never_pass_for_one(dataset, embedded, tmp_path, monkeypatch):
    """Killed after any table: what can be read is one run's, or nothing can be read."""
    run_benchmark(dataset, [embedded], tmp_path, ["guo_los"], RunOptions(replicates=20))
    write_report(read_result(tmp_path), tmp_path, "shaped")
    write = runner.write_table
    for last in range(8):
        written = []

        def killed(path, table, written=written, last=last):
            if len(written) == last:
                raise KeyboardInterrupt
            write(path, table)
            written.append(path)

        monkeypatch.setattr(runner, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            run_benchmark(dataset, [embedded], tmp_path, ["guo_los", "guo_icu"], RunOptions(replicates=20))
        with pytest.raises(InputError, match="holds no finished benchmark"):
            read_result(tmp_path)
        assert not (tmp_path / "report.html").exists()
    monkeypatch.undo()
    run_benchmark(dataset, [embedded], tmp_path, ["guo_los", "guo_icu"], RunOptions(replicates=20))
    found = read_result(tmp_path)
    assert set(found.results["labeling_function"]) == set(found.record["labels"]) == {"guo_los", "guo_icu"}


def test_tables_of_something_else_are_no_run(whole, tmp_path):
    out, _ = whole
    for name in ("results", "problems"):
        folder = tmp_path / name
        folder.mkdir()
        for path in out.glob("*.parquet"):
            shutil.copy(path, folder)
        assert read_result(folder).results.height
        pl.DataFrame({"task": ["guo_los"], "colour": ["red"]}).write_parquet(folder / f"{name}.parquet")
        with pytest.raises(InputError, match="holds no finished benchmark"):
            read_result(folder)


def test_a_run_in_which_nothing_could_be_evaluated_has_its_tables(dataset, embedded, tmp_path):
    labels, _ = load_task_labels(dataset, "guo_los")
    labels = replace(labels, target={"guo_los": np.zeros(len(labels), np.int64)})
    result = run_benchmark(
        dataset, [embedded], tmp_path, ["guo_los"], RunOptions(replicates=20), labels={"guo_los": labels}
    )
    assert not result.results.height and [p.kind for p in result.problems] == ["one_class"]
    write_report(result, tmp_path, "shaped")
    assert read_result(tmp_path).groups.height == 0
    whole = run_benchmark(dataset, [embedded], tmp_path / "whole", ["guo_los"], RunOptions(replicates=20))
    assert whole.results.height
    assert read_predictions(tmp_path).schema == read_predictions(tmp_path / "whole").schema


def differences_of(labels, *models):
    units = []
    for name, rows, probability in models:
        part = UnitPart("guo_los", 0, rows, probability, probability, np.zeros((3, 1)), "")
        units.append(UnitResult(UnitSpec("guo_los", name, "", "lr_lbfgs", -1, False, 50, 0), (part,), ()))
    return differences_table(units, {"guo_los": labels})


def test_a_comparison_does_not_depend_on_what_else_is_compared(dataset):
    """A model of one probability for all, beside two that lack another patient's row each."""
    labels, _ = load_task_labels(dataset, "guo_los")
    held, target = labels.rows("held_out"), labels.target["guo_los"]
    without = [np.setdiff1d(held, held[target[held] == label][:1]) for label in (1, 0)]
    rng = np.random.default_rng(0)
    same = ("same", held, np.full(len(held), 0.5))
    x, y = (("xy"[i], rows, rng.random(len(rows))) for i, rows in enumerate(without))
    alone = differences_of(labels, same, y)
    beside = differences_of(labels, same, x, y).filter(
        pl.col("a").str.contains("same") & pl.col("b").str.contains("y ")
    )
    assert alone.height == beside.height == 2
    assert beside.drop("p_holm").equals(alone.drop("p_holm"))


def test_a_difference_without_a_defined_replicate_says_so(dataset):
    labels, _ = load_task_labels(dataset, "guo_los")
    held, target = labels.rows("held_out"), labels.target["guo_los"]
    rare = np.zeros_like(target)
    rare[held[0]] = 1
    pair = [held[0], held[labels.subject[held] != labels.subject[held[0]]][0]]
    labels = replace(labels, target={"guo_los": rare})
    rows = np.sort(pair)
    seed = next(s for s in range(99) if Resamples(labels.subject[rows], 1, s).counts.max() == 2)  # one patient, twice
    spec = UnitSpec("guo_los", "a", "", "lr_lbfgs", -1, False, 1, seed)
    units = [
        UnitResult(replace(spec, model=name), (UnitPart("guo_los", 0, rows, p, p, np.zeros((3, 1)), ""),), ())
        for name, p in (("a", np.array([0.1, 0.9])), ("b", np.array([0.9, 0.1])))
    ]
    table = differences_table(units, {"guo_los": labels})
    assert table["undefined"].to_list() == [1, 1] and table["lower"].is_nan().all()
    html = render_report(
        BenchmarkResult(results_table([]), groups_table(results_table([])), table, [], 0, 0), "shaped"
    )
    assert "<td>not defined</td>" in html and "nan" not in html[html.index("compared in pairs") :][:3000]


def test_paper_exact_changes_the_refit_only(dataset, embedded, tmp_path):
    exact = run_benchmark(dataset, [embedded], tmp_path, ["guo_los"], RunOptions(replicates=20, paper_exact=True))
    assert exact.computed == 1 and exact.results.height


def test_the_output_folder_is_a_run_s_or_empty(dataset, tmp_path):
    other = tmp_path / "work"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    labels, _ = load_labels(dataset, ["guo_icu"])
    features = [count_feature_set(dataset, labels)]
    with pytest.raises(InputError, match="work holds other files and no benchmark"):
        run_benchmark(dataset, features, other, ["guo_icu"], RunOptions(replicates=20), labels=labels)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


def test_a_units_file_is_whole_or_nothing(tmp_path):
    assert load_unit(None, tmp_path / "none.npz") is None
    (tmp_path / "x.npz").write_bytes(b"PK")
    assert load_unit(None, tmp_path / "x.npz") is None
    assert run_unit is not None
