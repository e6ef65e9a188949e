"""Series: one for each code and unit, reference bands in the unit of the series."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from core.ehr.aggregated_concepts import concepts_by_code
from core.ehr.markdown import serialize
from core.ehr.meds_layout import EVENT_SCHEMA
from core.ehr.series import numeric_series
from core.ehr.units import to_concept_unit
from core.ehr.vocabulary import Vocabulary

START = datetime(2020, 1, 1)
WORDS = Vocabulary({"LOINC/2345-7": "Glucose"})


def events(*rows: tuple[str, float | None, str | None]) -> pl.DataFrame:
    columns = {
        "time": [START + timedelta(days=number) for number in range(len(rows))],
        "code": [row[0] for row in rows],
        "numeric_value": [row[1] for row in rows],
        "unit": [row[2] for row in rows],
    }
    frame = pl.DataFrame(columns, schema_overrides={name: EVENT_SCHEMA[name] for name in columns})
    return frame.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))


def test_units_are_never_mixed():
    found = numeric_series(
        events(("LOINC/2345-7", 90, "mg/dL"), ("LOINC/2345-7", 5.1, "mmol/L"), ("LOINC/2345-7", 110, "mg/dL")), WORDS
    )
    assert [(one.unit, one.values, one.rows) for one in found] == [
        ("mg/dL", (90.0, 110.0), (0, 2)),
        ("mmol/L", (5.1,), (1,)),
    ]


@pytest.mark.parametrize(
    ("code", "unit"), [("LOINC/2345-7", "mmol/L"), ("LOINC/8310-5", "Cel"), ("LOINC/718-7", "g/L")]
)
def test_band_in_another_unit_is_the_band_of_the_concept(code, unit):
    """Independent of the inverse used inside: each limit, converted forward, is the concept's own limit."""
    concept = concepts_by_code("corrected")[code]
    (one,) = numeric_series(events((code, 1.0, unit)), WORDS, "female")
    normal = concept.normal_range("corrected", "F")
    for limit, expected in zip(one.band, normal, strict=True):
        assert to_concept_unit(limit, unit, concept) == pytest.approx(expected, rel=1e-3)


def test_flags():
    (one,) = numeric_series(events(("LOINC/2823-3", 4.0, "mmol/L")), WORDS)
    assert [one.flag(value) for value in (3.4, 3.5, 5.0, 5.1)] == ["low", "in range", "in range", "high"]


def test_unknown_unit_or_code_has_no_band():
    found = numeric_series(events(("LOINC/2823-3", 4.0, "furlong"), ("X/1", 2.0, None)), WORDS)
    assert [one.band for one in found] == [None, None]
    assert found[1].flag(1e9) == ""
    assert found[1].name == "X/1"


def test_ranges_by_sex_differ():
    rows = events(("LOINC/718-7", 13.0, "g/dL"))
    bands = {sex: numeric_series(rows, WORDS, sex)[0].band for sex in ("female", "male")}
    assert bands["female"][0] < 13 < bands["male"][0]


def test_numbers_come_back_as_they_were_recorded():
    (one,) = numeric_series(events(("X/1", 12.35, "u")), WORDS)
    assert one.values == (12.35,)


def test_order_follows_the_record_then_the_number_of_values():
    found = numeric_series(
        events(("X/rare", 1, None), ("X/often", 1, None), ("X/often", 1, None), ("LOINC/2823-3", 4, "mmol/L")), WORDS
    )
    assert [one.code for one in found] == ["LOINC/2823-3", "X/often", "X/rare"]


def test_events_without_time_or_number_are_no_series():
    rows = events(("X/1", None, None), ("X/2", 1, None)).with_columns(
        time=pl.when(pl.col("code") != "X/2").then(pl.col("time"))
    )
    assert numeric_series(rows, WORDS) == []


@pytest.mark.parametrize(
    ("code", "unit", "value", "flag"),
    [  # by hand: 2.62 mmol/L x 4.0078 = 10.5004 mg/dL, 12 kPa = 90.007 mmHg, 2.245 mmol/L = 8.9975 mg/dL
        ("LOINC/17861-6", "mmol/L", 2.62, "high"),
        ("LOINC/17861-6", "mmol/L", 2.61, "in range"),
        ("LOINC/17861-6", "mmol/L", 2.245, "low"),
        ("LOINC/8462-4", "kPa", 12.0, "high"),
        ("LOINC/8462-4", "kPa", 11.99, "in range"),
    ],
)
def test_a_value_at_the_end_of_a_range_has_the_records_flag(code, unit, value, flag):
    rows = events((code, value, unit))
    (one,) = numeric_series(rows, WORDS)
    text = serialize(_whole(rows), START + timedelta(days=9), WORDS).text
    assert one.flag(one.values[0]) == flag
    assert f"({'normal' if flag == 'in range' else flag})" in text


def test_a_code_that_implies_its_unit_has_the_band_in_it():
    """LOINC 14749-6 is glucose in moles: 5.2 mmol/L is 93.7 mg/dL, which the record calls normal."""
    rows = events(("LOINC/14749-6", 5.2, None))
    (one,) = numeric_series(rows, WORDS)
    assert one.flag(one.values[0]) == "in range"
    assert "93 (normal)" in serialize(_whole(rows), START + timedelta(days=9), WORDS).text


def _whole(rows: pl.DataFrame) -> pl.DataFrame:
    """With the columns that a record needs besides."""
    missing = {name: dtype for name, dtype in EVENT_SCHEMA.items() if name not in (*rows.columns, "subject_id")}
    return rows.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in missing.items())
