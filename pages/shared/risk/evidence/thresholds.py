"""Tab Thresholds: what an alert at this probability would have meant on the held-out cases."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.risk.score import of_100, percent_digits
from core.risk.score import percent_text as percent
from core.risk.thresholds import ThresholdRow, threshold_table
from pages.shared import charts, layout
from pages.shared.risk.case import Case


def show(case: Case) -> None:
    """Draw a slider over the threshold, the numbers it gives, and the whole curve."""
    head = case.head
    probability = head.reference_probability
    steps = _steps(probability)
    if not case.score.reliable or len(steps) < 2:
        st.markdown("Too few held-out patients, or one score for all: a threshold says nothing here.")
        return
    start = min(steps, key=lambda step: abs(step - case.score.probability))
    left, right = st.columns([2, 3], gap="large")
    with left:
        threshold = st.select_slider(
            "Alert from this probability on",
            [float(step) for step in steps],
            float(start),
            format_func=percent,
            key=f"threshold-{head.key}",
            persist_state="page",
        )
        row = threshold_table(head.reference_target, probability, head.reference_cluster, np.array([threshold]))[0]
        layout.facts(
            [
                ("Alerts per 100 predictions", of_100(row.alerts_per_100 / 100)),
                ("Of 100 alerts, right", _with_interval(row.ppv, row.ppv_interval)),
                ("Of 100 silent, right", _with_interval(row.npv, row.npv_interval)),
            ],
            key="threshold-1",
        )
        layout.facts(
            [
                ("Outcomes found", f"{row.true_positives} of {row.true_positives + row.false_negatives}"),
                ("False alerts", f"{row.false_positives}"),
                ("Net benefit", "" if row.net_benefit is None else f"{row.net_benefit:+.3f}"),
            ],
            key="threshold-2",
        )
        side = "above" if case.score.probability >= threshold else "below"
        st.caption(
            f"On {head.n:,} predictions for {len(np.unique(head.reference_cluster)):,} held-out patients, "
            f"{head.n_positive:,} positive. This patient, at {percent(case.score.probability)}, lies {side} the "
            "threshold. Intervals: Wilson, 95 %, that hold for patients with several predictions."
        )
    with right:
        rows = threshold_table(head.reference_target, probability, head.reference_cluster, steps)
        charts.show(figure(rows, threshold), key="thresholds", alt=alt(row), mode_bar=False)


def figure(rows: list[ThresholdRow], threshold: float) -> go.Figure:
    """Draw PPV, sensitivity and alert rate over the threshold."""
    x = [row.threshold for row in rows]
    lines = (
        ("Alerts right (PPV)", [row.ppv for row in rows], charts.BLUE, "solid"),
        ("Outcomes found (sensitivity)", [row.sensitivity for row in rows], charts.VERMILLION, "dash"),
        ("Alert rate", [row.alerts_per_100 / 100 for row in rows], charts.SLATE, "dot"),
    )
    chart = charts.figure(
        290,
        *(
            go.Scatter(x=x, y=y, mode="lines", name=name, line={"color": color, "dash": dash, "width": 2})
            for name, y, color, dash in lines
        ),
        legend=True,
        hovermode="x unified",
    )
    chart.add_vline(threshold, line={"color": charts.SLATE, "width": 1})
    chart.update_xaxes(title="Threshold", tickformat=".0%" if max(x) > 0.05 else ".1%", hoverformat=".1%")
    chart.update_yaxes(tickformat=".0%", range=[0, 1.02], hoverformat=".1%")
    return chart


def alt(row: ThresholdRow) -> str:
    """Say the figure in words."""
    ppv = "none" if row.ppv is None else f"{of_100(row.ppv)} of 100"
    return (
        f"Alert rate, positive predictive value and sensitivity over the threshold. At {percent(row.threshold)}: "
        f"{of_100(row.alerts_per_100 / 100)} alerts per 100 predictions, {ppv} of them right."
    )


def _steps(probability: np.ndarray) -> np.ndarray:
    """Thresholds to choose from, ascending: each is the number that its label says, and no two have one label."""
    spread = np.quantile(probability, np.linspace(0.02, 0.99, 60))
    return np.unique([round(step, 2 + percent_digits(step)) for step in spread.tolist()])


def _with_interval(value: float | None, interval: tuple[float, float]) -> str:
    if value is None:
        return "none"
    return f"{of_100(value)} ({of_100(interval[0])} to {of_100(interval[1])})"
