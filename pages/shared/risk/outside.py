"""How a page marks scores whose task is not defined for the record: an open mark, and the reason in words."""

from collections.abc import Container, Iterable, Mapping, Sequence

import streamlit as st

from core.ehr.tasks import TASK_BY_ID
from core.risk.score import TaskScore
from core.risk.score import percent_text as percent
from pages.shared import charts, tables
from pages.shared.errors import plain

LEGEND = ":gray[◇] outside the task's definition"


def column(scores: Sequence[TaskScore], outside: Container[str]) -> tables.Worded:
    """Return a table's column of probabilities, after an open mark where the task is in ``outside``."""
    return tables.Worded(
        [score.probability if score.reliable else None for score in scores],
        [
            f"{'◇ ' if score.task in outside else ''}{percent(score.probability)}" if score.reliable else "no estimate"
            for score in scores
        ],
    )


def marker(scores: Sequence[TaskScore], outside: Container[str], color: str, symbol: str) -> dict:
    """Return Plotly's marker of each score, open where its task is in ``outside``."""
    symbols, colors = marks((score.task in outside for score in scores), color, symbol)
    return {"size": 11, "symbol": symbols, "color": colors}


def marks(outside: Iterable[object], color: str = charts.BLUE, symbol: str = "diamond") -> tuple[list[str], list[str]]:
    """Return Plotly's symbols and colours of marks: filled in ``color``, open and grey where ``outside`` is true."""
    known = [bool(reason) for reason in outside]
    return (
        [f"{symbol}-open" if open_ else symbol for open_ in known],
        [charts.SLATE if open_ else color for open_ in known],
    )


def explain(clauses: Mapping[str, Mapping[str, str]], tasks: Container[str]) -> None:
    """Write below a table or figure which of its tasks are not defined, for which record and why; nothing for none.

    Args:
        clauses: name of the record -> task -> why it is not defined for it.
        tasks: the tasks that are shown.
    """
    said = {record: _sentence(of_record, tasks) for record, of_record in clauses.items()}
    if len(set(said.values())) == 1:
        said = {"": next(iter(said.values()))}
    lines = [f"{LEGEND}{record and f', {plain(record)}'}: {text}." for record, text in said.items() if text]
    if lines:
        st.caption("  \n".join(lines))


def _sentence(clauses: Mapping[str, str], tasks: Container[str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for task, why in clauses.items():
        if task in tasks:
            by_reason.setdefault(why, []).append(TASK_BY_ID[task].name)
    return "; ".join(f"{', '.join(names)} ({plain(why)})" for why, names in by_reason.items())
