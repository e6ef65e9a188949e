"""Numbers print as they were recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ehr.numbers import every_digit, format_number, shortest


@given(st.integers(-999999, 999999), st.integers(0, 4))
def test_six_digit_decimals_survive_float32(digits, point):
    written = digits / 10**point
    assert shortest(np.float32(written)) == written


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_form_is_the_same_float32(value):
    assert np.float32(shortest(np.float32(value))) == np.float32(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(4.0, "4"), (3.25, "3.25"), (100.0, "100"), (1e6, "1000000"), (2.5, "2.5"), (0.1, "0.1"), (-7.5, "-7.5")],
        *[(0.0, "0"), (-0.0, "-0"), (0.0, "0"), (-0.001, "-0"), (0.004, "0"), (1370.0, "1370")],
    ],
)
def test_formatting(value, text):
    assert format_number(value) == text
    assert format_number(shortest(np.float32(value))) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_source_value_is_written_with_all_its_digits(value):
    text = every_digit(shortest(np.float32(value)))
    assert np.float32(text) == np.float32(value) and "e" not in text


@pytest.mark.parametrize(
    ("value", "text"), [(16777216, "16777216"), (101325.25, "101325.25"), (0.00002, "0.00002"), (3.2, "3.2"), (4, "4")]
)
def test_a_source_value_has_no_power_of_ten(value, text):
    assert every_digit(shortest(np.float32(value))) == text
