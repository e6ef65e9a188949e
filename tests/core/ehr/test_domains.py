"""Domains of events: the source table first, then the vocabulary, else other."""

import polars as pl
import pytest

from core.ehr.domains import DOMAINS, with_domain


@pytest.mark.parametrize(
    ("code", "table", "domain"),
    [
        ("SNOMED/1", "condition_occurrence", "conditions"),
        ("SNOMED/1", "Observation", "observations"),
        ("SNOMED/1", None, "conditions"),
        ("LOINC/2823-3", None, "labs"),
        ("LOINC/2823-3", "measurement", "labs"),
        ("RxNorm/6809", None, "medications"),
        ("CVX/140", "drug_exposure", "immunizations"),
        ("Visit/IP", "visit_occurrence", "visits"),
        ("Visit/IP", None, "visits"),
        ("HOSPITAL_ADMISSION//EW", None, "visits"),
        ("Gender/F", "person", "demographics"),
        ("MEDS_BIRTH", None, "demographics"),
        ("SNOMED/3950001", "person", "demographics"),
        ("LAB//50868//mEq/L", None, "labs"),
        ("X", "unheard_of", "other"),
        ("MEDS_DEATH", None, "other"),
    ],
)
def test_domain(code, table, domain):
    frame = pl.DataFrame({"code": [code], "table": [table]}, schema={"code": pl.String, "table": pl.String})
    assert with_domain(frame)["domain"].to_list() == [domain]
    assert domain in DOMAINS


def test_no_events():
    frame = pl.DataFrame(schema={"code": pl.String, "table": pl.String})
    assert with_domain(frame).height == 0
