"""Tables as files: under the safety notice, and without a cell that a spreadsheet would run."""

from typing import TYPE_CHECKING

from core.safety import EXPORT_NOTICE

if TYPE_CHECKING:
    import pandas as pd

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(table: "pd.DataFrame") -> str:
    """Return a table as CSV whose first line is the notice.

    A text, or a column's name, that a spreadsheet would take for a formula is led by an apostrophe.
    """
    inert = table.map(inert_cell).rename(columns=inert_cell)
    return f"# {EXPORT_NOTICE}\n{inert.to_csv(index=False)}"


def inert_cell(cell: object) -> object:
    """Return a cell so that a spreadsheet shows it and does not run it; numbers stay, also negative ones."""
    if not isinstance(cell, str) or not cell.startswith(_FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
