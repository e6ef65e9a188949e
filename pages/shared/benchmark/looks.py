"""Colours, shapes and names that the tabs share, so that a source looks the same in each."""

import polars as pl
import streamlit as st

from core.ehr.tasks import GROUPS
from core.risk.comparison import OURS
from core.risk.model_names import model_name
from core.risk.published import LEADERBOARD
from core.risk.subtasks import ALL_SUBTASKS
from pages.shared import charts

SOURCES: dict[str, tuple[str, str]] = {
    OURS: (charts.BLUE, "diamond"),
    "v5": (charts.VERMILLION, "circle"),
    "v3/v4": (charts.GREEN, "square"),
    "May 2025": (charts.PINK, "triangle-up"),
    "v1/v2": (charts.OCHRE, "x"),
    LEADERBOARD: (charts.SLATE, "triangle-down"),
}
"""Colour and shape of each source."""
SCORES = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score"}
PLACE_NAMES = {"macro": "Macro (mean of the four groups)"} | GROUPS
SHORT_PLACES = {
    "macro": "Macro",
    "operational_outcomes": "Operational",
    "lab_values": "Lab results",
    "new_diagnoses": "New diagnoses",
    "chexpert": "Chest X-ray",
}
TASK_NAMES = {sub.key: sub.name if sub.label is None else f"Chest X-ray: {sub.label}" for sub in ALL_SUBTASKS}


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
