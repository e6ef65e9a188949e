"""Numbers as people wrote them.

MEDS stores ``numeric_value`` as float32. The float64 nearest to that float32 is not the number that was recorded
(12.35 becomes 12.350000381...), so it prints and compares wrongly. Its shortest decimal form is the recorded number.
"""

from functools import lru_cache

import numpy as np

_MEMO = 1 << 16  # values repeat: pulses, pressures, doses


def shortest(value: np.float32 | float) -> float:
    """Return the float64 whose digits are the shortest that identify ``value`` among the float32 numbers.

    >>> shortest(np.float32(12.35))
    12.35
    """
    return _shortest(value) if value else float(value)  # the memo would take -0.0 for 0.0


@lru_cache(maxsize=_MEMO)
def _shortest(value: np.float32 | float) -> float:
    return float(str(np.float32(value)))


def every_digit(value: float) -> str:
    """Write a recorded number with all its digits and no power of ten.

    >>> every_digit(1234567.0), every_digit(0.00002), every_digit(3.2)
    ('1234567', '0.00002', '3.2')
    """
    return np.format_float_positional(value, trim="-")


def format_number(value: float) -> str:
    """Format with at most two decimals, trailing zeros and a bare point removed.

    Half-way cases follow the binary value, as in the paper's code; a small negative number gives ``-0``.

    >>> format_number(3.250), format_number(4.0)
    ('3.25', '4')
    """
    return _format(value) if value else f"{value:.0f}"


@lru_cache(maxsize=_MEMO)
def _format(value: float) -> str:
    return f"{value:.2f}".rstrip("0").removesuffix(".")
