"""Downloads: each carries the safety notice, and no cell can run in a spreadsheet."""

import pandas as pd

from core.safety import EXPORT_NOTICE

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv(table: pd.DataFrame) -> str:
    """Return a table as CSV under the notice; a text that a spreadsheet would run is led by an apostrophe."""
    return f"# {EXPORT_NOTICE}\n{table.map(_inert).to_csv(index=False)}"


def _inert(cell: object) -> object:
    if not isinstance(cell, str) or not cell.startswith(_FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell  # a negative number


def text(body: str, heading: str) -> str:
    """Return a record's text under the notice and one line that says what it is."""
    return f"<!-- {EXPORT_NOTICE} -->\n<!-- {heading} -->\n{body}\n"
