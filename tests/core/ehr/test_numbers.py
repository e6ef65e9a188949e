"""Numbers print as they were recorded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.ehr.numbers import format_number, shortest


@given(st.integers(-999999, 999999), st.integers(0, 4))
def test_six_digit_decimals_survive_float32(digits, point):
    written = digits / 10**point
    assert shortest(np.float32(written)) == written


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_form_is_the_same_float32(value):
    assert np.float32(shortest(np.float32(value))) == np.float32(value)


def test_formatting():
    shown = [format_number(value) for value in (4.0, 3.25, 12.345, 100.0, 0.0, -0.001, 1e6, 2.5, 0.1)]
    assert shown == [
        "4",
        "3.25",
        "12.35" if f"{12.345:.2f}" == "12.35" else "12.34",
        "100",
        "0",
        "-0",
        "1000000",
        "2.5",
        "0.1",
    ]
