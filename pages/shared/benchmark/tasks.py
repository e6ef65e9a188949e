"""Tab Tasks: every task and finding, with what stands behind the figure."""

import pandas as pd
import polars as pl
import streamlit as st

from core.figures import Plot, Series
from core.risk.comparison import interval_text, published_tasks, tasks
from core.risk.model_names import model_name
from core.risk.published import LEADERBOARD
from core.risk.score import MIN_CASES
from pages.shared import empty
from pages.shared.benchmark import draw, looks, pick
from pages.shared.benchmark.source import Run


def show(run: Run) -> None:
    """Draw the choice of score and k, the figure and the table of all scores."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-tasks"):
        score, k = pick.score("tasks", pick.scores_of(run)), pick.shots("tasks", run.results)
        findings = st.toggle("Chest X-ray findings", True, key="tasks-findings", persist_state="session")
    ours = tasks(run.results, score, k) if run.results is not None else None
    theirs = published_tasks(score, k) if LEADERBOARD in run.versions else None
    kept = [key for key in looks.TASK_NAMES if findings or not key.startswith("chexpert.")]
    figure = plot(ours, theirs, kept, looks.SCORES[score], run)
    if figure is None:
        empty.show(
            "There is no figure of a task for this choice", "Choose a run or the leaderboard above.", key="tasks"
        )
        return
    marks = len({series.name for series in figure.series})
    draw.show(figure, "tasks", 92 + max(draw.ROW, 7 * marks) * len(figure.rows))
    if run.results is not None:
        st.dataframe(
            table(run.results, k, kept),
            hide_index=True,
            key="tasks-table",
            height=440,
            alt="AUROC, AUPRC and Brier score of every task and model with n and positives",
        )
    st.caption(
        f"Hollow marks: fewer than {MIN_CASES} held-out patients with the outcome, or without it, no reliable "
        "estimate. Intervals: 95 %, patient-level bootstrap; averaged over replicates with few examples. The Brier "
        f"score in the table is that of calibrated probabilities. {run.note}"
    )


def plot(ours: pl.DataFrame | None, theirs: pl.DataFrame | None, kept: list[str], score: str, run: Run) -> Plot | None:
    """The figure: one row a task, one mark a model; None where there is nothing to draw."""
    frames = (
        []
        if ours is None
        else [ours.select("source", "model", "task", "value", "lower", "upper", "reliable", "n_positive")]
    )
    if theirs is not None and theirs.height:
        more = theirs.select("source", "model", "task", "value", "lower", "upper")
        frames.append(more.with_columns(reliable=pl.lit(True), n_positive=pl.lit(None, pl.Int64)))
    rows = pl.concat(frames).filter(pl.col("task").is_in(kept)) if frames else None
    if rows is None or not rows.height:
        return None
    order = [key for key in kept if key in set(rows["task"])]
    models = list(rows.select("source", "model").unique(maintain_order=True).iter_rows())
    series, offset, marks = [], 0.6 / max(len(models), 1), looks.marks(run)
    for i, (source, model) in enumerate(models):
        part = rows.filter((pl.col("source") == source) & (pl.col("model") == model))
        name = looks.line_name(source, model)
        series.append(
            Series(
                name,
                part["value"].to_list(),
                [order.index(task) + offset * (i - (len(models) - 1) / 2) for task in part["task"]],
                part["lower"].to_list(),
                part["upper"].to_list(),
                [
                    f"{looks.TASK_NAMES.get(task, task)}, {name}: {interval_text(value, low, high)}"
                    + ("" if n is None else f" · {n:,} positives" + ("" if reliable else ", no reliable estimate"))
                    for task, value, low, high, reliable, n in part.select(
                        "task", "value", "lower", "upper", "reliable", "n_positive"
                    ).iter_rows()
                ],
                *marks[source, model],
                hollow=[not reliable for reliable in part["reliable"]],
            )
        )
    few = 0 if ours is None else ours.filter(~pl.col("reliable") & pl.col("task").is_in(kept))["task"].n_unique()
    return Plot(
        f"{score} by task",
        f"{score} of {len(order)} tasks and findings for {len(models)} models with 95 % intervals; {few} of the run's "
        "have too few patients for a reliable estimate.",
        series,
        x_title=score,
        y_title="task",
        rows=[looks.TASK_NAMES.get(key, key) for key in order],
        x_line=0.5 if score == "AUROC" else None,
        note=run.note,
    )


def table(results: pl.DataFrame, k: int, kept: list[str]) -> pd.DataFrame:
    """AUROC, AUPRC and calibrated Brier score of every task and model."""
    parts = {score: tasks(results, score, k) for score in ("auroc", "auprc", "brier_calibrated")}
    text = {
        score: {
            (row["task"], row["model"]): interval_text(row["value"], row["lower"], row["upper"])
            for row in part.iter_rows(named=True)
        }
        for score, part in parts.items()
    }
    rows = []
    for row in parts["auroc"].iter_rows(named=True):
        if row["task"] not in kept:
            continue
        at = (row["task"], row["model"])
        rows.append(
            {
                "Task": looks.TASK_NAMES.get(row["task"], row["task"]),
                "Model": model_name(row["model"]),
                "Held out": row["n"],
                "Positives": row["n_positive"],
                "Of patients": row["patients_with"],
                "Estimate": "reliable" if row["reliable"] else "not reliable",
                "AUROC": text["auroc"].get(at, ""),
                "AUPRC": text["auprc"].get(at, ""),
                "Brier, calibrated": text["brier_calibrated"].get(at, ""),
                "Chosen": row["chosen"] or "",
            }
        )
    return pd.DataFrame(rows)
