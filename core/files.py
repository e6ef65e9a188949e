"""Files: whole or not there; tables under the safety notice, without a cell that a spreadsheet would run."""

import os
from pathlib import Path
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


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename, so that no half-written file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
