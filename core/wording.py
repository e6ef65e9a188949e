"""Counts and shares in words: "1 label was left out", "1,234 labels were left out"; "<0.1" and not "0.0"."""


def counted(n: int, noun: str, plural: str = "") -> str:
    """The number, with commas between thousands, and the noun in the number that it asks for.

    Args:
        n: how many.
        noun: for one.
        plural: for none or several; by default the noun with an s.
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def verb(n: int, one: str, several: str) -> str:
    """The verb for as many: ``verb(n, "was", "were")``."""
    return one if n == 1 else several


def part(value: float, digits: int, whole: int = 1) -> str:
    """A part of a whole, rounded; never written as none or all of it where it is neither.

    >>> part(0.0004, 3), part(0.25, 3), part(99.97, 1, whole=100)
    ('<0.001', '0.250', '>99.9')
    """
    text, step = f"{value:.{digits}f}", 10.0**-digits
    if value > 0 and float(text) == 0:
        return f"<{step:.{digits}f}"
    return f">{whole - step:.{digits}f}" if value < whole and float(text) == whole else text
