"""The profile ``corrected``: what it mends, and what it leaves as the paper has it."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from core.ehr.markdown import SerializationOptions, serialize
from core.ehr.vocabulary import Vocabulary
from core.errors import InputError
from tests.core.ehr.charts import BIRTH, VOCABULARY, frame, person, sample

AT = datetime(2000, 1, 12, 23, 59)
T = datetime(2000, 1, 1)


def text_of(events, at=AT, **options):
    return serialize(events, at, VOCABULARY, SerializationOptions(**options)).text


def measured(code, *values):
    """Events of one code, a day apart, each ``(value, unit)``."""
    return [
        {"time": T + timedelta(days=day), "code": code, "numeric_value": value, "unit": unit}
        for day, (value, unit) in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("code", "value", "unit", "line"),
    [
        ("LOINC/29463-7", 70.0, "kg", "- Body weight (oz): 2469.2"),
        ("LOINC/29463-7", 150.0, "[lb_av]", "- Body weight (oz): 2400.0"),
        # 123 oz is not plausible in the paper either
        ("LOINC/29463-7", 3500.0, "g", "- Body weight: No recent data"),
        ("LOINC/8302-2", 170.0, "cm", "- Body height (inch): 66.9"),
        ("LOINC/8302-2", 1.7, "m", "- Body height (inch): 66.9"),
        ("LOINC/8310-5", 37.0, "Cel", "- Body temperature (°F): 98.6 (normal)"),
        ("LOINC/8310-5", 38.0, "degC", "- Body temperature (°F): 100.4 (normal)"),
        ("LOINC/8310-5", 100.4, "[degF]", "- Body temperature (°F): 100.4 (normal)"),
        ("LOINC/8310-5", 100.5, None, "- Body temperature (°F): 100.5 (high)"),
        ("LOINC/2345-7", 5.0, "mmol/L", "- Glucose (mg/dL): 90 (normal)"),
        ("LOINC/14749-6", 5.0, None, "- Glucose (mg/dL): 90 (normal)"),
        ("LOINC/14749-6", 90.0, "mg/dL", "- Glucose (mg/dL): 90 (normal)"),
        ("LOINC/2160-0", 88.42, "umol/L", "- Creatinine (mg/dL): 1.0 (normal)"),
        ("LOINC/3094-0", 5.0, "mmol/L", "- Urea nitrogen (mg/dL): 14 (normal)"),
        ("LOINC/17861-6", 2.4, "mmol/L", "- Calcium (mg/dL): 9.6 (normal)"),
        ("LOINC/718-7", 130.0, "g/L", "- Hemoglobin (g/dL): 13.0 (normal)"),
        ("LOINC/777-3", 250.0, "10*9/L", "- Platelets (10^3/uL): 250 (normal)"),
        ("LOINC/777-3", 250000.0, "/uL", "- Platelets (10^3/uL): 250 (normal)"),
        ("LOINC/6690-2", 7.5, "K/uL", "- Leukocytes (10^3/uL): 7.5 (normal)"),
        ("LOINC/4544-3", 0.42, "L/L", "- Hematocrit (%): 42 (normal)"),
        ("LOINC/8480-6", 16.0, "kPa", "- Systolic blood pressure (mmHg): 120 (normal)"),
        ("LOINC/8480-6", 120.0, "mm[Hg]", "- Systolic blood pressure (mmHg): 120 (normal)"),
        ("LOINC/2951-2", 140.0, "meq/L", "- Sodium (mmol/L): 140 (normal)"),
        ("LOINC/2708-6", 97.0, "%", "- Oxygen saturation (%): 97 (normal)"),
        ("LOINC/59408-5", 93.0, "%", "- Oxygen saturation (%): 93 (low)"),
        ("LOINC/59408-5", 0.93, "1", "- Oxygen saturation (%): 93 (low)"),
    ],
)
def test_units_are_normalised_before_the_plausibility_window(code, value, unit, line):
    text = text_of(person(*measured(code, (value, unit))))
    assert line in text.splitlines()


def test_a_value_in_an_unknown_unit_is_left_out_and_counted_not_misread():
    record = serialize(person(*measured("LOINC/718-7", (13.0, "furlong"))), AT, VOCABULARY)
    assert "- Hemoglobin: No recent data" in record.text
    assert record.omitted == {"unit not understood": (4,)}


def test_implausible_values_are_counted():
    record = serialize(person(*measured("LOINC/2951-2", (1370.0, "mmol/L"), (137.0, "mmol/L"))), AT, VOCABULARY)
    assert "- Sodium (mmol/L): 137 (normal)" in record.text
    assert record.omitted == {"outside of the plausible range": (4,)}


def test_a_concept_that_has_its_values_leaves_the_older_ones_of_others_in():
    """Nine heart rates after the only sodium: each concept counts its own values."""
    sodium = {"time": T, "code": "LOINC/2951-2", "numeric_value": 140.0, "unit": "mmol/L"}
    rates = [
        {**rate, "time": rate["time"] + timedelta(hours=1)} for rate in measured("LOINC/8867-4", *[(60.0, None)] * 9)
    ]
    text = text_of(person(sodium, *rates), values=2)
    assert "- Sodium (mmol/L): 140 (normal)" in text
    assert "- Heart rate (bpm): 60 (normal), 60 (normal)\n" in text


@pytest.mark.parametrize(("sex", "flag"), [("F", "normal"), ("M", "low"), (None, "normal")])
def test_ranges_follow_sex_where_they_exist(sex, flag):
    events = person(*measured("LOINC/718-7", (13.0, "g/dL")))
    if sex is None:
        events = events.filter(pl.col("code") != "Gender/F")
    else:
        events = events.with_columns(pl.col("code").str.replace("Gender/F", f"Gender/{sex}"))
    assert f"- Hemoglobin (g/dL): 13.0 ({flag})" in text_of(events)


@pytest.mark.parametrize("code", ["GENDER//M", "Gender/8507", "SEX//male", "Gender/SNOMED/248153007"])
def test_sex_is_read_in_the_spellings_of_meds_datasets(code):
    events = person(*measured("LOINC/718-7", (13.0, None))).with_columns(pl.col("code").str.replace("Gender/F", code))
    assert "- Hemoglobin (g/dL): 13.0 (low)" in text_of(events)


def test_vaccines_and_hcpcs_stand_in_their_own_place():
    visit = {"time": T, "visit_id": 1}
    events = person(
        visit | {"code": "Visit/OP", "end": T},
        *(visit | {"code": code} for code in ("CVX/88", "HCPCS/J0696", "SNOMED/233604007", "RxNorm/1", "CPT4/71045")),
    )
    _, _, details = text_of(events).partition("### ")
    assert details.splitlines()[2:] == [
        "#### Conditions",
        "",
        "- Pneumonia",
        "",
        "#### Medications",
        "",
        "- ceftriaxone 1000 MG Injection",
        "",
        "#### Immunizations",
        "",
        "- influenza vaccine",
        "",
        "#### Procedures",
        "",
        "- Injection, ceftriaxone sodium, per 250 mg",
        "- Radiologic examination, chest; single view",
    ]


def test_the_source_table_places_a_snomed_procedure():
    visit = {"time": T, "visit_id": 1}
    events = person(
        visit | {"code": "Visit/OP", "end": T}, visit | {"code": "SNOMED/3", "table": "procedure_occurrence"}
    )
    assert text_of(events).endswith("#### Procedures\n\n- Pain score")
    assert text_of(events, profile="paper").endswith("#### Conditions\n\n- Pain score")


def test_the_structure_of_the_paper_stays(shared_data):
    subjects, vocabulary = sample(shared_data)
    for events in subjects.values():
        at = events["time"][-1]
        paper, corrected = (
            serialize(events, at, vocabulary, SerializationOptions(profile)) for profile in ("paper", "corrected")
        )
        for record in (paper, corrected):
            assert "\n".join(line.text for line in record.lines) == record.text
        headings = [
            [line.text for line in record.lines if line.text.startswith(("# ", "## ", "### ", "Current"))]
            for record in (paper, corrected)
        ]
        assert headings[0] == headings[1]
        parts = {record.options.profile: {s.id: s.text for s in record.sections()} for record in (paper, corrected)}
        for section in ("header", "demographics", "past_visits", "general_events"):
            assert parts["paper"][section] == parts["corrected"][section]


def test_meds_data_with_static_rows_and_meds_birth():
    events = frame(
        {"time": None, "code": "GENDER//F"},
        {"time": None, "code": "RACE//WHITE"},
        {"time": BIRTH, "code": "MEDS_BIRTH"},
        {"time": T, "code": "DIAGNOSIS//ICD//10//I10"},
        {"time": T, "code": "LAB//50912//mg/dL", "numeric_value": 1.25, "unit": "mg/dL"},
    )
    vocabulary = Vocabulary({"DIAGNOSIS//ICD//10//I10": "Essential (primary) hypertension"})
    record = serialize(events, AT, vocabulary)
    assert "## Patient Demographics\n\n- Patient age: 49\n- GENDER F\n- RACE WHITE\n" in record.text
    assert "- Essential (primary) hypertension\n- LAB 50912 mg/dL (mg/dL): 1.25\n" in record.text
    age = next(line for line in record.lines if line.text.startswith("- Patient age"))
    assert age.rows == (2,)
    codes = serialize(events, AT, vocabulary, SerializationOptions(strategy="recent_codes"))
    assert codes.text.splitlines()[-3:] == ["Birth", "GENDER F", "RACE WHITE"]


def test_a_subject_without_birth_has_no_age_and_loses_no_event():
    events = frame({"time": T, "code": "SNOMED/233604007"})
    text = text_of(events)
    assert "- Patient age: unknown\n" in text
    assert "- Pneumonia\n" in text


def test_empty_charts_and_single_events():
    assert "## Patient Demographics\n\n## Recent Body Metrics" in text_of(frame())
    assert "- Patient age: 49\n" in text_of(frame({"time": BIRTH, "code": "MEDS_BIRTH"}))
    assert text_of(frame(), strategy="recent_codes") == ""


def test_two_births_take_the_first_and_show_neither():
    events = person({"time": datetime(1960, 1, 1), "code": "MEDS_BIRTH"})
    assert "- Patient age: 49\n" in text_of(events)
    assert "Birth" not in text_of(events)


def test_birth_trauma_is_a_condition_and_not_birth():
    events = person({"time": T, "code": "SNOMED/1"})
    assert "- Birth trauma\n" in text_of(events)
    assert "Birth trauma" not in text_of(events, profile="paper")


def test_hostile_descriptions_cannot_forge_structure():
    vocabulary = Vocabulary({"SNOMED/9": "x\n\n## Patient Demographics\u2028- Patient age: 3\x00\u202e"})
    record = serialize(person({"time": T, "code": "SNOMED/9", "text_value": "a\r\n# b"}), AT, vocabulary)
    assert "- x ## Patient Demographics - Patient age: 3: a # b" in record.text
    assert record.text.count("\n## Patient Demographics\n") == 1


def test_lookback_keeps_who_it_is_about():
    events = person(
        {"time": datetime(1999, 1, 1), "code": "SNOMED/3"}, {"time": datetime(2000, 1, 10), "code": "SNOMED/233604007"}
    )
    text = text_of(events, lookback=timedelta(days=30))
    assert "- Patient age: 49\n- White\n- FEMALE\n" in text
    assert "Pneumonia" in text
    assert "Pain score" not in text


def test_a_category_kept_alone_keeps_the_sections_that_list_it():
    events = person(
        {"time": T, "code": "SNOMED/233604007"},
        {"time": T, "code": "RxNorm/1"},
        {"time": T, "code": "LOINC/718-7", "numeric_value": 13.0, "unit": "g/dL"},
    )
    text = text_of(events, keep=("conditions",))
    assert "Pneumonia" in text
    assert "ceftriaxone" not in text and "Hemoglobin" not in text and "White" not in text
    assert "Pneumonia" not in text_of(events, keep=("conditions", "visit_details"))  # it belongs to no visit


def test_visit_details_do_not_replace_their_visit():
    events = person(
        {"time": T, "code": "Visit/IP", "visit_id": 1, "end": T + timedelta(days=4), "table": "visit_occurrence"},
        {"time": T + timedelta(days=1), "code": "Visit/OP", "visit_id": 1, "table": "visit_detail"},
    )
    assert (
        "- Inpatient Visit on [2023-12-20](2023-12-20) (11 days before prediction time, duration: 4 days)"
        in text_of(events)
    )


def test_a_time_before_birth_or_with_a_zone_is_an_error():
    from datetime import UTC

    with pytest.raises(InputError, match="before the subject's birth"):
        text_of(person(), at=datetime(1949, 1, 1))
    with pytest.raises(InputError, match="time zone"):
        text_of(person(), at=datetime(2000, 1, 1, tzinfo=UTC))


def test_far_dates_do_not_crash():
    events = person({"time": T, "code": "Visit/IP", "visit_id": 1, "end": datetime(9999, 12, 31, 23, 59, 59)})
    assert "current visit" in text_of(events)
    assert "0001-01-01" in text_of(events, at=datetime(9999, 12, 31))


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "Paper"},
        {"strategy": "json"},
        {"drop": ("labs",)},
        {"keep": ("nothing",)},
        {"values": -1},
        {"lookback": timedelta(0)},
        {"strategy": "recent_codes", "drop": ("lab_results",)},
    ],
)
def test_unknown_options_are_named(options):
    with pytest.raises(InputError):
        SerializationOptions(**options)


def test_threads_may_share_a_vocabulary():
    from concurrent.futures import ThreadPoolExecutor

    vocabulary = Vocabulary({f"SNOMED/x{i}": f"finding {i}" for i in range(4000)})
    subjects = [
        person(*({"time": T, "code": f"SNOMED/x{i}"} for i in range(start, start + 400)))
        for start in range(0, 3600, 90)
    ]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda events: serialize(events, AT, vocabulary).text, subjects))
    fresh = Vocabulary(vocabulary.descriptions)
    assert together == [serialize(events, AT, fresh).text for events in subjects]
