"""Tab Timeline: a track for each domain, the as-of line, what comes after it in grey or hidden."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from core.ehr.domains import DOMAINS, with_domain
from core.ehr.relative_time import Clock
from core.ehr.timepoints import LABEL, Timepoint
from core.ehr.visits import is_visit
from core.ehr.vocabulary import Vocabulary
from core.wording import counted
from pages.shared import charts, empty, url
from pages.shared.errors import plain
from pages.shared.patients import sources

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient

TRACKS = [domain for domain in DOMAINS if domain != "demographics"]
COLOURS = dict(zip(TRACKS, (*charts.CATEGORICAL, charts.SLATE), strict=False))
WINDOWS = {"all": None, "5y": 1826, "1y": 365, "90d": 90, "30d": 30}
WINDOW_NAMES = {"all": "All", "5y": "5 years", "1y": "1 year", "90d": "90 days", "30d": "30 days"}
FUTURE = {"grey": "Grey", "hide": "Hidden"}
PREDICTIONS = "Label times"
LISTED = 6
"""Descriptions listed in a hover text."""


def show(patient: "Patient") -> None:
    rows = with_domain(patient.events).filter(pl.col("time").is_not_null() & pl.col("domain").is_in(TRACKS))
    if not rows.height:
        empty.show(
            "No event to draw",
            "This patient has only facts without a time or of birth.",
            icon="timeline",
            key="timeline",
        )
        return
    present = [domain for domain in TRACKS if domain in set(rows["domain"])]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-timeline"):
        words = st.text_input(
            "Events with",
            icon=":material/search:",
            type="search",
            key="timeline-words",
            width=240,
            persist_state="page",
        ).strip()
        window = url.choice("Before the as-of time", WINDOW_NAMES, "all", "window")
        future = url.choice("After it", FUTURE, "grey", "future")
    domains = st.pills(
        "Tracks",
        present,
        selection_mode="multi",
        default=present,
        format_func=DOMAINS.get,
        key=f"tracks-{patient.subject_id}",
        label_visibility="collapsed",
        persist_state="page",
    )
    rows = rows.filter(pl.col("domain").is_in(domains or present))
    if future == "hide":
        rows = rows.filter(pl.col("time") <= patient.at)
    if words:
        rows = rows.filter(pl.col("code").is_in(_codes_with(rows, patient.dataset.vocabulary, words.lower())))
    if not rows.height:
        empty.show(
            "No event fits", "Show more tracks, a later time or other words.", icon="search_off", key="timeline"
        )
        return
    marks = daily(rows, patient.at)
    tracks = [domain for domain in present if domain in set(marks["domain"])]
    labels = [time for time in patient.times if time.kind == LABEL and (future == "grey" or time.time <= patient.at)]
    chart = draw(marks, rows, tracks, patient.at, patient.clock, patient.dataset.vocabulary, WINDOWS[window], labels)
    state = charts.show(
        chart,
        key=f"timeline-{patient.subject_id}",
        alt=f"Timeline of {counted(rows.height, 'event')} in {counted(len(tracks), 'track')}, as of "
        + patient.clock.show(patient.at),
        on_select="rerun",
    )
    _sources(patient, marks, state)


def daily(rows: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Gather events by domain and day, because many happen on one; those of the day of ``at`` in two: until it, after.

    Returns ``mark`` (number), ``domain``, ``day``, ``later`` (than ``at``), ``time`` (the earliest), ``n``, ``rows``,
    ``codes``.
    """
    return (
        rows.with_columns(day=pl.col("time").dt.truncate("1d"), later=pl.col("time") > at)
        .group_by("domain", "day", "later", maintain_order=True)
        .agg(
            time=pl.col("time").min(), n=pl.len(), rows=pl.col("row"), codes=pl.col("code").unique(maintain_order=True)
        )
        .with_row_index("mark")
    )


def draw(
    marks: pl.DataFrame,
    rows: pl.DataFrame,
    tracks: list[str],
    at: datetime,
    clock: Clock,
    vocabulary: Vocabulary,
    days: int | None = None,
    labels: Sequence[Timepoint] = (),
) -> go.Figure:
    """Return the timeline of ``daily(rows, at)`` under a track of ``labels``; ``days`` bounds the view to the past."""
    chart = charts.figure((len(tracks) + bool(labels)) * 42 + 100)
    if labels:
        _add_labels(chart, labels, at, clock)
    stays = rows.filter(is_visit(pl.col("code")) & (pl.col("end") > pl.col("time") + timedelta(hours=20)))
    if stays.height and "visits" in tracks:
        _add_stays(chart, stays, at, clock)
    for domain in tracks:
        of_domain = marks.filter(pl.col("domain") == domain)
        for later in (False, True):
            part = of_domain.filter(pl.col("later") == later)
            if part.height:
                _add_marks(chart, part, domain, later, clock, vocabulary)
    chart.update_yaxes(
        categoryorder="array",
        categoryarray=[*(DOMAINS[domain] for domain in reversed(tracks)), PREDICTIONS],
        fixedrange=True,
        range=[-0.6, len(tracks) - 0.4 + bool(labels)],
    )
    chart.update_xaxes(title_text=clock.axis_title)
    times = [*marks["time"], *(label.time for label in labels), at]
    begin, end = min(times), max(times)
    if days is not None:
        begin, end = at - timedelta(days=days), at + timedelta(days=max(days * 0.04, 1))
        chart.update_xaxes(range=[clock.axis(begin), clock.axis(end)])
    where = clock.axis(at)
    chart.add_shape(
        type="line", x0=where, x1=where, y0=0, y1=1, yref="paper", line={"color": charts.VERMILLION, "width": 2}
    )
    chart.add_annotation(
        x=where,
        xanchor=_anchor(at, begin, end),
        y=1,
        yref="paper",
        yanchor="bottom",
        showarrow=False,
        text=f"as of {clock.show(at)}",
        font={"color": charts.VERMILLION, "size": 12},
    )
    chart.update_traces(unselected={"marker": {"opacity": 0.4}}, selector={"mode": "markers"})
    chart.update_layout(margin={"t": 44}, clickmode="event+select", hovermode="closest")
    return chart


def _anchor(at: datetime, begin: datetime, end: datetime) -> str:
    """Return by which of its ends a caption stands at ``at``, so that the edge of the plot does not cut it."""
    if at - begin < (end - begin) / 4:
        return "left"
    return "right" if end - at < (end - begin) / 4 else "center"


def _add_labels(chart: go.Figure, labels: Sequence[Timepoint], at: datetime, clock: Clock) -> None:
    chart.add_trace(
        go.Scatter(
            x=[clock.axis(label.time) for label in labels],
            y=[PREDICTIONS] * len(labels),
            mode="markers",
            marker={
                "symbol": "diamond-open",
                "size": 9,
                "color": [charts.SLATE if label.time > at else charts.VERMILLION for label in labels],
                "line": {"width": 1.5},
            },
            hovertext=[f"<b>{clock.show(label.time)}</b><br>{charts.plain(label.note, 120)}" for label in labels],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )


def _add_marks(
    chart: go.Figure, marks: pl.DataFrame, domain: str, later: bool, clock: Clock, vocabulary: Vocabulary
) -> None:
    texts = [
        _hover(day, n, codes, later, clock, vocabulary)
        for day, n, codes in marks.select("day", "n", "codes").iter_rows()
    ]
    sizes = (7 + 2.4 * (marks["n"].cast(pl.Float64)).log(2)).clip(7, 20)
    chart.add_trace(
        go.Scatter(
            x=[clock.axis(time) for time in marks["time" if later else "day"]],  # else some lie before the as-of line
            y=[DOMAINS[domain]] * marks.height,
            mode="markers",
            marker={
                "size": sizes.to_list(),
                "color": charts.SLATE if later else COLOURS[domain],
                "opacity": 0.35 if later else 0.85,
                "symbol": "circle-open" if later else "circle",
                "line": {"width": 1, "color": charts.LINE},  # Streamlit's is white in the dark
            },
            customdata=marks["mark"].to_list(),
            hovertext=texts,
            hovertemplate="%{hovertext}<extra></extra>",
            name=DOMAINS[domain],
        )
    )


def _add_stays(chart: go.Figure, stays: pl.DataFrame, at: datetime, clock: Clock) -> None:
    """Draw stays of several days as bars behind the marks; only as far as known at ``at`` where they begin before."""
    xs: list[Any] = []
    for start, end in stays.select("time", "end").iter_rows():
        xs += [clock.axis(start), clock.axis(min(end, at) if start <= at else end), None]
    chart.add_trace(
        go.Scatter(
            x=xs,
            y=[DOMAINS["visits"]] * len(xs),
            mode="lines",
            line={"width": 12, "color": COLOURS["visits"]},
            opacity=0.35,
            hoverinfo="skip",
        )
    )


def _hover(day: datetime, n: int, codes: list[str], later: bool, clock: Clock, vocabulary: Vocabulary) -> str:
    lines = [f"<b>{clock.day(day)}</b>{' (after the as-of time)' if later else ''} · {counted(n, 'event')}"]
    lines += [charts.plain(vocabulary.describe(code) or code) for code in codes[:LISTED]]
    if len(codes) > LISTED:
        lines.append(f"and {counted(len(codes) - LISTED, 'more code')}")
    return "<br>".join(lines)


def _codes_with(rows: pl.DataFrame, vocabulary: Vocabulary, words: str) -> list[str]:
    return [code for code in rows["code"].unique() if words in f"{code} {vocabulary.describe(code) or ''}".lower()]


def _sources(patient: "Patient", marks: pl.DataFrame, state: Any) -> None:
    numbers = {point.get("customdata") for point in state.selection.points} if state else set()
    numbers = {number[0] if isinstance(number, list) else number for number in numbers} - {None}
    picked = marks.filter(pl.col("mark").is_in(list(numbers)))
    if not picked.height:
        st.caption(
            "A mark stands for all events of one track on one day; larger marks for more. Choose one to see its rows."
        )
        return
    rows = picked.explode("rows")["rows"].to_list()
    days = ", ".join(sorted({patient.clock.day(day) for day in picked["day"]})[:4])
    st.markdown(f"**{counted(len(rows), 'source row')}** · {plain(days)}")
    sources.draw(
        sources.of_lines(patient.events, rows),
        patient.dataset.vocabulary,
        patient.clock,
        patient.at,
        key="timeline-sources",
    )
