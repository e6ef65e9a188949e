"""The scores of one group on one scale: the patient's probability, its interval, and the cohort's average."""

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.risk.score import RARE, TaskScore, of_100, percentile_text
from core.risk.score import percent_text as percent
from core.wording import counted
from pages.shared import charts
from pages.shared.risk.outside import marks
from pages.shared.risk.scoring import key_of

ROW = 62
"""Height of a row in pixels."""
ABOVE, BELOW = 17 / ROW, -16 / ROW
"""Distance of words from a row's scale, in rows."""
SCALES = ("Percent", "Log-odds")
_LOG_ODDS_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
_PERCENT_ENDS = (0.1, 0.25, 0.5, 1.0)
_LOWEST = 0.0005


def words(score: TaskScore, outside: str = "") -> str:
    """Write the score in a short line: percentile and ratio to the average, or why neither says much.

    Args:
        score: the score.
        outside: why its task is not defined for this record, "" where it is.
    """
    if not score.reliable:
        return f"No reliable estimate: {score.shortage}"
    if outside:
        return f"Outside the task: {outside}"
    ratio = score.probability / score.prevalence if score.prevalence else float("nan")
    times = "<0.1" if ratio < 0.05 else f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:.0f}"
    place = {"<1": "among the lowest 1 %", ">99": "among the highest 1 %"}.get(percentile_text(score.percentile))
    return f"{place or f'higher than {score.percentile:.0f} %'} of the cohort · {times} × average"


def end_of_scale(scores: Sequence[TaskScore]) -> float:
    """Return where the percent scale ends, one for all groups, so that their rows can be compared by eye."""
    highest = max((max(s.interval[1], s.probability, s.prevalence) for s in scores if s.reliable), default=1.0)
    return next(end for end in _PERCENT_ENDS if end >= min(highest, 1.0))


def figure(
    scores: Sequence[TaskScore], scale: str, end: float, chosen: str | None, outside: Mapping[str, str]
) -> go.Figure:
    """Draw one row a score: name and numbers above its scale, what they mean below it.

    A score outside of its task's definition is an open grey mark without interval, its numbers are not bold, and the
    average is its scale's tick alone: the reason has the line.

    Args:
        scores: from the top down.
        scale: one of :data:`SCALES`.
        end: where the percent scale ends.
        chosen: key of the head whose evidence is shown, set off by a band.
        outside: by task, why it is not defined for this record; plain text.
    """
    known = [(row, score) for row, score in enumerate(scores) if score.reliable]
    place = (lambda p: float(p)) if scale == "Percent" else _log_odds
    ticks = tuple(end * quarter / 4 for quarter in range(5)) if scale == "Percent" else _LOG_ODDS_TICKS
    edges = (-0.02 * end, 1.02 * end) if scale == "Percent" else (_log_odds(_LOWEST), _log_odds(0.995))
    names = [(row, f"<b>{score.name}</b>") for row, score in enumerate(scores)]
    meanings = [(row, words(score, outside.get(score.task, ""))) for row, score in enumerate(scores)]
    numbers = [(row, _numbers(score, score.task in outside)) for row, score in known]
    averages = [(row, f"average {percent(score.prevalence)}") for row, score in known if score.task not in outside]
    begin, stop = (edges[0], "middle right"), (edges[1], "middle left")
    return charts.figure(
        ROW * len(scores) + 38,
        _intervals([(row, score) for row, score in known if score.task not in outside], place),
        _marks(known, place, outside),
        _words((names, *begin, ABOVE), (meanings, *begin, BELOW), (numbers, *stop, ABOVE), (averages, *stop, BELOW)),
        dragmode=False,
        margin={"l": 14, "r": 14, "t": 2, "b": 32},
        shapes=[_band(row) for row, score in enumerate(scores) if key_of(score) == chosen],
        xaxis={
            "range": edges,
            "tickvals": [place(tick) for tick in ticks],
            "ticktext": [f"{100 * tick:g} %" for tick in ticks],
            "tickangle": 0,
            "fixedrange": True,
            "automargin": False,  # the margins are known; Plotly would draw twice to find them
        },
        yaxis={
            "range": [len(scores) - 0.5, -0.5],
            "tickvals": list(range(len(scores))),  # the grid is each row's scale
            "showticklabels": False,
            "fixedrange": True,
            "automargin": False,
        },
    )


def alt(group: str, scores: Sequence[TaskScore], outside: Mapping[str, str]) -> str:
    """Say in words what the figure of a group shows."""
    parts = [
        f"{score.name} {percent(score.probability)}, average {percent(score.prevalence)}"
        + (f", outside the task: {outside[score.task]}" if score.task in outside else "")
        if score.reliable
        else f"{score.name}: no reliable estimate"
        for score in scores
    ]
    return f"{group}: " + "; ".join(parts) + "."


def _intervals(known: Sequence[tuple[int, TaskScore]], place: Callable[[float], float]) -> go.Scatter:
    """The intervals of all rows, broken between rows. One trace, as marks and words are: a browser pays for each."""
    return go.Scatter(
        x=[value for _, score in known for value in (*map(place, score.interval), None)],
        y=[value for row, _ in known for value in (row, row, None)],
        mode="lines",
        line={"color": charts.BLUE, "width": 7},
        opacity=0.35,
        hoverinfo="skip",
    )


def _marks(
    known: Sequence[tuple[int, TaskScore]], place: Callable[[float], float], outside: Container[str]
) -> go.Scatter:
    """The averages of all rows and, over them, the patient's probabilities."""
    averages = [f"average of {charts.plain(score.cohort)}: {percent(score.prevalence)}" for _, score in known]
    patients = [f"{charts.plain(score.natural_frequency, 160)}.<br>{_basis(score)}" for _, score in known]
    symbols, colors = marks(score.task in outside for _, score in known)
    return go.Scatter(
        x=[place(score.prevalence) for _, score in known] + [place(score.probability) for _, score in known],
        y=[row for row, _ in known] * 2,
        mode="markers",
        marker={
            "symbol": ["line-ns"] * len(known) + symbols,
            "size": 13,
            "color": [charts.SLATE] * len(known) + colors,
            "line": {"width": [2] * len(known) + [0] * len(known), "color": charts.SLATE},
        },
        customdata=[[key_of(score)] for _, score in known] * 2,
        hovertext=averages + patients,
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _band(row: int) -> dict:
    """What sets the chosen row off."""
    edges = {"x0": 0, "x1": 1, "xref": "x domain", "y0": row - 0.48, "y1": row + 0.48, "yref": "y"}
    return {"type": "rect", **edges, "fillcolor": charts.FAINT, "line": {"width": 0}, "layer": "below"}


def _words(*columns: tuple[Sequence[tuple[int, str]], float, str, float]) -> go.Scatter:
    """Words of rows, in columns: each has its words by row, the x where they begin or end, on which side of it they
    stand, and how far above their row's scale; below it they are small.

    Words are one trace: a browser measures every annotation by itself, which took half of the page's time.
    """
    places = [(x, row - above, text, side, above) for rows, x, side, above in columns for row, text in rows]
    return go.Scatter(
        x=[x for x, *_ in places],
        y=[y for _, y, *_ in places],
        mode="text",
        text=[text for _, _, text, *_ in places],
        textposition=[side for *_, side, _ in places],
        textfont={"size": [13 if above > 0 else 11 for *_, above in places]},
        cliponaxis=False,
        hoverinfo="skip",
    )


def _numbers(score: TaskScore, light: bool) -> str:
    lower, upper = map(of_100, score.interval)
    probability = percent(score.probability) if light else f"<b>{percent(score.probability)}</b>"
    return f"{probability} ({lower} to {upper})"


def _basis(score: TaskScore) -> str:
    """Say what stands behind a score."""
    lower, upper = score.interval
    digits = "rare outcome, counted in 1,000" if score.prevalence < RARE else "counted in 100"
    return (
        f"95 % interval of the calibration {percent(lower)} to {percent(upper)}; "
        f"{score.n_positive:,} of {score.n:,} held-out cases positive, of "
        f"{counted(score.n_patients_with, 'patient')}; {digits}"
    )


def _log_odds(probability: float) -> float:
    p = min(max(float(probability), _LOWEST), 0.995)
    return float(np.log(p / (1 - p)))
