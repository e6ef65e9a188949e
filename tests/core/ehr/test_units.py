"""Units: spellings, conversions checked against pint by hand, and what is refused."""

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ehr.aggregated_concepts import CONCEPTS, concepts_by_code
from core.ehr.units import to_concept_unit

BY_NAME = {concept.name: concept for concept in CONCEPTS}
UREG = pint.UnitRegistry()


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.name)
def test_the_concepts_own_unit_changes_nothing(concept):
    assert to_concept_unit(12.345678901, concept.unit, concept) == 12.345678901


@pytest.mark.parametrize(
    ("name", "unit", "value", "expected"),
    [
        ("Body weight", "Kg", 1.0, UREG.Quantity(1, "kg").to("ounce").magnitude),
        ("Body weight", "lb_av", 1.0, None),
        ("Body height", "m", 1.0, UREG.Quantity(1, "m").to("inch").magnitude),
        ("Body temperature", "deg C", 37.0, 98.6),
        ("Body temperature", "°C", 37.0, 98.6),
        ("Body temperature", "C", 37.0, 98.6),
        ("Body temperature", "[degF]", 98.6, 98.6),
        ("Body temperature", "K", 310.15, 98.6),
        ("Heart rate", "{beats}/min", 70.0, 70.0),
        ("Heart rate", "beats per minute", 70.0, 70.0),
        ("Heart rate", "mmHg", 70.0, None),
        ("Respiratory rate", "insp/min", 14.0, 14.0),
        ("Systolic blood pressure", "mm Hg", 120.0, 120.0),
        ("Systolic blood pressure", "kPa", 13.3322387415, 100.0),
        ("Body mass index / BMI", "kg/m^2", 22.5, 22.5),
        ("Body surface area", "m²", 1.9, None),
        ("Hemoglobin", "mmol/L", 10.0, 16.1145),
        ("Hemoglobin", "gm/dL", 13.0, 13.0),
        ("Hematocrit", "fraction", 0.4, 40.0),
        ("Erythrocytes", "10*12/L", 4.5, 4.5),
        ("Erythrocytes", "M/uL", 4.5, 4.5),
        ("Erythrocytes", "10E6/uL", 4.5, 4.5),
        ("Leukocytes", "10*9/L", 7.0, 7.0),
        ("Leukocytes", "x10^3/uL", 7.0, 7.0),
        ("Leukocytes", "Thousand/uL", 7.0, 7.0),
        ("Leukocytes", "cells/mm3", 7000.0, 7.0),
        ("Leukocytes", "G/L", 7.0, 7.0),
        ("Platelets", "k/cumm", 200.0, 200.0),
        ("Platelets", "1000/uL", 200.0, 200.0),
        ("Platelets", "10*3/uL", 200.0, 200.0),
        ("Platelets", "10*3/uL", 200.0, 200.0),
        ("Platelets", "g/dL", 200.0, None),
        ("Sodium", "mEq/L", 140.0, 140.0),
        ("Sodium", "mg/dL", 321.85678, 140.0),
        ("Calcium", "meq/L", 4.8, 4.8 / 2 * 4.0078),
        ("Glucose", "mmol/L", 5.5, 99.0858),
        ("Creatinine", "µmol/L", 100.0, 1.1312),
        ("Urea nitrogen", "mmol/L", 5.0, 14.0067),
        ("Anion gap", "mEq/L", 8.0, 8.0),
        ("Glucose", "mEq/L", 5.0, None),
        ("Carbon dioxide, total", "mg/dL", 5.0, None),
        ("Glucose", "", 5.0, None),
        ("Glucose", "9**9**9**9", 5.0, None),
        ("Glucose", "__import__('os')", 5.0, None),
    ],
)
def test_conversions(name, unit, value, expected):
    assert to_concept_unit(value, unit, BY_NAME[name]) == (
        None if expected is None else pytest.approx(expected, rel=1e-8)
    )


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1, ",#,1,cell,cells"),
        (1e3, "1000,k,K,th,thou,thous,thousand,thousands,tsd,10^3,10*3,x10e3"),
        (1e6, "m,mil,mill,mio,million,millions,10^6"),
        (1e9, "bil,billion,giga,10^9"),
        (1e12, "tera,10^12"),
    ],
)
def test_words_of_counts(factor, words):
    """The same 5 million cells a microlitre in any word: Erythrocytes are shown in 10^6/uL."""
    for word in words.split(","):
        assert to_concept_unit(5e6 / factor, f"{word}/uL", BY_NAME["Erythrocytes"]) == pytest.approx(5.0), word


def test_a_limit_is_met_exactly_after_conversion():
    assert to_concept_unit(38.0, "Cel", BY_NAME["Body temperature"]) == 100.4


@given(st.text(max_size=20), st.sampled_from(CONCEPTS))
def test_any_text_is_a_unit_or_none(unit, concept):
    assert isinstance(to_concept_unit(1.0, unit, concept), float | None)


def test_codes_of_the_concepts():
    paper, corrected = concepts_by_code("paper"), concepts_by_code("corrected")
    assert len(CONCEPTS) == 24
    assert len(paper) == sum(len(concept.codes) for concept in CONCEPTS)  # no code twice
    assert set(corrected) - set(paper) == {"LOINC/2708-6", "LOINC/59408-5"}
