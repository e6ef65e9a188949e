"""The titles of the small plots of labs and vitals."""

import re
from datetime import datetime

import pytest

from core.ehr.relative_time import Clock
from core.ehr.series import Series
from pages.shared.patients.labs import draw

AT = datetime(2020, 5, 2)
WIDTH = 21
"""Characters that fit above a plot on a page of 800 pixels (tests/e2e/test_figures.py looks there)."""


def title(name: str, unit: str) -> str:
    one = Series("LOINC/1", unit, name, (AT,), (1.0,), (0,), None, None)
    return draw([one], AT, Clock(False, AT)).layout.annotations[0].text


@pytest.mark.parametrize(
    "name", ["Heart rate", "Albumin [Mass/volume] in Serum or Plasma", "A" * 60, "Sodium <b>", ""]
)
@pytest.mark.parametrize("unit", ["", "g/dL", "10*3/uL", "millimole per litre and more"])
def test_a_title_has_two_short_lines_at_most(name, unit):
    text = title(name, unit)
    lines = [re.sub("</?b>", "", line).replace("&lt;", "<").replace("&gt;", ">") for line in text.split("<br>")]
    assert len(lines) <= 2 and all(len(line) <= WIDTH for line in lines), lines
    assert lines[0].startswith(name[:10].split(" <")[0])
    assert not unit or "(" in text


def test_a_short_title_stays_on_its_line():
    assert title("Sodium", "mmol/L") == "<b>Sodium</b> (mmol/L)"
    assert title("Systolic blood pressure", "mmHg") == "<b>Systolic blood</b><br><b>pressure</b> (mmHg)"
