"""Tab Compare: these scores beside those of another patient, another time or another encoder."""

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import TypeAlias

import plotly.graph_objects as go
import streamlit as st

from core.ehr.demo.cases import cases_of
from core.ehr.timepoints import timepoints
from core.errors import ChartlightError, InputError
from core.risk.score import TaskScore
from core.risk.score import percent_text as percent
from pages.shared import audience, charts, empty, selection, tables
from pages.shared.encoders import others
from pages.shared.encoders.state import sentence
from pages.shared.errors import plain
from pages.shared.patients.chart import Patient
from pages.shared.risk import outside, scoring
from pages.shared.risk.case import Case

Compared: TypeAlias = tuple[str, scoring.Scored, dict[str, str]]
"""The other's name and scores, and by task why it is not defined for their record."""
WITH = ("Another patient", "Another time", "Another encoder")


def show(case: Case) -> None:
    """Draw the choice of what to compare with, and both sets of scores on one scale."""
    kind = st.segmented_control(
        "Compare with", WITH, default=WITH[0], required=True, key="compare-with", persist_state="page"
    )
    try:
        chosen = _other(case, kind or WITH[0])
    except ChartlightError as error:
        empty.show(plain(sentence(error.what)), f"{plain(sentence(error.fix))}.", icon="error", key="compare")
        return
    if chosen is None:
        return
    name, other, there = chosen
    theirs = {scoring.key_of(score): score for score in other.scores}
    pairs = [
        (mine, theirs[scoring.key_of(mine)])
        for mine in case.scored.scores
        if scoring.key_of(mine) in theirs and mine.reliable and theirs[scoring.key_of(mine)].reliable
    ]
    if not pairs:
        empty.show("There is no task that both have a reliable score for", icon="compare_arrows", key="compare")
        return
    here = case.scored.clauses(case.patient.clock.day)
    outside.explain({"this": here, name: there}, {mine.task for mine, _ in pairs})
    averages = [mine.prevalence for mine, _ in pairs]
    left, right = st.columns([5, 4], gap="medium")
    with left:
        charts.show(
            figure(pairs, name, here, there), key="compare-scores", alt=alt(pairs, name, here, there), mode_bar=False
        )
    with right:
        st.dataframe(
            tables.table(
                {
                    "Task": [mine.name for mine, _ in pairs],
                    "This": outside.column([mine for mine, _ in pairs], here),
                    name: outside.column([their for _, their in pairs], there),
                    "Average": tables.Worded(averages, [percent(average) for average in averages]),
                }
            ),
            hide_index=True,
            height="content",
            column_config={"Task": st.column_config.TextColumn(width=170)},
            alt=f"Scores of this patient and of {name}",
        )


def figure(
    pairs: list[tuple[TaskScore, TaskScore]], name: str, here: Mapping[str, str], there: Mapping[str, str]
) -> go.Figure:
    """Draw a line a task between the two probabilities.

    Args:
        pairs: this score and the other's, a task each.
        name: of the other.
        here: by task, why it is not defined for this record.
        there: the same for the other's.
    """
    links = []
    for mine, their in pairs:
        links += [(mine.probability, mine.name), (their.probability, mine.name), (None, None)]
    chart = charts.figure(
        84 + 24 * len(pairs),
        go.Scatter(
            x=[x for x, _ in links], y=[y for _, y in links], mode="lines", line={"color": charts.SLATE, "width": 1},
            hoverinfo="skip", showlegend=False,
        ),
        *_marks([mine for mine, _ in pairs], "This", charts.BLUE, "diamond", here),
        *_marks([their for _, their in pairs], name, charts.VERMILLION, "circle", there),
        legend=True,
        dragmode=False,
    )  # fmt: skip
    chart.update_layout(margin_b=36)  # the axis' numbers
    chart.update_xaxes(range=[-0.02, 1.02], tickformat=".0%", fixedrange=True)
    chart.update_yaxes(range=[len(pairs) - 0.5, -0.5], fixedrange=True, dtick=1)
    return chart


def alt(pairs: list[tuple[TaskScore, TaskScore]], name: str, here: Container[str], there: Container[str]) -> str:
    """Say the figure in words."""
    parts = [f"{mine.name} {_said(mine, here)} and {_said(their, there)}" for mine, their in pairs]
    return f"Scores of this patient and of {name}: " + "; ".join(parts) + "."


def _said(score: TaskScore, off: Container[str]) -> str:
    return percent(score.probability) + (" (outside the task)" if score.task in off else "")


def _other(case: Case, kind: str) -> Compared | None:
    if kind == WITH[2]:
        return _other_encoder(case)
    if kind == WITH[1]:
        times = [time for time in case.patient.times if time.time != case.patient.at]
        if not times:
            empty.show("This patient has no other time", icon="schedule", key="compare")
            return None
        clock = case.patient.clock
        time = st.selectbox(
            "Other time",
            times,
            format_func=lambda t: f"{clock.show(t.time)} · {t.note}",
            width=480,
            key=f"compare-time-{case.patient.subject_id}-{case.patient.at:%Y%m%d%H%M%S}",
            persist_state="page",
        )
        then = scoring.scored(replace(case.patient, at=time.time), case.encoder_name)
        return clock.show(time.time), then, then.clauses(clock.day)
    if audience.on():
        return _prepared(case)
    text = st.text_input(
        "Subject id of the other patient",
        placeholder="an id of this dataset",
        width=260,
        key="compare-subject",
        persist_state="page",
    ).strip()
    if not text:
        st.caption("The patient is read as of the newest of their own times.")
        return None
    if not text.isdecimal():
        empty.show("A subject id is a whole number", icon="tag", key="compare")
        return None
    return _scores_of(case, _patient(case, int(text)), "the newest of their times")


def _prepared(case: Case) -> Compared | None:
    """Choose another patient among the prepared cases, at its time: an audience sees no subject ids."""
    mine, dataset = case.patient.subject_id, case.patient.dataset
    prepared = [one for one in cases_of(dataset) if one.subject_id != mine]
    if not prepared:
        empty.show("This dataset has no other prepared case", icon="groups", key="compare")
        return None
    one = st.selectbox(
        "Prepared case", prepared, format_func=lambda one: one.title, width=360, key="compare-case",
        persist_state="page",
    )  # fmt: skip
    return _scores_of(case, replace(_patient(case, one.subject_id), at=one.prediction_time), "the time of the case")


def _scores_of(case: Case, other: Patient, when: str) -> Compared:
    name = selection.alias(other.subject_id)
    st.caption(f"{name} is read as of {other.clock.show(other.at)}, {when}.")
    scored = scoring.scored(other, case.encoder_name)
    return name, scored, scored.clauses(other.clock.day)


def _patient(case: Case, subject: int) -> Patient:
    dataset = case.patient.dataset
    events, labels = dataset.events(subject), case.patient.labels.clear()
    times = timepoints(events, labels, dataset.vocabulary)
    clock = selection.clock_of(dataset, subject)
    if not times:
        raise InputError(f"subject {subject} has no event with a time", "choose another patient")
    return Patient(dataset, subject, events, labels, times, times[0].time, clock, {})


def _other_encoder(case: Case) -> Compared | None:
    names = [state.spec.name for state in others.ready(case.encoder_name)]
    if not names:
        others.explain(case.encoder_name, case.patient.dataset.path, "compare")
        return None
    name = st.selectbox("Other encoder", names, width=360, key="compare-encoder", persist_state="page")
    st.caption("Each encoder has heads and a calibration of its own: compare probabilities, not log-odds.")
    scored = scoring.scored(case.patient, name)
    return name, scored, scored.clauses(case.patient.clock.day)


def _marks(
    scores: list[TaskScore], name: str, color: str, symbol: str, why: Mapping[str, str]
) -> tuple[go.Scatter, go.Scatter]:
    """The marks and their entry in the legend, where Plotly would show the first mark, which may be an open one."""
    legend = go.Scatter(
        x=[None], y=[scores[0].name], name=name, mode="markers", marker=outside.marker(scores[:1], (), color, symbol)
    )
    return legend, go.Scatter(
        x=[score.probability for score in scores],
        y=[score.name for score in scores],
        mode="markers",
        showlegend=False,
        marker=outside.marker(scores, why, color, symbol),
        customdata=[f"<br>Outside the task: {why[score.task]}" if score.task in why else "" for score in scores],
        hovertemplate="%{y}: %{x:.1%}%{customdata}<extra></extra>",
    )
