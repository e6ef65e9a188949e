"""Names that MEDS extractions give to the optional columns, and to the source tables in one of them."""

from collections.abc import Container

import polars as pl

ALIASES: dict[str, tuple[str, ...]] = {
    "visit_id": ("visit_id", "visit_occurrence_id", "hadm_id", "encounter_id"),
    "unit": ("unit", "units", "valueuom", "unit_source_value"),
    "table": ("table", "omop_table", "clarity_table"),
    "end": ("end", "end_time"),
}
"""Ours -> those under which it may stand; the first that is there counts."""

_TABLES = {
    "visit": "visit_occurrence",
    "condition": "condition_occurrence",
    "procedure": "procedure_occurrence",
    "drug": "drug_exposure",
}
"""What meds_etl calls the OMOP tables."""


def find_column(name: str, have: Container[str]) -> str | None:
    """The one of the columns ``have`` that holds ``name``, or None."""
    return next((alias for alias in ALIASES.get(name, (name,)) if alias in have), None)


def omop_table(column: pl.Expr) -> pl.Expr:
    """Source tables under their OMOP names, in lower case; other names stay."""
    return column.cast(pl.String).str.to_lowercase().replace(_TABLES)


def is_omop_table(name: str) -> bool:
    """Whether :func:`omop_table` leaves a name as it is."""
    return name.islower() and name not in _TABLES
