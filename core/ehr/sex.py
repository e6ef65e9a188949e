"""Sex as a code states it: read in one way by the list, the record, its reference bands and the subgroups.

Of several codes the last counts, as in the record: a correction comes later than what it corrects.
"""

import re
from collections.abc import Iterable
from typing import Literal

import polars as pl

Sex = Literal["male", "female"]

_PATTERN = r"(?i)^(?:(?:gender|sex)/+(?:snomed/)?|snomed/)(male|female|m|f|248153007|248152002|8507|8532)$"
_CODE = re.compile(_PATTERN)
_SEX: dict[str, Sex] = {
    "m": "male",
    "male": "male",
    "248153007": "male",
    "8507": "male",
    "f": "female",
    "female": "female",
    "248152002": "female",
    "8532": "female",
}


def sex_of(code: str) -> Sex | None:
    """The sex that a code states ("Gender/F", "GENDER//MALE", "Gender/8532"), or None."""
    match = _CODE.match(code)
    return _SEX[match[1].lower()] if match else None


def last_sex(codes: Iterable[str]) -> Sex | None:
    """The sex stated last among codes in record order, or None."""
    return next((sex for code in reversed(list(codes)) if (sex := sex_of(code))), None)


def sex_expression(code: pl.Expr) -> pl.Expr:
    """:func:`sex_of` on a column of codes."""
    stated = code.str.extract(_PATTERN, 1).str.to_lowercase()
    return stated.replace_strict(_SEX, default=None, return_dtype=pl.String)
