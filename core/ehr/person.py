"""Age, sex and the other demographics at the head of a record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.ehr.chart import Chart
from core.ehr.codebook import EVENT
from core.ehr.sex import last_sex

_DAY = 86_400_000_000
_N_DEMOGRAPHICS = 4
_LETTER = {"male": "M", "female": "F"}


@dataclass(frozen=True)
class Person:
    """Who the record is about.

    Attributes:
        lines: text and source rows of the lines under "Patient Demographics".
        events: indices of the events that these lines stand for.
        sex: "M", "F" or None; only told under ``corrected``.
        overwritten: the event that the paper's code overwrites by the age, and that text; None under ``corrected``.
    """

    lines: list[tuple[str, Sequence[int]]]
    events: np.ndarray
    sex: str | None = None
    overwritten: tuple[int, str] | None = None


def age_text(chart: Chart, now: int) -> str:
    """The line of the age: whole days / 365, cut off, as the paper counts it."""
    if chart.birth is None:
        return "Patient age: unknown"
    return f"Patient age: {int((now - chart.birth) // _DAY / 365)}"


def read_person(chart: Chart, inside: np.ndarray, now: int) -> Person:
    """Find the demographics among the events ``inside``.

    Under ``corrected`` these are birth and all sex, race and ethnicity events. The paper takes what comes first;
    of that only the overwritten event is set here, the rest by
    :func:`paper_demographics`.
    """
    if not chart.corrected:
        return Person([], np.empty(0, np.int64), None, (int(inside[0]), age_text(chart, now)) if len(inside) else None)
    code = chart.code[inside]
    events = inside[chart.book.demographic[code] & (chart.kind[inside] == EVENT)]
    births = [] if chart.birth_event is None else [int(chart.row[chart.birth_event])]
    lines = [(f"- {age_text(chart, now)}", births)] if len(chart.row) else []
    sex = last_sex(chart.book.codes[number] for number in chart.code[events].tolist())
    return Person(lines + _described(chart, events), events, _LETTER.get(sex or ""))


def paper_demographics(
    chart: Chart, person: Person, ordinary: np.ndarray, rank: np.ndarray
) -> tuple[Person, np.ndarray, np.ndarray]:
    """Take the first four events outside of all visits for the demographics, three if the third is ethnicity.

    Returns:
        The person, the remaining ordinary events and their ranks.
    """
    free = np.flatnonzero(rank < 0)
    third = chart.book.codes[chart.code[ordinary[free[2]]]] if len(free) >= 3 else ""
    taken = free[: 3 if third.startswith("Ethnicity") else _N_DEMOGRAPHICS]
    lines = _described(chart, ordinary[taken], person.overwritten)
    stays = np.ones(len(ordinary), bool)
    stays[taken] = False
    return replace(person, lines=lines, events=ordinary[taken]), ordinary[stays], rank[stays]


def _described(
    chart: Chart, events: np.ndarray, overwritten: tuple[int, str] | None = None
) -> list[tuple[str, Sequence[int]]]:
    rows: dict[str, list[int]] = {}
    for i in events.tolist():
        text = chart.book.descriptions[chart.book.description_id[chart.code[i]]]
        if overwritten is not None and i == overwritten[0]:
            text = overwritten[1]
        rows.setdefault(text, []).append(int(chart.row[i]))
    return [(f"- {text}", of) for text, of in rows.items()]
