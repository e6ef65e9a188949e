"""Tab Trajectory: the same score at the patient's earlier prediction times."""

import plotly.graph_objects as go
import streamlit as st

from core.ehr.task_scope import outside_definitions
from core.ehr.timepoints import tasks_labelled_at
from core.risk.score import percent_text as percent
from core.risk.trajectory import MAX_POINTS, TrajectoryPoint, trajectory
from pages.shared import charts, empty
from pages.shared.risk.case import Case
from pages.shared.risk.outside import marks


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
    outside = _outside(case, points)
    charts.show(figure(case, points, outside), key="trajectory", alt=alt(case, points))
    which = "The newest" if len(points) == MAX_POINTS else "All"
    st.caption(
        f"{which} {len(points)} times up to the chosen one. Each point reads only what was known then. The band is "
        "the 95 % interval of the calibration, the dashed line the cohort's average."
        + (" Open marks: the task is not defined at that time." if any(outside) else "")
    )


def figure(case: Case, points: list[TrajectoryPoint], outside: list[str]) -> go.Figure:
    """Draw probability over time with its interval; the chosen time is the large mark.

    Args:
        case: whose score.
        points: in order of time.
        outside: why the task is not defined at each point, "" where it is.
    """
    clock = case.patient.clock
    scores = [point.scores[0] for point in points]
    where = [clock.axis(point.at) for point in points]
    symbols, colors = marks(outside)
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
        marker={
            "size": [14 if point.current else 8 for point in points],
            "symbol": symbols,
            "color": colors,
        },
        customdata=[
            [clock.show(point.at), percent(score.probability), f"<br>Outside the task: {reason}" if reason else ""]
            for point, score, reason in zip(points, scores, outside)
        ],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}%{customdata[2]}<extra></extra>",
    )
    chart = charts.figure(320, band, line)
    chart.add_hline(case.head.prevalence, line={"color": charts.SLATE, "width": 1, "dash": "dash"})
    top = max(case.head.prevalence, *(score.interval[1] for score in scores))
    chart.update_yaxes(tickformat=".0%" if top > 0.05 else ".1%", range=[0, min(1.0, 1.15 * max(top, 0.01))])
    chart.update_xaxes(title=clock.axis_title)
    return chart


def _outside(case: Case, points: list[TrajectoryPoint]) -> list[str]:
    """Why the task is not defined at each point, "" where it is."""
    patient, task = case.patient, case.head.subtask.task
    found = []
    for point in points:
        labelled = tasks_labelled_at(patient.labels, point.at)
        why = outside_definitions(patient.events, point.at, patient.dataset.vocabulary, labelled).get(task)
        found.append(why.text(patient.clock.day) if why else "")
    return found


def alt(case: Case, points: list[TrajectoryPoint]) -> str:
    """Say the figure in words."""
    first, last = points[0], points[-1]
    return (
        f"{case.score.name} over {len(points)} times, from {percent(first.scores[0].probability)} at "
        f"{case.patient.clock.show(first.at)} to {percent(last.scores[0].probability)} at "
        f"{case.patient.clock.show(last.at)}."
    )
