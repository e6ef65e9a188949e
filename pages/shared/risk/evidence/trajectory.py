"""Tab Trajectory: the same score at the patient's earlier prediction times."""

import plotly.graph_objects as go
import streamlit as st

from core.risk.trajectory import TrajectoryPoint, trajectory
from pages.shared import charts, empty
from pages.shared.risk.case import Case
from pages.shared.risk.groups import percent


def show(case: Case) -> None:
    """Draw the score over the past, up to the chosen time."""
    patient = case.patient
    times = [time.time for time in patient.times]
    points: list[TrajectoryPoint] = case.compute(
        "Reading the record at earlier times",
        "trajectory",
        lambda encoder, cache, progress: trajectory(
            patient.dataset,
            patient.subject_id,
            patient.at,
            times,
            encoder,
            {case.head.key: case.head},
            cache,
            progress=progress,
        ),
    )
    if len(points) < 2:
        empty.show(
            "There is no earlier time",
            "This is the first time at which the record can be read. Choose a later one above.",
            icon="timeline",
            key="trajectory",
        )
        return
    charts.show(figure(case, points), key="trajectory", alt=alt(case, points))
    st.caption(
        f"{len(points)} times up to the chosen one. Each point reads only what was known then. The band is the 95 % "
        "interval of the calibration, the dashed line the cohort's average."
    )


def figure(case: Case, points: list[TrajectoryPoint]) -> go.Figure:
    """Draw probability over time with its interval; the chosen time is the large mark."""
    clock = case.patient.clock
    scores = [point.scores[0] for point in points]
    where = [clock.axis(point.at) for point in points]
    band = go.Scatter(
        x=[*where, *reversed(where)],
        y=[*(score.interval[1] for score in scores), *(score.interval[0] for score in reversed(scores))],
        fill="toself",
        fillcolor=charts.FAINT,
        line={"width": 0},
        hoverinfo="skip",
        mode="lines",
    )
    line = go.Scatter(
        x=where,
        y=[score.probability for score in scores],
        mode="lines+markers",
        line={"color": charts.BLUE, "width": 2},
        marker={"size": [14 if point.current else 8 for point in points], "symbol": "diamond"},
        customdata=[[clock.show(point.at), percent(score.probability)] for point, score in zip(points, scores)],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    )
    chart = charts.figure(320, band, line)
    chart.add_hline(case.head.prevalence, line={"color": charts.SLATE, "width": 1, "dash": "dash"})
    top = max(case.head.prevalence, *(score.interval[1] for score in scores))
    chart.update_yaxes(tickformat=".0%" if top > 0.05 else ".1%", range=[0, min(1.0, 1.15 * max(top, 0.01))])
    chart.update_xaxes(title=clock.axis_title)
    return chart


def alt(case: Case, points: list[TrajectoryPoint]) -> str:
    """Say the figure in words."""
    first, last = points[0], points[-1]
    return (
        f"{case.score.name} over {len(points)} times, from {percent(first.scores[0].probability)} at "
        f"{case.patient.clock.show(first.at)} to {percent(last.scores[0].probability)} at "
        f"{case.patient.clock.show(last.at)}."
    )
