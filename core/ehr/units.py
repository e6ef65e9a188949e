"""Units of measured values, brought to the unit in which an aggregated concept is shown.

Records spell units in UCUM ("mm[Hg]", "10*3/uL", "Cel") and in many ways beside it ("mm Hg", "K/uL", "deg C"). The
spelling is settled here, the conversion is pint's; between mass and amount of substance it goes through the
concept's molar mass, and mEq through its valence.
"""

import re
from functools import lru_cache
from typing import Any

from core.ehr.aggregated_concepts import Concept

_SIGNIFICANT = 9  # digits kept after a conversion, so that 38.0 degC is 100.4 degF and not 100.40000000000003

_SPELLINGS = {  # lower case, without spaces and {annotations} -> pint
    "mm[hg]": "mmHg",
    "mmhg": "mmHg",
    "torr": "torr",
    "kpa": "kPa",
    "hpa": "hPa",
    "[lb_av]": "lb",
    "lb": "lb",
    "lbs": "lb",
    "pound": "lb",
    "pounds": "lb",
    "[oz_av]": "oz",
    "oz": "oz",
    "ounce": "oz",
    "ounces": "oz",
    "kg": "kg",
    "kgs": "kg",
    "kilogram": "kg",
    "kilograms": "kg",
    "g": "g",
    "gm": "g",
    "gram": "g",
    "grams": "g",
    "[in_i]": "inch",
    "[in_us]": "inch",
    "in": "inch",
    "inch": "inch",
    "inches": "inch",
    "[ft_i]": "foot",
    "ft": "foot",
    "feet": "foot",
    "foot": "foot",
    "cm": "cm",
    "centimeter": "cm",
    "centimeters": "cm",
    "mm": "mm",
    "m": "m",
    "meter": "m",
    "meters": "m",
    "m2": "m**2",
    "m^2": "m**2",
    "m**2": "m**2",
    "sqm": "m**2",
    "cm2": "cm**2",
    "kg/m2": "kg/m**2",
    "kg/m^2": "kg/m**2",
    "kg/m**2": "kg/m**2",
    "%": "percent",
    "percent": "percent",
    "pct": "percent",
    "%oftotal": "percent",
    "1": "dimensionless",
    "fraction": "dimensionless",
    "ratio": "dimensionless",
    "l/l": "dimensionless",
    "ml/dl": "percent",
    "/min": "1/minute",
    "1/min": "1/minute",
    "min-1": "1/minute",
    "permin": "1/minute",
    "perminute": "1/minute",
    "bpm": "1/minute",
    "beats/min": "1/minute",
    "beats/minute": "1/minute",
    "beat/min": "1/minute",
    "beatsperminute": "1/minute",
    "beatsperminuite": "1/minute",
    "countsperminute": "1/minute",
    "breaths/min": "1/minute",
    "breaths/minute": "1/minute",
    "breathsperminute": "1/minute",
    "insp/min": "1/minute",
    "resp/min": "1/minute",
    "br/min": "1/minute",
    "brpm": "1/minute",
    "rpm": "1/minute",
    "hz": "1/second",
    "/s": "1/second",
    "cel": "degC",
    "degc": "degC",
    "[degf]": "degF",
    "degf": "degF",
    "g%": "g/dL",
    "mg%": "mg/dL",
}
_TEMPERATURES = {
    "c": "degC",
    "°c": "degC",
    "celsius": "degC",
    "degreescelsius": "degC",
    "degreecelsius": "degC",
    "degreesc": "degC",
    "f": "degF",
    "°f": "degF",
    "fahrenheit": "degF",
    "degreesfahrenheit": "degF",
    "degreefahrenheit": "degF",
    "degreesf": "degF",
    "k": "kelvin",
    "kelvin": "kelvin",
}
_COUNTS = {  # the word before "/uL" and the like
    "": 1,
    "#": 1,
    "1": 1,
    "cells": 1,
    "cell": 1,
    "1000": 1e3,
    "k": 1e3,
    "thou": 1e3,
    "thous": 1e3,
    "thousand": 1e3,
    "thousands": 1e3,
    "th": 1e3,
    "tsd": 1e3,
    "m": 1e6,
    "mil": 1e6,
    "mill": 1e6,
    "mio": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "bil": 1e9,
    "billion": 1e9,
    "giga": 1e9,
    "tera": 1e12,
}
_SI_COUNTS = {"G/L": (1e9, "1/liter"), "T/L": (1e12, "1/liter")}  # only in capitals: g/L is a mass
_VOLUMES = {
    "ul": "microliter",
    "mcl": "microliter",
    "microliter": "microliter",
    "microl": "microliter",
    "mm3": "mm**3",
    "mm^3": "mm**3",
    "cumm": "mm**3",
    "cu.mm": "mm**3",
    "cmm": "mm**3",
    "nl": "nanoliter",
    "ml": "milliliter",
    "dl": "deciliter",
    "l": "liter",
}
_POWER = re.compile(r"^[x*]?10(?:\*\*|[*^e])?([1-9]\d?)$")
_CONCENTRATION = re.compile(
    r"^(kg|g|gm|mg|ug|mcg|ng|pg|mol|mmol|umol|mcmol|micromol|nmol|pmol|mmole|meq|ueq|eq)/(\w+)$"
)
_AMOUNTS = {"gm": "g", "mcg": "ug", "mcmol": "umol", "micromol": "umol", "mmole": "mmol"}
_ANNOTATION = re.compile(r"\{[^{}]*\}")


def to_concept_unit(value: float, unit: str, concept: Concept) -> float | None:
    """Convert a value to the concept's unit.

    Args:
        value: the number as recorded.
        unit: its unit in any known spelling.
        concept: the concept that was measured.

    Returns:
        The number in ``concept.unit``, at 9 significant digits where it was converted; None when the unit is unknown
        or measures something else.
    """
    found = _conversion(unit, concept)
    if found is None:
        return None
    scale, offset = found
    if scale == 1 and offset == 0:
        return value
    return float(f"{value * scale + offset:.{_SIGNIFICANT}g}")


@lru_cache(maxsize=4096)
def _conversion(unit: str, concept: Concept) -> tuple[float, float] | None:
    """Scale and offset from ``unit`` to the concept's unit."""
    target = _parse(concept.unit, concept)
    source = _parse(unit, concept)
    if source is None or target is None:
        return None
    zero, one = _convert(0.0, source, target, concept), _convert(1.0, source, target, concept)
    if zero is None or one is None:
        return None
    return float(f"{one - zero:.12g}"), float(f"{zero:.12g}")


def _parse(unit: str, concept: Concept) -> tuple[float, str] | None:
    """A unit as a factor and a pint unit."""
    text = _ANNOTATION.sub("", unit).replace(" ", "").replace("µ", "u").replace("μ", "u").casefold()
    if concept.unit == "°F":
        text = text.replace("[", "").replace("]", "").replace(".", "")
        pint_unit = _TEMPERATURES.get(text) or _SPELLINGS.get(text)
        return (1.0, pint_unit) if pint_unit else None
    if concept.unit.startswith("10^"):
        return _SI_COUNTS.get(unit.strip()) or _parse_count(text)
    if text in _SPELLINGS:
        return 1.0, _SPELLINGS[text]
    match = _CONCENTRATION.match(text)
    if match is None or match[2] not in _VOLUMES:
        return None
    amount = _AMOUNTS.get(match[1], match[1])
    if amount.endswith("eq"):
        return (1.0 / concept.valence, f"{amount[:-2]}mol/{_VOLUMES[match[2]]}") if concept.valence else None
    return 1.0, f"{amount}/{_VOLUMES[match[2]]}"


def _parse_count(text: str) -> tuple[float, str] | None:
    number, slash, volume = text.rpartition("/")
    if not slash or volume not in _VOLUMES:
        return None
    power = _POWER.match(number)
    if power is not None:
        factor = 10.0 ** int(power[1])
    elif number in _COUNTS:
        factor = float(_COUNTS[number])
    else:
        return None
    return factor, f"1/{_VOLUMES[volume]}"


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint  # half a second, and only needed once a unit differs

    return pint.UnitRegistry()


def _convert(value: float, source: tuple[float, str], target: tuple[float, str], concept: Concept) -> float | None:
    registry = _registry()
    quantity = registry.Quantity(value * source[0], source[1])
    wanted = registry.Unit(target[1])
    if not quantity.is_compatible_with(wanted):
        if concept.molar_mass is None:
            return None
        molar_mass = registry.Quantity(concept.molar_mass, "g/mol")
        by_mass = quantity * molar_mass
        quantity = by_mass if by_mass.is_compatible_with(wanted) else quantity / molar_mass
        if not quantity.is_compatible_with(wanted):
            return None
    return float(quantity.to(wanted).magnitude) / target[0]
