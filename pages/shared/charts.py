"""One look for every Plotly figure, in both themes.

The theme of the browser gives text, grid and background (``theme="streamlit"``), so that a figure follows a
change of theme at once. The colours here are for marks: derived from Okabe and Ito, each at 3:1 or better on
the background of either theme (tests/pages/test_theme.py), so that they need no knowledge of it.
"""

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.shared import audience

BLUE = "#2E7EB8"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PINK = "#C26A9A"
OCHRE = "#A87900"
VIOLET = "#7A68B8"
SLATE = "#6F7F8F"
CATEGORICAL = (BLUE, VERMILLION, GREEN, PINK, OCHRE, VIOLET, SLATE)
FAINT = "rgba(111,127,143,0.16)"
"""Fill of reference bands and of what is not in focus."""
LINE = "rgba(111,127,143,0.35)"
"""Grid and axis lines."""

_NO_TOOLS = ("toImage", "autoScale2d", "toggleSpikelines")
"""Never offered: a picture by Plotly's own button would pass by roles, audit log and notice (downloads.py)."""
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": [*_NO_TOOLS, "select2d", "lasso2d"],
    "scrollZoom": False,
}
_X_AXIS = {
    "gridcolor": LINE,
    "zeroline": False,
    "linecolor": LINE,
    "ticks": "outside",
    "tickcolor": LINE,
    "automargin": True,
}
_Y_AXIS = {"gridcolor": LINE, "zeroline": False, "automargin": True}
_TICK, _TITLE = 11.25, 13.125
"""Sizes that Streamlit's theme gives to ticks and legends, and to titles of axes."""
_FONT = "'Source Sans', 'Source Sans Pro', sans-serif"


def figure(height: int, *traces: Any, legend: bool = False, **layout: Any) -> go.Figure:
    """Return a figure in the house style.

    Args:
        height: pixels.
        traces: what it shows.
        legend: show a legend above the plot.
        layout: further keys of ``layout``; a dictionary adds to the house's.
    """
    house = {**_layout(height, legend), "xaxis": _X_AXIS, "yaxis": _Y_AXIS}
    for key, value in layout.items():
        house[key] = {**house[key], **value} if isinstance(value, dict) and key in house else value
    return go.Figure(data=list(traces), layout=house)  # at once: Plotly's updates cost more than the figure


def style(chart: go.Figure, height: int, legend: bool = False) -> go.Figure:
    """Give ``chart`` the house style in place (margins, fonts, grid, hover) and return it."""
    chart.update_layout(**_layout(height, legend))
    chart.update_xaxes(**_X_AXIS)
    chart.update_yaxes(**_Y_AXIS)
    return chart


def _layout(height: int, legend: bool) -> dict[str, Any]:
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 28 if legend else 10, "b": 8},
        "font": {"family": _FONT, "size": 13},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "title": {"text": ""}},
        "hoverlabel": {"font": {"family": _FONT, "size": 13}, "align": "left", "namelength": -1},
        "dragmode": "zoom",
        "colorway": list(CATEGORICAL),
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": SLATE, "activecolor": BLUE},
    }


def enlarged(chart: go.Figure, by: float) -> go.Figure:
    """Return a figure with all that is measured in pixels (text, marks, lines, margins, height) larger by a factor."""
    spec = chart.to_dict()
    layout = spec["layout"]
    layout.setdefault("legend", {}).setdefault("font", {}).setdefault("size", _TICK)
    for name, axis in layout.items():
        if name.startswith(("xaxis", "yaxis")):
            axis.setdefault("tickfont", {}).setdefault("size", _TICK)
            axis.setdefault("title", {}).setdefault("font", {}).setdefault("size", _TITLE)
    layout["height"] *= by
    _enlarge(spec, "", by)
    return go.Figure(spec)


_LENGTHS = {"marker": ("size",), "pattern": ("size",), "line": ("width",), "margin": ("l", "r", "t", "b")}


def _enlarge(part: dict[str, Any], name: str, by: float) -> None:
    """Enlarge in place the lengths of a part of a figure, and of the parts in it."""
    for key, value in part.items():
        if key in (("size",) if name.endswith("font") else _LENGTHS.get(name, ())):
            part[key] = [by * one for one in value] if isinstance(value, list | tuple) else by * value
        elif isinstance(value, dict):
            _enlarge(value, key, by)
        elif isinstance(value, list | tuple):
            for one in value:
                if isinstance(one, dict):
                    _enlarge(one, "", by)


def plain(text: str, length: int = 70) -> str:
    """Return a text from data for a title or hover text: Plotly reads some HTML there, links among it."""
    text = " ".join(text.split())
    return html.escape(text if len(text) <= length else text[: length - 1] + "…", quote=False)


def show(
    chart: go.Figure,
    key: str,
    alt: str,
    on_select: Any = "ignore",
    selection_mode: str | Sequence[str] = "points",
    mode_bar: bool = True,
) -> Any:
    """Draw ``chart``; return its selection where ``on_select`` asks for it.

    Args:
        chart: the figure, styled by :func:`figure` or :func:`style`.
        key: unique on the page.
        alt: what the figure shows, in words, for those who cannot see it.
        on_select: as in ``st.plotly_chart``.
        selection_mode: as in ``st.plotly_chart``.
        mode_bar: offer zoom and reset; off for small multiples.
    """
    if audience.on():
        chart = enlarged(chart, audience.LARGER)
    config = CONFIG if mode_bar else {**CONFIG, "displayModeBar": False}
    if selection_mode != "points":  # the tools for selecting stay where there is something to select
        config = {**config, "modeBarButtonsToRemove": list(_NO_TOOLS)}
    return st.plotly_chart(
        chart,
        key=key,
        theme="streamlit",
        config=config,
        on_select=on_select,
        selection_mode=selection_mode,
        alt=alt,
    )
