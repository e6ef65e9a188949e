"""A small dataset in the MEDS layout for page tests: rich, empty, short and hostile records."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from core.ehr import meds_layout

RICH, STATIC, ONE, TWO, HOSTILE = 1, 2, 3, 4, 5
AT = datetime(2015, 3, 3, 23, 59)
"""Prediction time of the rich subject's newest label."""
HOSTILE_TEXT = (
    "![x](http://evil.example/a.png) <img src=x onerror=alert(1)> [a](http://evil.example) :red[x] $x^2$ # h"
)

CODES = {
    "MEDS_BIRTH": "Birth",
    "Gender/F": "FEMALE",
    "Visit/IP": "Inpatient Visit",
    "Visit/OP": "Outpatient Visit",
    "ICD10CM/E11.9": "Type 2 diabetes mellitus without complications",
    "RxNorm/6809": "metformin",
    "LOINC/2823-3": "Potassium [Moles/volume] in Serum or Plasma",
    "LOINC/8867-4": "Heart rate",
    "SNOMED/1": HOSTILE_TEXT,
}


def write(folder: Path) -> Path:
    """Write the dataset and return its folder."""
    rows: list[dict] = []

    def event(subject: int, time: datetime | None, code: str, number: float | None = None, **more: object) -> None:
        rows.append({"subject_id": subject, "time": time, "code": code, "numeric_value": number, **more})

    for subject in (RICH, ONE, TWO, HOSTILE):
        event(subject, datetime(1950, 1, 1), "MEDS_BIRTH", table="person")
    event(STATIC, None, "Gender/F", table="person")
    event(RICH, datetime(1950, 1, 1), "Gender/F", table="person")
    for year in range(2010, 2016):
        start = datetime(year, 3, 1, 10)
        event(RICH, start, "Visit/IP", end=start + timedelta(days=4), visit_id=year, table="visit_occurrence")
        event(RICH, start, "ICD10CM/E11.9", visit_id=year, table="condition_occurrence")
        event(RICH, start, "RxNorm/6809", visit_id=year, table="drug_exposure")
        for day in range(3):
            time = start + timedelta(days=day)
            event(RICH, time, "LOINC/2823-3", 3.2 + 0.9 * day, unit="mmol/L", visit_id=year, table="measurement")
            event(RICH, time, "LOINC/8867-4", 70.0 + year % 7, unit="/min", visit_id=year, table="measurement")
    event(ONE, datetime(2001, 5, 5), "Visit/OP", visit_id=1, table="visit_occurrence")
    event(TWO, datetime(2001, 5, 5), "Visit/OP", visit_id=1, table="visit_occurrence")
    event(TWO, datetime(2001, 5, 5), "LOINC/2823-3", 4.0, unit="mmol/L", visit_id=1, table="measurement")
    event(HOSTILE, datetime(2012, 1, 1), "Visit/OP", visit_id=1, table="visit_occurrence")
    event(HOSTILE, datetime(2012, 1, 1), "SNOMED/1", visit_id=1, table="condition_occurrence", text_value=HOSTILE_TEXT)

    events = pl.DataFrame(rows, schema=meds_layout.EVENT_SCHEMA, orient="row")
    events = events.sort("subject_id", "time", nulls_last=False, maintain_order=True)
    meds_layout.write_events(folder, 0, events)
    _finish(folder, "Page test cohort")
    labels = pl.DataFrame({"subject_id": [RICH, RICH], "prediction_time": [AT - timedelta(days=365), AT]})
    meds_layout.write_labels(folder, "guo_icu", labels.with_columns(value=pl.Series([False, True])))
    return folder


def write_empty(folder: Path) -> Path:
    """Write a dataset without subjects and return its folder."""
    meds_layout.write_events(folder, 0, pl.DataFrame(schema=meds_layout.EVENT_SCHEMA))
    _finish(folder, "Empty cohort")
    return folder


def _finish(folder: Path, name: str) -> None:
    codes = pl.DataFrame({"code": list(CODES), "description": list(CODES.values())})
    meds_layout.write_codes(folder, codes)
    splits = pl.DataFrame({"subject_id": [RICH, STATIC, ONE], "split": ["held_out", "train", "tuning"]})
    meds_layout.write_splits(folder, splits)
    meds_layout.write_dataset_json(folder, name, "test", synthetic=True)
