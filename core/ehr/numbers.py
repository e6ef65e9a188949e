"""Numbers as people wrote them.

MEDS stores ``numeric_value`` as float32. The float64 nearest to that float32 is not the number that was recorded
(12.35 becomes 12.350000381...), so it prints and compares wrongly. Its shortest decimal form is the recorded number.
"""

import numpy as np


def shortest(value: np.float32 | float) -> float:
    """Return the float64 whose digits are the shortest that identify ``value`` among the float32 numbers.

    >>> shortest(np.float32(12.35))
    12.35
    """
    return float(str(np.float32(value)))


def format_number(value: float, decimals: int = 2) -> str:
    """Format with at most ``decimals`` (>= 1) decimals, trailing zeros and a bare point removed.

    Half-way cases follow the binary value, as in the paper's code; a small negative number gives ``-0``.

    >>> format_number(3.250), format_number(4.0)
    ('3.25', '4')
    """
    return f"{value:.{decimals}f}".rstrip("0").removesuffix(".")
