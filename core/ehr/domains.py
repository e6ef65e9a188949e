"""Domains of events, as a reader of a chart thinks of them: visits, conditions, medications, labs ...

The source table decides where it is known, else the code's vocabulary; what neither tells is ``other``.
"""

import polars as pl

from core.ehr.column_names import omop_table
from core.ehr.visits import is_visit

DOMAINS: dict[str, str] = {
    "visits": "Visits",
    "conditions": "Conditions",
    "medications": "Medications",
    "procedures": "Procedures",
    "labs": "Labs and vitals",
    "immunizations": "Immunizations",
    "observations": "Observations",
    "demographics": "Demographics",
    "other": "Other",
}
"""Display name by domain id, in the order in which a page shows them."""

_BY_TABLE = {
    "visit_occurrence": "visits",
    "visit_detail": "visits",
    "condition_occurrence": "conditions",
    "condition_era": "conditions",
    "drug_exposure": "medications",
    "drug_era": "medications",
    "procedure_occurrence": "procedures",
    "device_exposure": "procedures",
    "measurement": "labs",
    "lab": "labs",
    "observation": "observations",
    "note": "observations",
    "person": "demographics",
    "death": "other",
}
_BY_VOCABULARY = {
    "LOINC": "labs",
    "LAB": "labs",
    "VITAL": "labs",
    "RxNorm": "medications",
    "RxNorm Extension": "medications",
    "NDC": "medications",
    "ATC": "medications",
    "MEDICATION": "medications",
    "INFUSION_START": "medications",
    "INFUSION_END": "medications",
    "CVX": "immunizations",
    "ICD10CM": "conditions",
    "ICD9CM": "conditions",
    "DIAGNOSIS": "conditions",
    "SNOMED": "conditions",
    "ICDO3": "conditions",
    "Cancer Modifier": "conditions",
    "ICD10PCS": "procedures",
    "ICD9Proc": "procedures",
    "CPT4": "procedures",
    "HCPCS": "procedures",
    "PROCEDURE": "procedures",
    "Visit": "visits",
    "Gender": "demographics",
    "GENDER": "demographics",
    "Race": "demographics",
    "RACE": "demographics",
    "Ethnicity": "demographics",
    "ETHNICITY": "demographics",
    "MEDS_BIRTH": "demographics",
}
_ALWAYS = r"(?i)^(gender|sex|race|ethnicity)/|^MEDS_BIRTH$|^SNOMED/3950001$"


def with_domain(events: pl.DataFrame) -> pl.DataFrame:
    """Add the column ``domain`` (a key of :data:`DOMAINS`) to events with the columns ``code`` and ``table``."""
    vocabulary = pl.col("code").str.split("/").list.first()
    return events.with_columns(
        domain=pl.when(pl.col("code").str.contains(_ALWAYS))
        .then(pl.lit("demographics"))
        .when(is_visit(pl.col("code")))
        .then(pl.lit("visits"))
        .when(vocabulary == "CVX")
        .then(pl.lit("immunizations"))
        .otherwise(
            pl.coalesce(
                omop_table(pl.col("table")).replace_strict(_BY_TABLE, default=None, return_dtype=pl.String),
                vocabulary.replace_strict(_BY_VOCABULARY, default=None, return_dtype=pl.String),
                pl.lit("other"),
            )
        )
    )
