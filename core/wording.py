"""Counts in words: "1 label was left out", "1,234 labels were left out"."""


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
