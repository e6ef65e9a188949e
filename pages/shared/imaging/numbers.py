"""Numbers as a reader wants them: no powers of ten where plain digits do."""

from core.wording import part


def short(value: float) -> str:
    """Three significant digits, thousands separated; powers of ten only for the very small and very large."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e9:
        digits = max(0, 2 - int(_exponent(value)))
        return f"{value:,.{min(digits, 5)}f}"
    return f"{value:.2e}"


def _exponent(value: float) -> int:
    exponent = 0
    size = abs(value)
    while size >= 10:
        size, exponent = size / 10, exponent + 1
    while size < 1:
        size, exponent = size * 10, exponent - 1
    return exponent


def percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage; never 0 % or 100 % where it is neither none nor all."""
    return "none" if value is None else f"{part(100 * value, digits, whole=100)} %"
