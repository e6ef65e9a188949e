"""Numeric measurements of a subject as series, one for each pair of code and unit, with reference bands.

Units are never mixed in one series: two laboratories may report one code in two units, and joining them would draw
a step that no patient had.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from core.ehr.aggregated_concepts import CONCEPTS, Concept, concepts_by_code
from core.ehr.numbers import shortest
from core.ehr.units import to_concept_unit
from core.ehr.vocabulary import Vocabulary

_UCUM = {
    "[lb_av]": "lb",
    "[oz_av]": "oz",
    "[in_i]": "in",
    "[ft_i]": "ft",
    "[degF]": "°F",
    "Cel": "°C",
    "mm[Hg]": "mmHg",
    "10*3/uL": "10³/µL",
    "10*6/uL": "10⁶/µL",
    "10*9/L": "10⁹/L",
    "10*12/L": "10¹²/L",
    "m2": "m²",
    "kg/m2": "kg/m²",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "1": "",
}
_ORDER = {concept.name: number for number, concept in enumerate(CONCEPTS)}


@dataclass(frozen=True)
class Series:
    """Values of one code in one unit, oldest first; the lists are parallel.

    Attributes:
        code: the code.
        unit: the unit as recorded, empty where none is.
        name: the code's description, or the code.
        times, values, rows: time, number in its shortest decimal form, and row of each event.
        band: reference range in ``unit``, None where there is none for this code, unit and sex.
        concept: name of the aggregated concept of the record that the code belongs to, empty for none.
    """

    code: str
    unit: str
    name: str
    times: tuple[datetime, ...]
    values: tuple[float, ...]
    rows: tuple[int, ...]
    band: tuple[float, float] | None
    concept: str

    def flag(self, value: float) -> str:
        """Return ``low``, ``high``, ``in range``, or empty where there is no band."""
        if self.band is None:
            return ""
        return "low" if value < self.band[0] else "high" if value > self.band[1] else "in range"


def numeric_series(events: pl.DataFrame, vocabulary: Vocabulary, sex: str | None = None) -> list[Series]:
    """Return all series of a subject: those of the record's concepts first and in its order, then by number of values.

    Args:
        events: ``Dataset.events`` of the subject.
        vocabulary: names the codes.
        sex: "male", "female" or None, for reference ranges by sex.
    """
    concepts = concepts_by_code("corrected")
    timed = events.filter(pl.col("time").is_not_null() & pl.col("numeric_value").is_not_null())
    found = []
    for (code, unit), group in timed.group_by("code", pl.col("unit").fill_null(""), maintain_order=True):
        concept = concepts.get(str(code))
        found.append(
            Series(
                code=str(code),
                unit=str(unit),
                name=vocabulary.describe(str(code)) or str(code),
                times=tuple(group["time"].to_list()),
                values=tuple(shortest(value) for value in group["numeric_value"].to_numpy()),
                rows=tuple(group["row"].to_list()),
                band=_band(concept, str(unit) or concept.implied_unit(str(code)), sex) if concept else None,
                concept=concept.name if concept else "",
            )
        )
    return sorted(found, key=lambda s: (_ORDER.get(s.concept, len(_ORDER)), -len(s.values), s.code, s.unit))


def readable_unit(unit: str) -> str:
    """Return a UCUM unit as people write it (``mm[Hg]`` -> mmHg); any other as it is."""
    return _UCUM.get(unit, unit)


def _band(concept: Concept, unit: str, sex: str | None) -> tuple[float, float] | None:
    """Reference range of a concept in ``unit``; a missing unit is taken for the concept's, as the record does.

    It is not rounded further than the record's conversion: a value at its end must not have two flags.
    """
    normal = concept.normal_range("corrected", {"male": "M", "female": "F"}.get(sex or ""))
    if normal is None or not unit:
        return normal
    zero, one = to_concept_unit(0.0, unit, concept), to_concept_unit(1.0, unit, concept)
    if zero is None or one is None or one == zero:
        return None
    low, high = ((limit - zero) / (one - zero) for limit in normal)
    return float(f"{low:.9g}"), float(f"{high:.9g}")
