"""Tab Calibration: does a probability mean what it says."""

import pandas as pd
import polars as pl
import streamlit as st

from core.figures import Plot, Series
from core.risk.comparison import OURS, mean_replicates
from core.risk.metrics import brier, calibration_in_the_large, calibration_slope_intercept, ece, ici, reliability_curve
from core.risk.model_names import model_name
from core.risk.score import MIN_CASES
from core.wording import counted
from pages.shared import empty
from pages.shared.benchmark import draw, looks, pick, source
from pages.shared.benchmark.source import Run

COLUMNS = {"Calibrated": "proba_calibrated", "As the head gives it": "proba"}


def show(run: Run) -> None:
    """Draw the choice of task, k and probability, the reliability curves and the numbers."""
    if run.result is None:
        source.missing("Calibration curves")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-calibration"):
        picked = pick.predictions(run, "calibration")
        if picked is None:
            return
        task, rows = picked
        k = pick.shots("calibration", rows)
        which = st.segmented_control(
            "Probability",
            list(COLUMNS),
            default="Calibrated",
            required=True,
            key="calibration-which",
            persist_state="session",
        )
    rows = mean_replicates(rows.filter(pl.col("k") == k))
    column = COLUMNS[which or "Calibrated"]
    patients = min(rows.filter(pl.col("label") == label)["patient_id"].n_unique() for label in (0, 1))
    if not rows.height:
        empty.show("There are no predictions of this choice", key="calibration")
        return
    with st.container(key="stacks-calibration"):
        left, right = st.columns([2, 1], gap="large")
    with left:
        draw.show(plot(rows, column, looks.TASK_NAMES.get(task, task), run), "calibration", 440)
    with right:
        if patients < MIN_CASES:
            st.markdown(
                f":material/info: {patients} held-out patients of the rarer outcome, fewer than {MIN_CASES}: no "
                "reliable estimate."
            )
        st.caption(
            "Groups by predicted probability, up to ten of about equal size (equal ones stay together); bars are "
            "95 % Wilson intervals of the observed share that hold for patients with several labels. "
            "Ideal: slope 1, intercept 0, ECE 0 (ten bins of equal width). ICI: mean distance from a smooth line. "
            "A calibrator is fitted on the tuning split, these are held-out patients."
        )
    st.dataframe(numbers(rows, column), hide_index=True, key="calibration-table", alt="Calibration of each model")


def plot(rows: pl.DataFrame, column: str, task: str, run: Run) -> Plot:
    """The reliability curves of each model."""
    series, said, marks = [], [], looks.marks(run)
    for model in rows["model"].unique(maintain_order=True):
        part = rows.filter(pl.col("model") == model)
        name = model_name(model)
        curve = reliability_curve(part["label"].to_numpy(), part[column].to_numpy(), part["patient_id"].to_numpy())
        series.append(
            Series(
                name,
                [b.predicted for b in curve],
                [b.observed for b in curve],
                [b.lower for b in curve],
                [b.upper for b in curve],
                [
                    f"{name}: predicted {100 * b.predicted:.1f} %, observed {100 * b.observed:.1f} % "
                    f"({100 * b.lower:.1f} to {100 * b.upper:.1f}), {counted(b.n, 'label')}"
                    for b in curve
                ],
                *marks[OURS, model],
                line="solid",
            )
        )
        said.append(f"{name} ECE {ece(part['label'].to_numpy(), part[column].to_numpy()):.3f}")
    high = max([v for s in series for v in (*s.x, *s.upper) if v is not None], default=1.0)
    end = min(1.0, max(0.1, 1.05 * high))
    return Plot(
        f"Reliability: {task}",
        f"Observed share against predicted probability for {task}: {'; '.join(said)}.",
        series,
        x_title="Predicted probability",
        y_title="Observed share",
        x_range=(-0.02 * end, end),
        y_range=(-0.02 * end, end),
        diagonal=True,
        note=run.note,
    )


def numbers(rows: pl.DataFrame, column: str) -> pd.DataFrame:
    """Slope, intercept, calibration in the large, ECE, ICI and Brier score, one line a model."""
    out = []
    for model in rows["model"].unique(maintain_order=True):
        part = rows.filter(pl.col("model") == model)
        y, p = part["label"].to_numpy(), part[column].to_numpy()
        slope, intercept = calibration_slope_intercept(y, p)
        values = {
            "Slope": slope,
            "Intercept": intercept,
            "In the large": calibration_in_the_large(y, p),
            "ECE": ece(y, p),
            "ICI": ici(y, p),
            "Brier score": brier(y, p),
        }
        out.append(
            {"Model": model_name(model)}
            | {name: "not defined" if v != v else f"{v:.3f}" for name, v in values.items()}
            | {"Held out": len(y), "Positives": int(y.sum())}
        )
    return pd.DataFrame(out)
