"""The last plausible values of the aggregated concepts, with their flags."""

from dataclasses import dataclass, field

import numpy as np

from core.ehr.aggregated_concepts import CONCEPTS, Concept
from core.ehr.chart import Chart
from core.ehr.units import to_concept_unit


@dataclass
class Shown:
    """Values of one concept, newest first: text of each and the event that it comes from."""

    values: list[str] = field(default_factory=list)
    events: list[int] = field(default_factory=list)


@dataclass
class Aggregates:
    """What :func:`shown_values` finds: values by concept number, and the events that were not fit to be shown."""

    shown: dict[int, Shown]
    not_numeric: list[int]
    implausible: list[int]
    unknown_unit: list[int]

    def omitted_rows(self, chart: Chart) -> dict[str, np.ndarray]:
        """Source rows that were looked at and left out, by reason."""
        return {
            "no number": chart.row[self.not_numeric],
            "outside of the plausible range": chart.row[self.implausible],
            "unit not understood": chart.row[self.unknown_unit],
        }


def shown_values(chart: Chart, events: np.ndarray, count: int, sex: str | None) -> Aggregates:
    """Pick the ``count`` newest plausible numbers of each concept.

    Of events at the same time the earlier in the record comes first. Under ``paper`` a number is taken as it is;
    under ``corrected`` it is first converted to the concept's unit (no unit is taken for the concept's), and left out
    when its unit cannot be.

    Args:
        chart: the subject.
        events: indices of the aggregated events to look at, in record order.
        count: values wanted per concept.
        sex: "M", "F" or None, for ranges by sex.
    """
    profile = chart.book.profile
    found = Aggregates({}, [], [], [])
    newest = events[np.argsort(-chart.time[events], kind="stable")]
    concepts = chart.book.concept[chart.code[newest]]
    for i, number in zip(newest.tolist(), concepts.tolist()):
        shown = found.shown.get(number)
        if shown is not None and len(shown.values) >= count:
            continue
        concept = CONCEPTS[number]
        value = chart.number(i)
        if value is None:
            found.not_numeric.append(i)
            continue
        if profile == "corrected" and (
            unit := chart.units[i] or concept.implied_unit(chart.book.codes[chart.code[i]])
        ):
            converted = to_concept_unit(value, unit, concept)
            if converted is None:
                found.unknown_unit.append(i)
                continue
            value = converted
        if not concept.window[0] <= value <= concept.window[1]:
            found.implausible.append(i)
            continue
        if shown is None:
            shown = found.shown[number] = Shown()
        shown.values.append(_flagged(concept, value, profile, sex))
        shown.events.append(i)
    return found


def _flagged(concept: Concept, value: float, profile: str, sex: str | None) -> str:
    text = concept.format(value)
    normal = concept.normal_range(profile, sex)
    if normal is None:
        return text
    flag = "low" if value < normal[0] else "high" if value > normal[1] else "normal"
    return f"{text} ({flag})"
