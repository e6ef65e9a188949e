"""Colours, shapes and names that the tabs share, so that a source looks the same in each."""

import polars as pl
import streamlit as st

from core.ehr.tasks import GROUPS
from core.risk.comparison import OURS
from core.risk.model_names import model_key, model_name
from core.risk.published import LEADERBOARD, published
from core.risk.subtasks import ALL_SUBTASKS
from pages.shared import charts
from pages.shared.benchmark import draw
from pages.shared.benchmark.source import Run

SOURCES: dict[str, tuple[str, str]] = {
    OURS: (charts.BLUE, "diamond"),
    "v5": (charts.VERMILLION, "circle"),
    "v3/v4": (charts.GREEN, "square"),
    "May 2025": (charts.PINK, "triangle-up"),
    "v1/v2": (charts.OCHRE, "x"),
    LEADERBOARD: (charts.SLATE, "triangle-down"),
}
"""Colour and shape of each source."""
SCORES = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score, uncalibrated"}
PLACE_NAMES = {"macro": "Macro (mean of the four groups)"} | GROUPS
SHORT_PLACES = {
    "macro": "Macro",
    "operational_outcomes": "Operational",
    "lab_values": "Lab results",
    "new_diagnoses": "New diagnoses",
    "chexpert": "Chest X-ray",
}
TASK_NAMES = {sub.key: sub.name if sub.label is None else f"Chest X-ray: {sub.label}" for sub in ALL_SUBTASKS}


def marks(run: Run) -> dict[tuple[str, str], tuple[str, str]]:
    """Colour and shape of each model by source and name: one in all tabs, whatever else is shown beside it.

    The run's models come first, then the published ones that have figures of tasks and the others. A head alone, as
    where encoders are compared, looks like the run's first model with it.
    """
    rows = published()
    board = rows.filter(pl.col("level") == "task")
    models = list(pl.concat([board, rows]).select("version", "model").unique(maintain_order=True).iter_rows())
    heads: dict[tuple[str, str], tuple[str, str]] = {}
    if run.results is not None:
        whole = run.results.sort(pl.col("variant") != "", maintain_order=True)
        ours = list(whole.select("model", "head").unique(maintain_order=True).iter_rows())
        models = [(OURS, model_key(*pair)) for pair in ours] + models
        for number, (_, head) in enumerate(ours):
            heads.setdefault((OURS, head), draw.mark(number))
    return heads | {model: draw.mark(number) for number, model in enumerate(models)}


def source_name(source: str) -> str:
    """Name of a source in a legend or a table."""
    return {OURS: OURS, LEADERBOARD: "Leaderboard v3.2"}.get(source, f"paper {source}")


def plain_name(source: str, model: str) -> str:
    """Name of a model: the run's in words, a published one as its source has it."""
    return model_name(model) if source == OURS else model


def line_name(source: str, model: str) -> str:
    """Name of a model in a legend, with its source where that is not the run."""
    name = plain_name(source, model)
    return name if source == OURS else f"{name} · {source_name(source)}"


def shots(k: int) -> str:
    """Number of shots as it is shown."""
    return "all" if k == -1 else f"{k}"


def partial(note: str) -> str:
    """What the text of a mark adds for a mean of fewer tasks than there are."""
    return f" · mean of {note}" if note else ""


def say_partial(rows: pl.DataFrame) -> None:
    """Say that some of the run's values are means of fewer tasks than the published ones, where it is so."""
    if rows.filter((pl.col("source") == OURS) & (pl.col("note") != "")).height:
        st.caption(
            "Values of this run that say of how many tasks they are a mean compare only with values over the same "
            "tasks: published ones are over all."
        )
