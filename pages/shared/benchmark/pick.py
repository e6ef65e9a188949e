"""Choices that several tabs offer."""

from collections.abc import Sequence

import polars as pl
import streamlit as st

from core.risk.comparison import shots_of
from core.risk.fewshot import ALL
from core.risk.subtasks import ALL_SUBTASKS
from pages.shared import empty
from pages.shared.benchmark import looks
from pages.shared.benchmark.source import Run


def score(key: str, names: Sequence[str]) -> str:
    """Draw the choice of a score, the first of ``names`` to begin with; return it."""
    chosen = st.segmented_control(
        "Score",
        names,
        default=names[0],
        required=True,
        format_func=looks.SCORES.get,
        key=f"{key}-score",
        persist_state="session",
    )
    return chosen or names[0]


def scores_of(run: Run) -> tuple[str, ...]:
    """The scores that a run and the publications have; publications alone have no Brier score."""
    return ("auroc", "auprc", "brier") if run.result else ("auroc", "auprc")


def shots(key: str, rows: pl.DataFrame | None) -> int:
    """Draw the choice of k out of those that results have, the largest to begin with; return it."""
    ks = shots_of(rows) if rows is not None and rows.height else [ALL]
    chosen = st.segmented_control(
        "Training examples a class",
        ks,
        default=ks[-1],
        required=True,
        format_func=looks.shots,
        key=f"{key}-k",
        persist_state="session",
    )
    return ks[-1] if chosen is None else chosen


def predictions(run: Run, key: str) -> tuple[str, pl.DataFrame] | None:
    """Draw the choice of a sub-task; return it with the unchanged models' predictions, None where there are none."""
    rows = run.predictions().filter(pl.col("variant") == "")
    chosen = task(rows, key)
    return None if chosen is None else (chosen, of_task(rows, chosen))


def task(predictions: pl.DataFrame, key: str) -> str | None:
    """Draw the choice of a sub-task that there are predictions of; None, and a word, where there is none."""
    if not predictions.height:
        empty.show("This run has no predictions", "Run the benchmark again with the same folder.", key=key)
        return None
    have = set(predictions.select("labeling_function", "sub_task").unique().iter_rows())
    keys = [sub.key for sub in ALL_SUBTASKS if (sub.task, sub.paper_name) in have]
    return st.selectbox(
        "Task", keys, format_func=looks.TASK_NAMES.get, key=f"{key}-task", width=320, persist_state="session"
    )


def of_task(predictions: pl.DataFrame, key: str) -> pl.DataFrame:
    """Predictions of one sub-task."""
    sub = next(sub for sub in ALL_SUBTASKS if sub.key == key)
    return predictions.filter((pl.col("labeling_function") == sub.task) & (pl.col("sub_task") == sub.paper_name))
