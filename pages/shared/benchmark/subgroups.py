"""Tab Subgroups: sex, age band and record length, small cells suppressed."""

from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import streamlit as st

from core.figures import Plot, Series
from core.risk.comparison import OURS, interval_text, mean_replicates, shots_of
from core.risk.fewshot import ALL
from core.risk.model_names import model_name
from core.risk.score import percent_text
from core.risk.subgroups import MIN_CELL, MIN_EVENTS, SubgroupRow, attributes_of_rows, subgroup_table
from core.risk.thresholds import threshold_for_alert_rate
from core.wording import counted, part
from pages.shared import empty, resources
from pages.shared.benchmark import draw, looks, pick, source
from pages.shared.benchmark.cohorts import holder_of
from pages.shared.benchmark.source import Run

ALERTS = (5, 10, 20)


def show(run: Run) -> None:
    """Draw the choice of task and model, the forest of subgroups and the table."""
    if run.result is None:
        source.missing("Subgroups")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-subgroups"):
        picked = pick.predictions(run, "subgroups")
        if picked is None:
            return
        task, rows = picked
        k = shots_of(rows)[-1]
        rows = mean_replicates(rows.filter(pl.col("k") == k))
        models = rows["model"].unique(maintain_order=True).to_list()
        model = st.selectbox(
            "Model", models, format_func=model_name, key="subgroups-model", width=320, persist_state="session"
        )
        alerts = st.segmented_control(
            "Alerts per 100 predictions",
            ALERTS,
            default=10,
            required=True,
            key="subgroups-alerts",
            help="Sets the threshold behind the share of missed positives.",
            persist_state="session",
        )
    rows = rows.filter(pl.col("model") == model)
    subjects = np.unique(rows["patient_id"].to_numpy())
    name = holder_of(subjects)
    if name is None:
        empty.show(
            "The dataset of this run is not offered here",
            "Sex, age and record length are read from the patients' records. Name the dataset's folder in "
            "`CHARTLIGHT_DATASETS`.",
            icon="group_off",
            key="subgroups",
        )
        return
    threshold = threshold_for_alert_rate(rows["proba_calibrated"].to_numpy(), float(alerts or 10))
    cells = subgroup_table(
        rows["label"].to_numpy(),
        rows["proba_calibrated"].to_numpy(),
        rows["patient_id"].to_numpy(),
        attributes(name, tuple(rows["patient_id"]), tuple(rows["prediction_time"])),
        threshold,
    )
    draw.show(plot(cells, looks.TASK_NAMES.get(task, task), model, run), "subgroups")
    st.dataframe(table(cells), hide_index=True, key="subgroups-table", alt="Metrics of each subgroup")
    st.caption(
        ("" if k == ALL else f"Trained on {k} examples a class. ")
        + f"Cells of fewer than {MIN_CELL} patients are suppressed, and the next smallest with a single one, so that "
        f"it cannot be had by subtraction; no AUROC with fewer than {MIN_EVENTS} positives or negatives. Missed: "
        f"share of positives below the lowest threshold that gives at most {alerts or 10} alerts per 100 predictions "
        f"({part(100 * threshold, 1, whole=100)} %). Intervals: 95 %, patient-level bootstrap. A difference between "
        "subgroups can come from how ill they are, how well they are recorded, or the model."
    )


@st.cache_data(show_spinner="Reading the patients' records …", max_entries=64)
def attributes(dataset: str, subject: tuple[int, ...], time: tuple[datetime, ...]) -> dict[str, list[str]]:
    """Attributes of rows, read once for a set of rows."""
    return attributes_of_rows(
        resources.dataset(dataset), np.array(subject, np.int64), np.array(time, "datetime64[us]")
    )


def plot(cells: list[SubgroupRow], task: str, model: str, run: Run) -> Plot:
    """The forest of AUROC by subgroup."""
    name = model_name(model)
    names = [f"{cell.attribute.capitalize()}: {cell.group}" for cell in cells]
    known = [(i, cell) for i, cell in enumerate(cells) if cell.auroc is not None]
    series = Series(
        "AUROC",
        [cell.auroc.value for _, cell in known if cell.auroc],
        [float(i) for i, _ in known],
        [cell.auroc.lower for _, cell in known if cell.auroc],
        [cell.auroc.upper for _, cell in known if cell.auroc],
        [
            f"{names[i]}: {interval_text(cell.auroc.value, cell.auroc.lower, cell.auroc.upper)}, "
            f"{counted(cell.patients, 'patient')}, {counted(cell.positives, 'positive')}"
            for i, cell in known
            if cell.auroc
        ],
        *looks.marks(run)[OURS, model],
    )
    return Plot(
        f"AUROC by subgroup: {task} ({name})",
        f"AUROC of {name} for {task} in {len(known)} of {len(cells)} subgroups by sex, age band and record length; "
        "the others are too small or suppressed.",
        [series],
        x_title="AUROC",
        y_title="subgroup",
        rows=names,
        x_line=0.5,
        note=run.note,
    )


def table(cells: list[SubgroupRow]) -> pd.DataFrame:
    """The cells as a table; what is suppressed says so."""
    return pd.DataFrame(
        [
            {
                "By": cell.attribute,
                "Group": cell.group,
                "Patients": "suppressed" if cell.suppressed else f"{cell.patients:,}",
                "Labels": _count(cell.n),
                "Positives": _count(cell.positives),
                "AUROC": interval_text(cell.auroc.value, cell.auroc.lower, cell.auroc.upper)
                if cell.auroc
                else ""
                if cell.suppressed
                else "too few",
                "AUPRC": _number(cell.auprc),
                "Brier score": _number(cell.brier),
                "In the large": _number(cell.calibration_in_the_large),
                "Missed": "" if cell.missed is None else percent_text(cell.missed),
            }
            for cell in cells
        ]
    )


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.3f}"
