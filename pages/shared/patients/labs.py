"""Tab Labs and vitals: one small plot for each code and unit, with reference band and marks for what lies outside."""

import textwrap
from datetime import datetime
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.ehr.numbers import every_digit
from core.ehr.relative_time import Clock
from core.ehr.series import Series, numeric_series, readable_unit
from pages.shared import charts, empty
from pages.shared.patients import sources

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient

COLUMNS, PAGE = 3, 12
ROW, BETWEEN, ABOVE, BELOW = 196, 80, 42, 44
"""Heights in pixels: of a row of plots, of what its ticks and the titles below take of it, and of the margins."""
LINE = 21
"""Characters of a title's line: what a plot of a page of 800 pixels has room for."""
MARKS = {
    "in range": ("circle", charts.BLUE),
    "": ("circle", charts.SLATE),
    "high": ("triangle-up", charts.VERMILLION),
    "low": ("triangle-down", charts.VERMILLION),
}


def show(patient: "Patient") -> None:
    found = numeric_series(patient.events, patient.dataset.vocabulary, patient.facts["sex"])
    if not found:
        empty.show(
            "No measured value", "This patient has no event with a number and a time.", icon="show_chart", key="labs"
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-labs"):
        words = st.text_input(
            "Measurement", icon=":material/search:", type="search", key="lab-words", width=240, persist_state="page"
        )
        future = st.segmented_control(
            "After the as-of time",
            ["grey", "hide"],
            default="hide",
            required=True,
            format_func={"grey": "Grey", "hide": "Hidden"}.get,
            key="lab-future",
            persist_state="page",
        )
        outside = st.toggle("Only with values out of range", key="lab-outside", persist_state="page")
        place = st.empty()
    found = [series for series in (known_at(one, patient.at, future == "grey") for one in found) if series.values]
    found = [one for one in found if words.strip().lower() in f"{one.name} {one.code} {one.unit}".lower()]
    if outside:
        found = [one for one in found if any(one.flag(value) in ("high", "low") for value in one.values)]
    if not found:
        empty.show(
            "No measurement fits",
            "Choose a later time, other words, or show what comes after.",
            icon="search_off",
            key="labs",
        )
        return
    page = 0
    if len(found) > PAGE:
        pages = -(-len(found) // PAGE)
        page = place.segmented_control(
            f"{len(found)} measurements",
            list(range(pages)),
            default=0,
            required=True,
            format_func=lambda number: f"{number * PAGE + 1} to {min((number + 1) * PAGE, len(found))}",
            key=f"lab-page-{patient.subject_id}-{pages}",
            persist_state="page",
        )
    shown = found[page * PAGE : (page + 1) * PAGE]
    state = charts.show(
        draw(shown, patient.at, patient.clock),
        key=f"labs-{patient.subject_id}-{page}",
        alt="Measurements over time: " + ", ".join(f"{one.name} {one.unit}".strip() for one in shown),
        mode_bar=False,
        on_select="rerun",
    )
    rows = {point.get("customdata") for point in state.selection.points} if state else set()
    rows = {row[0] if isinstance(row, list) else row for row in rows} - {None}
    if rows:
        sources.draw(
            sources.of_lines(patient.events, sorted(rows)),
            patient.dataset.vocabulary,
            patient.clock,
            patient.at,
            key="lab-sources",
        )
    st.caption(
        "Shaded: reference range, where the code, unit and sex have one; without one, marks are grey. Triangles "
        "point to the side on which a value lies outside. The vermillion line is the as-of time. Choose a mark to "
        "see its source row."
    )


def known_at(series: Series, at: datetime, future: bool) -> Series:
    """Return the series without what comes after ``at``, unless ``future``."""
    if future:
        return series
    keep = [number for number, time in enumerate(series.times) if time <= at]
    return Series(
        series.code,
        series.unit,
        series.name,
        tuple(series.times[number] for number in keep),
        tuple(series.values[number] for number in keep),
        tuple(series.rows[number] for number in keep),
        series.band,
        series.concept,
    )


def draw(shown: list[Series], at: datetime, clock: Clock) -> go.Figure:
    """Return small multiples of ``shown``, one time axis for all."""
    rows = -(-len(shown) // COLUMNS)
    inside = ROW * rows - BETWEEN
    chart = make_subplots(
        rows=rows,
        cols=COLUMNS,
        subplot_titles=[_title(one) for one in shown],
        horizontal_spacing=0.055,
        vertical_spacing=BETWEEN / inside,
    )
    times = [time for one in shown for time in one.times] + [at]
    start, end = min(times), max(times)
    pad = (end - start) / 30
    span = [clock.axis(start - pad), clock.axis(end + pad)]
    for number, one in enumerate(shown):
        place = {"row": number // COLUMNS + 1, "col": number % COLUMNS + 1}
        _add(chart, one, at, clock, span, place)
    charts.style(chart, inside + ABOVE + BELOW)
    chart.update_annotations(font={"size": 13}, xanchor="left", x=0, align="left")
    for number in range(len(shown)):  # titles at the left edge of their plot
        chart.layout.annotations[number].x = chart.layout[f"xaxis{number + 1 if number else ''}"].domain[0]
    chart.update_xaxes(range=span, nticks=5)
    chart.update_yaxes(nticks=4)
    if clock.relative:
        chart.update_xaxes(title_text=clock.axis_title, title_font={"size": 11}, row=rows)
    chart.update_layout(margin={"t": ABOVE, "b": BELOW}, clickmode="event+select")
    return chart


def _add(chart: go.Figure, one: Series, at: datetime, clock: Clock, span: list, place: dict[str, int]) -> None:
    if one.band is not None:
        chart.add_shape(
            type="rect", x0=span[0], x1=span[1], y0=one.band[0], y1=one.band[1],
            fillcolor="rgba(0,158,115,0.13)", line={"width": 0}, layer="below", **place,
        )  # fmt: skip
    flags = [one.flag(value) for value in one.values]
    later = [time > at for time in one.times]
    unit = charts.plain(readable_unit(one.unit))
    chart.add_trace(
        go.Scatter(
            x=[clock.axis(time) for time in one.times],
            y=list(one.values),
            mode="lines+markers",
            line={"width": 1, "color": charts.LINE},
            marker={
                "size": [9 if flag in ("high", "low") else 6 for flag in flags],
                "symbol": [MARKS[flag][0] for flag in flags],
                "color": [charts.SLATE if after else MARKS[flag][1] for flag, after in zip(flags, later, strict=True)],
                "opacity": [0.4 if after else 1.0 for after in later],
            },
            hovertext=[
                f"<b>{every_digit(value)} {unit}</b> {flag}<br>{clock.show(time)}{' (after)' if after else ''}"
                for value, flag, time, after in zip(one.values, flags, one.times, later, strict=True)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            customdata=list(one.rows),
            unselected={"marker": {"opacity": 0.55}},
        ),
        **place,
    )
    chart.add_vline(x=clock.axis(at), line={"color": charts.VERMILLION, "width": 1}, **place)


def _title(one: Series) -> str:
    """Return the name in bold and the unit, on two lines at most; the end of a long name gives way."""
    name = " ".join((one.concept or one.name).split())
    unit = f"({readable_unit(one.unit)})" if one.unit else ""
    first, *more = textwrap.wrap(name, LINE) or [""]
    rest, room = " ".join(more), LINE - len(unit) - 1
    if rest and room < 8:  # the unit needs the line
        first, rest = f"{name[: LINE - 1].rstrip()}…", ""
    if not rest and len(first) + 1 + len(unit) <= LINE:
        return f"<b>{charts.plain(first)}</b> {charts.plain(unit)}".rstrip()
    rest = f"<b>{charts.plain(rest, room)}</b> " if rest else ""
    return f"<b>{charts.plain(first)}</b><br>{rest}{charts.plain(unit, LINE)}".rstrip()
