"""Rows beside the published ones: values, names, versions and order, against the tables that they come from."""

import numpy as np
import polars as pl
import pytest

from core.risk.comparison import (
    OURS,
    UNCHANGED,
    ablations,
    curves,
    families,
    interval_text,
    mean_replicates,
    oriented,
    p_text,
    published_tasks,
    shots_of,
    standing,
    tasks,
)
from core.risk.published import LEADERBOARD, LEAK_NOTE, published
from core.risk.results import groups_table, results_table
from core.risk.subtasks import ALL_SUBTASKS

TASK, LAB = "guo_los", "lab_anemia"


def row(task: str, value: float, k: int = -1, replicate: int = 0, variant: str = "", score: str = "auroc", n_pos=50):
    return {
        "labeling_function": task, "sub_task": task, "model": "m", "head": "lr", "replicate": replicate, "k": k,
        "score": score, "value": value, "std": 0.02, "lower": value - 0.05, "mean": value, "upper": value + 0.03,
        "variant": variant, "n": 200, "n_positive": n_pos, "undefined": 0, "chosen": "C=1",
    }  # fmt: skip


@pytest.fixture
def results() -> pl.DataFrame:
    rows = [row(TASK, 0.8), row(LAB, 0.7, n_pos=29), row(TASK, 0.6, variant="context=512")]
    rows += [row(LAB, 0.5, variant="context=512")]
    rows += [row(task, value, 8, r) for task in (TASK, LAB) for r, value in enumerate((0.5, 0.6, 0.7))]
    return results_table(rows)


def test_standing_has_ours_first_and_each_version_with_its_note(results):
    rows = standing(groups_table(results), ["v1/v2", LEADERBOARD])
    assert rows["source"][0] == OURS and set(rows["source"]) == {OURS, "v1/v2", LEADERBOARD}
    ours = rows.filter(pl.col("source") == OURS)
    assert dict(ours.select("place", "value").iter_rows()) == pytest.approx(
        {"operational_outcomes": 0.8, "lab_values": 0.7, "macro": 0.75}
    )
    assert ours.filter(pl.col("place") == "macro")["note"][0] == "2 of 4 groups, 2 of 28 tasks"
    assert ours.filter(pl.col("place") == "lab_values")["note"][0] == "1 of 5 tasks"
    assert set(rows.filter(pl.col("source") == "v1/v2")["note"]) == {LEAK_NOTE}


def test_a_value_over_all_tasks_has_no_note():
    rows = [row(sub.task, 0.7) | {"sub_task": sub.paper_name} for sub in ALL_SUBTASKS]
    assert set(standing(groups_table(results_table(rows)), [])["note"]) == {""}
    without = [one for one in rows if one["sub_task"] not in ("new_celiac", "Edema")]
    notes = dict(standing(groups_table(results_table(without)), []).select("place", "note").iter_rows())
    assert notes == {
        "operational_outcomes": "", "lab_values": "", "new_diagnoses": "5 of 6 tasks",
        "chexpert": "13 of 14 findings", "macro": "26 of 28 tasks",
    }  # fmt: skip


def test_standing_without_a_run_is_what_was_published():
    rows = standing(None, ["v5"])
    truth = published().filter(
        (pl.col("version") == "v5") & (pl.col("level") != "task") & (pl.col("ablation") == "") & (pl.col("k") == -1)
    )
    assert sorted(rows["value"]) == sorted(truth["value"])
    assert standing(None, []).height == 0


def test_curves_have_the_spread_over_replicates_as_band(results):
    rows = curves(groups_table(results), results, "operational_outcomes", "auroc", [])
    few, whole = rows.row(0, named=True), rows.row(1, named=True)
    assert (few["k"], whole["k"]) == (8, -1)
    assert few["note"] == whole["note"] == "1 of 3 tasks"
    spread = float(np.std([0.5, 0.6, 0.7]))
    assert few["value"] == pytest.approx(0.6) and few["upper"] - few["value"] == pytest.approx(spread)
    one = curves(groups_table(results), results, TASK, "auroc", []).row(0, named=True)
    assert one["value"] - one["lower"] == pytest.approx(spread)


def test_published_curves_are_only_those_with_more_than_one_point():
    rows = curves(None, None, "operational_outcomes", "auroc", ["v5", LEADERBOARD])
    assert "MOTOR-T-Base" not in rows["model"].to_list()
    qwen = rows.filter((pl.col("model") == "Qwen3-Embedding-8B") & (pl.col("source") == "v5"))
    assert qwen["k"].to_list() == [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128, -1]
    assert (qwen["value"][0], qwen["value"][-1]) == (0.543, 0.797)


def test_tasks_average_replicates_and_mark_few_positives(results):
    rows = {row["task"]: row for row in tasks(results, "auroc").iter_rows(named=True)}
    assert rows[TASK]["reliable"] and not rows[LAB]["reliable"]
    assert (rows[TASK]["lower"], rows[TASK]["upper"]) == pytest.approx((0.75, 0.83))
    few = tasks(results, "auroc", 8).filter(pl.col("task") == TASK).row(0, named=True)
    assert few["value"] == pytest.approx(0.6)
    assert (few["lower"], few["upper"]) == pytest.approx((0.6 - 1.96 * 0.02, 0.6 + 1.96 * 0.02))


def test_published_tasks_are_the_leaderboards():
    rows = published_tasks("auroc")
    assert set(rows["source"]) == {LEADERBOARD} and rows.height == 4 * 28


def test_an_ablation_has_its_values_in_order_and_the_unchanged_model_last(results):
    rows = ablations(groups_table(results), "context", ["v5", "v1/v2"])
    ours = rows.filter(pl.col("source") == OURS)
    assert dict(ours.select("variant", "value").iter_rows()) == pytest.approx({"512": 0.55, UNCHANGED: 0.75})
    assert ours["variant"].to_list() == ["512", UNCHANGED]
    assert set(ours["note"]) == {"2 of 4 groups, 2 of 28 tasks"}
    qwen = rows.filter((pl.col("source") == "v5") & (pl.col("model") == "Qwen3-Embedding-8B"))
    assert qwen["variant"].to_list() == ["512", "1024", "2048", "4096", "8192"]
    assert qwen["value"].to_list() == [0.741, 0.759, 0.768, 0.772, 0.769]
    look = ablations(None, "lookback", ["v5"]).filter(pl.col("model") == "GTE-Qwen2-7B")["variant"].to_list()
    assert look == ["1h", "1d", "1w", "1mo", "1y", "3y", "full"]


def test_encoders_are_compared_by_head_with_the_model_of_the_run_among_them(results):
    changed = results.with_columns(variant=pl.col("variant").str.replace("context=512", "encoder=other"))
    rows = ablations(groups_table(changed), "encoder", [])
    assert dict(rows.select("variant", "value").iter_rows()) == pytest.approx({"m": 0.75, "other": 0.55})
    assert set(rows["model"]) == {"lr"}


def test_families_are_those_that_somebody_has(results):
    assert list(families(None)) == ["context", "lookback", "instruction", "sections"]
    changed = groups_table(results.with_columns(variant=pl.lit("encoder=other")))
    assert "encoder" in families(changed)


def test_a_difference_can_be_turned_round():
    table = pl.DataFrame(
        {
            "task": [TASK], "k": [-1], "a": ["x"], "b": ["y"], "score": ["auroc"], "difference": [0.1],
            "lower": [-0.02], "upper": [0.2], "p_value": [0.04], "n": [9], "p_holm": [0.4],
        }
    )  # fmt: skip
    turned = oriented(table, "y", "x", -1, "auroc").row(0, named=True)
    assert (turned["difference"], turned["lower"], turned["upper"]) == (-0.1, -0.2, 0.02)
    assert turned["p_holm"] == 0.4 and (turned["a"], turned["b"]) == ("y", "x")
    assert oriented(table, "x", "z", -1, "auroc").height == 0


def test_predictions_are_averaged_over_replicates():
    table = pl.DataFrame(
        {
            "model": ["m"] * 4, "head": ["lr"] * 4, "variant": [""] * 4, "patient_id": [1, 2, 1, 2],
            "prediction_time": [0, 0, 0, 0], "label": [1, 0, 1, 0], "proba": [0.2, 0.4, 0.4, 0.8],
            "proba_calibrated": [0.1, 0.1, 0.3, 0.1],
        }
    )  # fmt: skip
    rows = mean_replicates(table)
    assert rows["proba"].to_list() == pytest.approx([0.3, 0.6])
    assert rows["proba_calibrated"].to_list() == pytest.approx([0.2, 0.1]) and rows["label"].to_list() == [1, 0]


def test_shots_and_intervals_as_text(results):
    assert shots_of(results) == [8, -1]
    assert interval_text(0.8124, 0.79, 0.8341) == "0.812 (0.790 to 0.834)"
    assert interval_text(0.8, None, None) == "0.800" and interval_text(float("nan"), 0, 1) == ""


def test_one_replicate_has_no_spread_and_each_replicate_says_what_it_chose():
    rows = [row(TASK, 0.6, 8)] + [row(LAB, 0.7, 8, r) | {"chosen": f"C={c}"} for r, c in enumerate((1, 10, 1))]
    table = results_table(rows)
    found = {one["task"]: one for one in tasks(table, "auroc", 8).iter_rows(named=True)}
    assert found[TASK]["replicate_std"] is None and found[LAB]["replicate_std"] == pytest.approx(0)
    assert (found[TASK]["chosen"], found[LAB]["chosen"]) == ("C=1", "C=1 | C=10")
    one = curves(groups_table(table), table, TASK, "auroc", []).row(0, named=True)
    assert interval_text(one["value"], one["lower"], one["upper"]) == "0.600"


@pytest.mark.parametrize(
    "p, text",
    [
        (None, "not defined"),
        (float("nan"), "not defined"),
        (0.0002, "<0.001"),
        (0.001, "0.001"),
        (0.0449, "0.045"),
        (1, "1.000"),
    ],
)
def test_a_p_value_is_never_nought(p, text):
    assert p_text(p) == text


def test_no_interval_reaches_where_no_score_lies():
    """Mean and 1.96 standard deviations do: 0.99 + 1.96 x 0.02 is above 1."""
    rows = [row(TASK, 0.99, k, r) for k, replicates in ((-1, 1), (8, 5)) for r in range(replicates)]
    rows += [row(TASK, 0.01, 8, r) | {"model": "n"} for r in range(5)]
    rows += [row(TASK, value, 4, r) | {"model": "n"} for r, value in enumerate((0.0, 0.0, 0.3))]
    rows = [one | {"upper": min(one["upper"], 1.0)} for one in rows]
    table = results_table(rows)
    groups = groups_table(table)
    for shown in (
        standing(groups, []),
        standing(groups, [], k=8),
        tasks(table, "auroc", None),
        curves(groups, table, "macro", "auroc", []),
        curves(groups, table, TASK, "auroc", []),
        ablations(groups.with_columns(variant=pl.lit("context=512")), "context", []),
    ):
        assert shown.height and shown["lower"].min() >= 0 and shown["upper"].max() <= 1
    assert groups["upper"].max() > 1  # the run's own table keeps the paper's rule


@pytest.mark.parametrize(
    ("patients_with", "patients_without", "reliable"), [(30, 30, True), (29, 80, False), (80, 29, False)]
)
def test_a_reliable_figure_rests_on_patients_as_a_score_does(patients_with, patients_without, reliable):
    """Thirty labels of one patient are one case."""
    counts = {"patients_with": patients_with, "patients_without": patients_without}
    found = tasks(results_table([row(TASK, 0.8) | counts]), "auroc").row(0, named=True)
    assert (found["reliable"], found["patients_with"]) == (reliable, patients_with)


def test_a_run_of_an_older_version_has_labels_in_place_of_patients(results):
    old = results.drop("patients_with", "patients_without")
    assert dict(tasks(old, "auroc").select("task", "reliable").iter_rows()) == {TASK: True, LAB: False}
