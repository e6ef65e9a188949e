"""A figure as data, so that the page, the printed file and the table of one figure cannot disagree.

A :class:`Plot` is drawn by the pages with Plotly and here, for PNG and SVG, with Matplotlib; :func:`table` is the same
marks as rows.
"""

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.safety import EXPORT_NOTICE

if TYPE_CHECKING:
    import pandas as pd

_MARKS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "x": "X",
    "": "",
}
_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "": ""}
FORMATS = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Series:
    """Marks of one name, colour and shape in one panel.

    Attributes:
        name: as the legend has it.
        x: numbers; None leaves a gap.
        y: numbers; the row number where the plot has rows.
        lower: lower end of each mark's interval, on y, or on x where the plot has rows.
        upper: upper end.
        text: what to say of each mark on hovering.
        colour: ``#RRGGBB``.
        symbol: "circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", or "" for none.
        line: "solid", "dash", "dot", "dashdot", or "" for none.
        band: draw the intervals as one band in place of bars.
        hollow: of each mark, drawn as an outline; for what is not reliable or not significant.
        panel: number of the panel.
        legend: named in the legend; off for a further part of a series.
        x_names: what the table says in place of x, where that is a place on the paper and no number.
    """

    name: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    lower: Sequence[float | None] = ()
    upper: Sequence[float | None] = ()
    text: Sequence[str] = ()
    colour: str = "#2E7EB8"
    symbol: str = "circle"
    line: str = ""
    band: bool = False
    hollow: Sequence[bool] = ()
    panel: int = 0
    legend: bool = True
    x_names: Sequence[str] = ()


@dataclass(frozen=True)
class Plot:
    """A figure.

    Attributes:
        title: what it shows; the heading of a file.
        alt: the same in a sentence, for those who cannot see it.
        series: its marks.
        panels: title of each panel, side by side.
        x_title: of the x axis (of every panel).
        y_title: of the y axis.
        rows: names of the rows, from the top down; the y axis is then a list.
        x_ticks: value and text of each tick of the x axis; automatic when empty.
        x_log: a logarithmic x axis.
        x_range: ends of the x axis.
        y_range: ends of the y axis.
        x_line: where a vertical line of reference stands.
        diagonal: draw the line y = x.
        note: what a reader of the file has to know (source, version, leak).
    """

    title: str
    alt: str
    series: Sequence[Series]
    panels: Sequence[str] = ("",)
    x_title: str = ""
    y_title: str = ""
    rows: Sequence[str] = ()
    x_ticks: Sequence[tuple[float, str]] = ()
    x_log: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    x_line: float | None = None
    diagonal: bool = False
    note: str = field(default="")


def table(plot: Plot) -> "pd.DataFrame":
    """The marks of a plot as rows: panel, series, row or x, value, interval and the note of each mark."""
    import pandas as pd

    out = []
    for series in plot.series:
        for i, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            value = x if plot.rows else y
            if value is None or y is None:
                continue
            entry: dict[str, Any] = {"panel": plot.panels[series.panel]} if len(plot.panels) > 1 else {}
            entry["series"] = series.name
            named = series.x_names[i] if len(series.x_names) else dict(plot.x_ticks).get(x, x)  # type: ignore[arg-type]
            entry[plot.y_title or "row" if plot.rows else plot.x_title or "x"] = (
                plot.rows[round(y)] if plot.rows else named
            )
            entry[(plot.x_title if plot.rows else plot.y_title) or "value"] = value
            entry["lower"] = series.lower[i] if len(series.lower) else None
            entry["upper"] = series.upper[i] if len(series.upper) else None
            entry["note"] = series.text[i] if len(series.text) else ""
            out.append(entry)
    return pd.DataFrame(out)


def x_ends(plot: Plot) -> tuple[float, float] | None:
    """Ends of the x axis: those asked for, or where it has rows, all marks, intervals and the line with a margin.

    All panels share them, so that they can be compared by eye. None leaves it to the library.
    """
    if plot.x_range or not plot.rows:
        return plot.x_range
    values = [v for s in plot.series for part in (s.x, s.lower, s.upper) for v in part]
    known = [v for v in [*values, plot.x_line] if v is not None and math.isfinite(v)]
    if not known:
        return None
    margin = 0.03 * max(max(known) - min(known), 0.02)
    return min(known) - margin, max(known) + margin


def render(plot: Plot, format: str) -> bytes:
    """Draw a plot for print.

    Args:
        plot: the figure.
        format: "png" (200 dpi) or "svg" (text stays text). Both carry the safety notice below the figure.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n = len(plot.panels)
    height = 1.9 + 0.24 * len(plot.rows) if plot.rows else 4.6
    figure = Figure(figsize=(max(8.0, 2.6 * n + 2.5), max(3.2, height)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, n, sharey=True, squeeze=False)[0]
    named: dict[str, Any] = {}
    for series in plot.series:
        handle = _draw(axes[series.panel], series, bool(plot.rows))
        if series.legend and series.name:
            named.setdefault(series.name, handle)
    for axis, title in zip(axes, plot.panels, strict=True):
        _frame(axis, plot, title)
    figure.suptitle(plot.title, fontsize=12, x=0.01, ha="left")
    legend = None
    if len(named) > 1:
        columns = min(len(named), 3)
        legend = figure.legend(
            named.values(), named.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=8
        )
    figure.draw_without_rendering()  # only now is it known where the legend ends
    figure.set_layout_engine("none")
    end = 0.0
    if legend:  # kept in its place: it would follow the bottom of the picture, which the notes move
        end = legend.get_window_extent().transformed(figure.transFigure.inverted()).y0
        legend.set_loc("lower center")
        legend.set_bbox_to_anchor((0.5, end), transform=figure.transFigure)
    wide = int(figure.get_figwidth() * 20)
    notes = "\n".join(textwrap.fill(part, wide) for part in (plot.note, EXPORT_NOTICE) if part)
    figure.text(0.01, min(end, 0.0) - 0.02, notes, fontsize=7, color="#444444", ha="left", va="top")
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "chartlight"}):
        metadata = {"Date": None} if format == "svg" else {}
        figure.savefig(out, format=format, dpi=200, bbox_inches="tight", facecolor="white", metadata=metadata)
    return out.getvalue()


def _draw(axis: Any, series: Series, along_x: bool) -> Any:
    import numpy as np

    x, y = (np.array([np.nan if v is None else v for v in values], float) for values in (series.x, series.y))
    if len(series.lower):
        low, high = (
            np.array([np.nan if v is None else v for v in values], float) for values in (series.lower, series.upper)
        )
        if series.band:
            axis.fill_between(x, low, high, color=series.colour, alpha=0.15, linewidth=0)
        elif along_x:
            axis.hlines(y, low, high, color=series.colour, alpha=0.55, linewidth=2)
        else:
            axis.vlines(x, low, high, color=series.colour, alpha=0.55, linewidth=1.5)
    (handle,) = axis.plot(
        x, y, linestyle=_DASHES[series.line], color=series.colour, marker=_MARKS[series.symbol], ms=5, lw=1.6
    )
    for i, hollow in enumerate(series.hollow):
        if hollow:
            axis.plot(x[i], y[i], marker=_MARKS[series.symbol], markersize=5, color=series.colour, mfc="white")
    return handle


def _frame(axis: Any, plot: Plot, title: str) -> None:
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel(plot.x_title, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(color="#e3e7ec", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if plot.x_log:
        axis.set_xscale("log", base=2)
    if plot.x_ticks:
        axis.set_xticks([value for value, _ in plot.x_ticks], [text for _, text in plot.x_ticks])
        axis.minorticks_off()
    ends = x_ends(plot)
    if ends:
        axis.set_xlim(ends)
    if plot.rows:
        axis.set_yticks(range(len(plot.rows)), plot.rows)
        axis.set_ylim(len(plot.rows) - 0.4, -0.6)
    else:
        axis.set_ylabel(plot.y_title, fontsize=9)
        if plot.y_range:
            axis.set_ylim(plot.y_range)
    if plot.x_line is not None:
        axis.axvline(plot.x_line, color="#6F7F8F", linewidth=1)
    if plot.diagonal:
        axis.axline((0, 0), slope=1, color="#6F7F8F", linewidth=1, linestyle=":")
