"""One table of a source, streamed: delimited text or Parquet, column names in any case.

Text is read in blocks and as text, so that a bad cell is a counted rejection and not a failed read.
"""

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from core.errors import InputError

_TAIL_BYTES = 1 << 16
BLOCK_BYTES = 16 << 20
PARQUET_BATCH_ROWS = 250_000
MALFORMED = "wrong number of columns"


@dataclass(frozen=True)
class TableFile:
    """One file of a source table.

    Attributes:
        name: what to call it in messages.
        size: bytes, uncompressed where it is known.
        open: opens the file for reading bytes.
        parquet: True for Parquet, False for delimited text.
        mtime_ns: modification time, 0 inside of a zip.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    parquet: bool
    mtime_ns: int = 0

    def batches(
        self,
        required: Sequence[str],
        optional: Sequence[str] = (),
        rejected: Counter[str] | None = None,
        position: Callable[[int], None] | None = None,
    ) -> Iterator[pl.DataFrame]:
        r"""Stream the table in batches of the wanted columns, in lower case; missing optional ones are null.

        Text columns are strings in which "", NULL and \N are null; Parquet columns keep their types.

        Args:
            required: columns that must be there.
            optional: columns that may be there.
            rejected: counts the rows that do not have the header's number of columns.
            position: called with the number of bytes (CSV) or rows (Parquet) read so far.

        Raises:
            InputError: a required column is missing, or the file is damaged or cut short.
        """
        rejected = Counter() if rejected is None else rejected
        source = (
            self._parquet_batches(required, optional)
            if self.parquet
            else self._csv_batches(required, optional, rejected, position)
        )
        with _damage_named(self.name):
            yield from source

    def _parquet_batches(self, required: Sequence[str], optional: Sequence[str]) -> Iterator[pl.DataFrame]:
        with self.open() as handle:
            file = pq.ParquetFile(handle)
            names = _match(file.schema_arrow.names, required, optional, self.name)
            for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=list(names.values())):
                frame = cast(pl.DataFrame, pl.from_arrow(batch))
                yield _select(frame, names, required, optional)

    def _csv_batches(
        self,
        required: Sequence[str],
        optional: Sequence[str],
        rejected: Counter[str],
        position: Callable[[int], None] | None,
    ) -> Iterator[pl.DataFrame]:
        with self.open() as handle:
            head = handle.read(1 << 16)
        header, delimiter = sniff(head, self.name)
        names = _match(header, required, optional, self.name)

        unclosed: list[str] = []

        def skip(row: pa_csv.InvalidRow) -> str:
            rejected[MALFORMED] += 1
            if "\n" in row.text.strip():  # not one row: an open quote has swallowed the rows after it
                unclosed.append(row.text)
            return "skip"

        with self.open() as handle:
            if not _has_rows(head):
                return
            source = _TextBytes(handle, self.name, position)
            reader = pa_csv.open_csv(
                pa.PythonFile(source, mode="r"),
                read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=header, skip_rows=1),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char=False if delimiter == "\t" else '"',
                    newlines_in_values=delimiter != "\t",
                    invalid_row_handler=skip,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names.values(), pa.string()),
                    include_columns=list(names.values()),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                    null_values=["", "NULL", "\\N"],  # as databases export them
                    check_utf8=False,  # the source has done it
                ),
            )
            for batch in reader:
                if unclosed:
                    break
                yield _select(cast(pl.DataFrame, pl.from_arrow(batch)), names, required, optional)
        if not unclosed:
            _ends_whole(source.tail, len(header), delimiter, self.name)
        else:
            raise InputError(
                f"{self.name} has a quote that is never closed, in the row that begins {unclosed[0][:60]!r}",
                'write a quote inside a text as two quotes (""), or export it again',
            )


def sniff(head: bytes, name: str) -> tuple[list[str], str]:
    """Column names (as in the file) and delimiter from the first bytes of delimited text.

    Raises:
        InputError: this is empty or not text with a header.
    """
    if not head.strip():
        raise InputError(f"{name} is empty", "copy it again from its source")
    try:
        first = head.decode("utf-8-sig", errors="strict" if len(head) < 1 << 16 else "ignore").splitlines()[0]
    except UnicodeDecodeError:
        raise InputError(f"{name} is not UTF-8 text", "export it as UTF-8 CSV") from None
    if "\x00" in first:
        raise InputError(f"{name} is not a CSV file", "export it as UTF-8 CSV")
    delimiter = max("\t,;|", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter)) if delimiter != "\t" else first.split("\t")
    header = [column.strip() or f"_unnamed_{i}" for i, column in enumerate(header)]
    return header, delimiter


def _has_rows(head: bytes) -> bool:
    """Whether anything follows the header line."""
    return len(head) >= 1 << 16 or len(head.strip().splitlines()) > 1


def _match(have: Sequence[str], required: Sequence[str], optional: Sequence[str], name: str) -> dict[str, str]:
    lower: dict[str, str] = {}
    for column in have:
        lower.setdefault(column.lower(), column)
    missing = [column for column in required if column not in lower]
    if missing:
        raise InputError(
            f"{name} lacks the column {', '.join(missing)} (it has {', '.join(list(have)[:12])})",
            "export it again with all columns of its format",
        )
    return {column: lower[column] for column in (*required, *optional) if column in lower}


def _select(
    frame: pl.DataFrame, names: dict[str, str], required: Sequence[str], optional: Sequence[str]
) -> pl.DataFrame:
    return frame.select(
        pl.col(names[column]).alias(column) if column in names else pl.lit(None, pl.String).alias(column)
        for column in (*required, *optional)
    )


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    damaged = (
        pa.ArrowException,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        gzip.BadGzipFile,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    )
    try:
        yield
    except damaged as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise InputError(f"{name} is damaged or cut short ({reason})", "copy it again from its source") from error


class _TextBytes(io.RawIOBase):
    """Bytes of UTF-8 text on their way to the parser: checked, counted, and the last of them remembered."""

    def __init__(self, handle: BinaryIO, name: str, position: Callable[[int], None] | None):
        self._handle, self._name, self._position, self._read = handle, name, position, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.tail = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._handle.read(size)
        if data:
            self._check(data)
            self._read += len(data)
            self.tail = (self.tail + data)[-_TAIL_BYTES:] if len(data) < _TAIL_BYTES else data[-_TAIL_BYTES:]
        if self._position:
            self._position(self._read)
        return data

    def _check(self, data: bytes) -> None:
        if data.isascii() and not self._decoder.getstate()[0]:
            return
        try:
            self._decoder.decode(data)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._name} is not UTF-8 text (byte {self._read + error.start:,})", "export it as UTF-8 CSV"
            ) from None


def check_not_cut(path: Path, name: str) -> bool:
    """Whether a CSV file ends with a line break; looks only at its ends, so that a cut file is known before the work.

    Raises:
        InputError: the last line has fewer columns than the header, so that the file was cut in the middle of a row.
    """
    with path.open("rb") as handle:
        head = handle.read(1 << 16)
        handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = handle.read()
    header, delimiter = sniff(head, name)
    return _ends_whole(tail, len(header), delimiter, name)


def _ends_whole(tail: bytes, columns: int, delimiter: str, name: str) -> bool:
    if tail.endswith((b"\n", b"\r")):
        return True
    last = tail.decode("utf-8", errors="replace").splitlines()[-1:]
    if last and last[0].count('"') % 2 and delimiter != "\t":
        return False  # the end of a text of several lines: no telling
    if last and len(next(csv.reader(last, delimiter=delimiter), [])) < columns:
        raise InputError(f"{name} ends in the middle of a row, it was cut short", "copy it again from its source")
    return False


def table_file(path: Path) -> TableFile:
    """The table file at a path, gunzipped where its name says so."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    return TableFile(
        path.name,
        path.stat().st_size,
        lambda: cast(BinaryIO, opener(path, "rb")),
        path.suffix.lower() == ".parquet",
        path.stat().st_mtime_ns,
    )
