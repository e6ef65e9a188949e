"""A :class:`core.figures.Plot` on the page: interactive, with its files below."""

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core import figures, files
from core.figures import Plot, Series
from pages.shared import charts, downloads

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down")
ROW = 24
"""Height of a row in pixels."""


def mark(number: int) -> tuple[str, str]:
    """Colour and symbol of the series of that number; no two of the first 49 look alike."""
    colours = charts.CATEGORICAL
    return colours[number % len(colours)], SYMBOLS[(number + number // len(colours)) % len(SYMBOLS)]


def show(plot: Plot, key: str, height: int | None = None) -> None:
    """Draw a plot and the buttons for its PNG, SVG and CSV.

    Args:
        plot: the figure.
        key: unique on the page; names the files as well.
        height: pixels; by the number of rows, or 380, otherwise.
    """
    charts.show(plotly(plot, height), key=f"benchmark-{key}", alt=plot.alt)
    exports(plot, key)


def exports(plot: Plot, key: str) -> None:
    """Draw the buttons for a plot's files."""
    with st.container(horizontal=True, gap="small", key=f"tight-files-{key}"):
        for format, mime in figures.FORMATS.items():
            downloads.button(
                format.upper(),
                lambda format=format: figures.render(plot, format),
                f"benchmark-{key}.{format}",
                mime,
                key=f"benchmark-{key}-{format}",
                page="benchmark",
            )
        downloads.button(
            "CSV",
            lambda: files.csv_text(figures.table(plot)),
            f"benchmark-{key}.csv",
            "text/csv",
            key=f"benchmark-{key}-csv",
            page="benchmark",
        )


def plotly(plot: Plot, height: int | None = None) -> go.Figure:
    """Return the plot as an interactive figure in the house style."""
    n = len(plot.panels)
    named = len({series.name for series in plot.series if series.legend and series.name}) > 1
    if height is None:
        height = 92 + 14 * any(plot.panels) + ROW * len(plot.rows) if plot.rows else 380
    chart = make_subplots(rows=1, cols=n, shared_yaxes=True, horizontal_spacing=0.02)
    for series in plot.series:
        _add(chart, series, bool(plot.rows))
    charts.style(chart, height, legend=named)
    titled = any(plot.panels)
    chart.update_layout(hovermode="closest", margin={"t": (34 if named else 8) + (34 if titled else 0)})
    if titled:
        chart.update_layout(legend={"y": 1.0 + 40 / max(height - 104, 60)})  # above the panels' titles
        for i, title in enumerate(plot.panels):
            words = charts.plain(title).replace(" ", "<br>")  # a narrow page has room for a word
            chart.add_annotation(
                text=f"<b>{words}</b>", font={"size": 12}, x=0, xref=f"x{i + 1 if i else ''} domain", xanchor="left",
                y=1, yref="paper", yanchor="bottom", align="left", showarrow=False,
            )  # fmt: skip
    _axes(chart, plot)
    return chart


def _add(chart: go.Figure, series: Series, along_x: bool) -> None:
    column = series.panel + 1
    name = charts.plain(series.name, 60)
    text = [charts.plain(entry, 160) for entry in series.text] or None
    if len(series.lower) and series.band:
        known = [i for i, low in enumerate(series.lower) if low is not None and low == low]
        chart.add_trace(
            go.Scatter(
                x=[series.x[i] for i in known] + [series.x[i] for i in reversed(known)],
                y=[series.upper[i] for i in known] + [series.lower[i] for i in reversed(known)],
                fill="toself", mode="lines", line={"width": 0}, fillcolor=_faint(series.colour), hoverinfo="skip",
                showlegend=False, legendgroup=name,
            ),
            row=1, col=column,
        )  # fmt: skip
    elif len(series.lower):
        x, y = [], []
        for i, (low, high) in enumerate(zip(series.lower, series.upper, strict=True)):
            if low is None or high is None or low != low:
                continue
            x += [low, high, None] if along_x else [series.x[i], series.x[i], None]
            y += [series.y[i], series.y[i], None] if along_x else [low, high, None]
        chart.add_trace(
            go.Scatter(
                x=x, y=y, mode="lines", line={"color": series.colour, "width": 3}, opacity=0.45, hoverinfo="skip",
                showlegend=False, legendgroup=name,
            ),
            row=1, col=column,
        )  # fmt: skip
    hollow = list(series.hollow) or [False] * len(series.x)
    symbols = [f"{series.symbol}-open" if open_ else series.symbol for open_ in hollow]
    mode = "+".join(part for part, on in (("lines", series.line), ("markers", series.symbol)) if on)
    chart.add_trace(
        go.Scatter(
            x=list(series.x), y=list(series.y), mode=mode, name=name, legendgroup=name, showlegend=series.legend,
            line={"color": series.colour, "dash": series.line or "solid", "width": 2},
            marker={"color": series.colour, "symbol": symbols, "size": 9, "line": {"color": series.colour, "width": 2}}
            if series.symbol else None,
            customdata=text, hovertemplate="%{customdata}<extra></extra>" if text else None,
        ),
        row=1, col=column,
    )  # fmt: skip


def _axes(chart: go.Figure, plot: Plot) -> None:
    chart.update_xaxes(title=plot.x_title or None, row=1, col=1)
    if plot.x_log:
        chart.update_xaxes(type="log")
    if plot.x_ticks:
        chart.update_xaxes(tickvals=[value for value, _ in plot.x_ticks], ticktext=[text for _, text in plot.x_ticks])
    ends = figures.x_ends(plot)
    if ends:
        chart.update_xaxes(range=list(ends))
    if plot.rows:
        names = [charts.plain(name, 60) for name in plot.rows]
        chart.update_yaxes(tickvals=list(range(len(names))), range=[len(names) - 0.4, -0.6])
        chart.update_yaxes(ticktext=names, row=1, col=1)
    else:
        chart.update_yaxes(title=plot.y_title or None, row=1, col=1)
        if plot.y_range:
            chart.update_yaxes(range=list(plot.y_range))
    if plot.x_line is not None:
        chart.add_vline(plot.x_line, line={"color": charts.SLATE, "width": 1, "dash": "dot"})
    if plot.diagonal:
        chart.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": charts.SLATE, "width": 1, "dash": "dot"})


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"
