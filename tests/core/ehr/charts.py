"""Charts for tests: frames in the form of ``Dataset.events``, drawn ones for hypothesis, and the shared sample."""

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import strategies as st

from core.ehr.vocabulary import Vocabulary

SCHEMA = {
    "row": pl.Int64,
    "time": pl.Datetime("us"),
    "code": pl.String,
    "numeric_value": pl.Float32,
    "text_value": pl.String,
    "unit": pl.String,
    "end": pl.Datetime("us"),
    "visit_id": pl.Int64,
    "table": pl.String,
}
BIRTH = datetime(1950, 6, 1)


def frame(*events: dict) -> pl.DataFrame:
    """Events given as dicts with ``time``, ``code`` and whatever else they have, in record order."""
    rows = [{name: event.get(name) for name in SCHEMA} | {"row": row} for row, event in enumerate(events)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def person(*events: dict) -> pl.DataFrame:
    """A subject born on :data:`BIRTH`, white, female, not Hispanic, with these events."""
    codes = ("SNOMED/3950001", "Race/5", "Gender/F", "Ethnicity/Not Hispanic")
    return frame(*({"time": BIRTH, "code": code, "table": "person"} for code in codes), *events)


VOCABULARY = Vocabulary(
    {
        "SNOMED/3950001": "Birth",
        "Race/5": "White",
        "Gender/F": "FEMALE",
        "Gender/M": "MALE",
        "Ethnicity/Not Hispanic": "Not Hispanic or Latino",
        "Visit/IP": "Inpatient Visit",
        "Visit/OP": "Outpatient Visit",
        "SNOMED/233604007": "Pneumonia",
        "SNOMED/233604007b": "Pneumonia",
        "SNOMED/1": "Birth trauma",
        "SNOMED/2": " Tobacco smoking status ",
        "SNOMED/3": "Pain score",
        "RxNorm/1": "ceftriaxone 1000 MG Injection",
        "RxNorm Extension/1": "Pneumonia",
        "CPT4/71045": "Radiologic examination, chest; single view",
        "HCPCS/J0696": "Injection, ceftriaxone sodium, per 250 mg",
        "CVX/88": "influenza vaccine",
        "ICD10PCS/0": "Inspection of lung",
        "LOINC/8867-4": "Heart rate",
        "LOINC/2951-2": "Sodium",
        "LOINC/1": "A lab that is no concept",
        "CARE SITE/1": "A care site",
        "Medicare Specialty/A0": "Ambulance",
        "Cancer Modifier/OMOP1": "Stage of OMOP",
    }
)
"""Describes most codes of :data:`CODES`."""

CODES = (
    *VOCABULARY.descriptions,
    "SNOMED/unknown",
    "Visit/unknown",
    "Cancer Modifier/c-8th_AJCC/UICC-Stage-1B",
    "SNOMED/78564009",
    "LOINC/718-7",
    "LOINC/29463-7",
)

_times = st.integers(0, 40).map(lambda hours: datetime(2000, 1, 1) + timedelta(hours=12 * hours))
_values = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.001, -0.0, 4.0, 12.35, 16.05, 100.0, 3.25, 64.5, 357.9, 1370.0, 1e6, 128.0, 99.999]),
)
_rest = st.fixed_dictionaries(
    {
        "time": _times,
        "numeric_value": _values,
        "text_value": st.sampled_from([None, None, None, "Former smoker", "Invalid", ""]),
        "unit": st.sampled_from([None, "score", "mmol/L"]),
        "length": st.sampled_from([None, -5, 0, 5, 30, 400]),
        "visit_id": st.sampled_from([None, 1, 2, 3, -4]),
    }
)


@st.composite
def charts(draw: st.DrawFn, max_size: int = 30, codes: Sequence[str] = CODES) -> pl.DataFrame:
    """A subject with drawn events, sorted by time, ties in drawn order; the first event may be anything."""
    drawn = draw(st.lists(st.tuples(st.sampled_from(codes), _rest), min_size=1, max_size=max_size))
    events = sorted(({"code": code, **rest} for code, rest in drawn), key=lambda event: event["time"])
    if draw(st.booleans()):
        events = [*person().drop("row").to_dicts(), *events]
    for event in events:
        hours = event.pop("length", None)
        event["end"] = None if hours is None else event["time"] + timedelta(hours=hours)
        if event.get("numeric_value") is not None:
            event["text_value"] = None
    return frame(*events)


def sample(shared_data: Path) -> tuple[dict[int, pl.DataFrame], Vocabulary]:
    """All subjects of the shared EHRSHOT-shaped sample, read by hand, and its vocabulary."""
    folder = shared_data / "ehrshot-shaped"
    with (folder / "CONCEPT.csv").open(encoding="utf-8") as file:
        concepts = list(csv.DictReader(file, delimiter="\t"))
    vocabulary = Vocabulary({f"{c['vocabulary_id']}/{c['concept_code']}": c["concept_name"] for c in concepts})
    with (folder / "data" / "ehrshot.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    subjects: dict[int, list[dict]] = {}
    for row in rows:
        try:
            number, text = float(row["value"]), None
        except ValueError:
            number, text = None, row["value"] or None
        subjects.setdefault(int(row["patient_id"]), []).append(
            {
                "time": datetime.fromisoformat(row["start"]),
                "code": row["code"],
                "numeric_value": number,
                "text_value": text,
                "unit": row["unit"] or None,
                "end": datetime.fromisoformat(row["end"]) if row["end"] else None,
                "visit_id": int(row["visit_id"]) if row["visit_id"] else None,
                "table": row["omop_table"],
            }
        )
    return {subject: frame(*events) for subject, events in subjects.items()}, vocabulary
