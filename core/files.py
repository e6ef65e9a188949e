"""Files: whole or not there; tables under the safety notice, without a cell that a spreadsheet would run."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from filelock import FileLock, Timeout

from core.errors import InputError
from core.safety import EXPORT_NOTICE

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; it takes the name ``path`` when the block ends well.

    The folder is made. After an error what was there before stays, and nothing else; the same after a power cut, as
    the data are on the disk before the name is. Each block has a name of its own, so that any number of threads and
    processes may write one file: the last to end wins. What a killed process leaves is called ``.<letters>.part``.

    Args:
        path: the file to write.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.part")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def alone(lock: Path, what: Path) -> Iterator[None]:
    """Keep other processes from writing the same for the time of a block; a killed one keeps nobody out.

    Args:
        lock: a file of its own, in a folder that is there; it is removed at the end.
        what: what is written, for the message.

    Raises:
        InputError: another process is at it.
    """
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise InputError(f"another run is writing {what}", "wait for it to end or choose another folder") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        held.release()


def remove_leftovers(folder: Path, before: datetime) -> None:
    """Remove what killed processes left of :func:`replacing` in a folder; what is younger may still be written to.

    Args:
        folder: the folder, without those in it; it need not be there.
        before: a time with a zone, such as the start of the run that owns the folder.
    """
    for leftover in folder.glob(".*.part"):
        with suppress(FileNotFoundError):  # its writer has ended meanwhile
            if leftover.stat().st_mtime < before.timestamp():
                leftover.unlink()


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all (see :func:`replacing`)."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_table(path: Path, table: "pl.DataFrame") -> None:
    """Write a table as CSV, Parquet or Arrow, by its name's ending, whole or not at all (see :func:`replacing`).

    It is made in memory: what Polars raises where the disk is full is no OSError, and not always of one kind.
    """
    made = io.BytesIO()
    if path.suffix == ".csv":
        table.write_csv(made)
    elif path.suffix == ".arrow":
        table.write_ipc(made)
    else:
        table.write_parquet(made)
    write_atomic(path, made.getvalue())
