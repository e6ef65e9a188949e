"""Sex is read alike by the list, the record and the subgroups."""

from datetime import datetime

import polars as pl
import pytest

from core.ehr.index import load_index
from core.ehr.markdown import serialize
from core.ehr.sex import last_sex, sex_expression, sex_of
from core.ehr.vocabulary import Vocabulary
from core.risk.subgroups import row_attributes
from tests.core.ehr.charts import frame

BORN = datetime(1990, 1, 1)


@pytest.mark.parametrize(
    ("code", "sex"),
    [
        ("Gender/F", "female"),
        ("GENDER//MALE", "male"),
        ("SEX//female", "female"),
        ("Gender/8507", "male"),
        ("Gender/8532", "female"),
        ("Gender/SNOMED/248152002", "female"),
        ("SNOMED/248153007", "male"),
        ("GENDER//MISSING", None),
        ("SEX//Multiple", None),
        ("GENDER//FTM", None),
        ("Gender/other", None),
        ("SNOMED/1", None),
    ],
)
def test_codes_of_sex(code, sex):
    assert sex_of(code) == sex
    assert pl.DataFrame({"code": [code]}).select(sex_expression(pl.col("code"))).item() == sex


@pytest.mark.parametrize(
    ("codes", "sex"),
    [
        (("Gender/F",), "female"),
        (("Gender/F", "Gender/M"), "male"),
        (("Gender/M", "Gender/F", "GENDER//MISSING"), "female"),
        (("GENDER//FTM",), None),
        (("Gender/8507",), "male"),
    ],
)
def test_list_record_and_subgroups_agree(codes, sex, tmp_path):
    assert last_sex(codes) == sex
    hemoglobin = {"time": datetime(2020, 1, 1), "code": "LOINC/718-7", "numeric_value": 13.0, "unit": "g/dL"}
    events = frame({"time": BORN, "code": "MEDS_BIRTH"}, *({"time": BORN, "code": c} for c in codes), hemoglobin)
    (tmp_path / "data").mkdir()
    rows = events.select("time", "code", "numeric_value", subject_id=pl.lit(1, pl.Int64))
    rows.write_parquet(tmp_path / "data" / "0.parquet")
    assert load_index(tmp_path).table["sex"].to_list() == [sex]
    at = datetime(2020, 1, 2)
    assert row_attributes(events, at).sex == (sex or "unknown")
    text = serialize(events, at, Vocabulary()).text
    assert ("13.0 (low)" in text) == (sex == "male")  # the band of men begins at 14, that of women and of all at 12


def test_without_a_birth_there_is_no_age_band():
    events = frame({"time": datetime(1990, 1, 1), "code": "X/1"}, {"time": datetime(2020, 1, 1), "code": "X/2"})
    assert row_attributes(events, datetime(2020, 1, 2)).age_band == "unknown"
