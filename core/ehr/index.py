"""The subject index: where each subject's rows lie, and the few facts that a list of subjects shows.

Built in one streaming pass over three columns and kept under ``CHARTLIGHT_HOME/index``, never inside the dataset,
which may be read-only or somebody else's. Its name carries the files' paths, sizes and modification times, so that a
changed dataset gets a new index.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from core.ehr.meds_layout import BIRTH_CODES, DEATH_CODES
from core.ehr.sex import sex_expression
from core.errors import InputError
from core.files import write_table
from core.progress import Progress, silent
from core.settings import get_settings
from core.wording import counted

INDEX_VERSION = 2
EARLIEST, LATEST = pl.datetime(1850, 1, 1), pl.datetime(2300, 1, 1)
"""Times outside of these are a source's null marks (0001-01-01, 9999-12-31); de-identified data lies within."""

DAMAGE = (OSError, pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, UnicodeError)
"""What reading a damaged or forbidden file can raise; Polars panics on some damage, past ``Exception``."""

PLACE = ("shard", "start", "length", "n_events")
"""Columns of the index that say where a subject lies."""

_DEMOGRAPHIC = r"(?i)^(gender|sex|race|ethnicity)/"


@dataclass(frozen=True)
class Shard:
    """One event file: its path relative to the dataset, size in bytes and modification time in ns."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class SubjectIndex:
    """Where each subject lies.

    Attributes:
        shards: the event files; ``table["shard"]`` counts into them.
        table: one row per subject, ascending ``subject_id``, with ``shard``, ``start`` (first row in the file),
            ``length`` (rows), ``n_events`` (rows that are events: known code, plausible time), ``sex``
            ("male", "female" or null), ``birth``, ``death``, ``first`` and ``last`` (times of the record, birth and
            demographics aside).
        subject_ids: ``table["subject_id"]`` as an int64 array.
    """

    shards: tuple[Shard, ...]
    table: pl.DataFrame
    subject_ids: np.ndarray

    def find(self, subject_id: int) -> int | None:
        """Row of the subject in ``table``, or None."""
        at = int(np.searchsorted(self.subject_ids, subject_id))
        return at if at < len(self.subject_ids) and self.subject_ids[at] == subject_id else None

    def locate(self, at: int) -> tuple[int, int, int, int]:
        """``shard``, ``start``, ``length`` and ``n_events`` of a row of ``table``."""
        shard, start, length, n_events = (self.table[name][at] for name in PLACE)
        return shard, start, length, n_events


def list_shards(folder: Path) -> tuple[Shard, ...]:
    """All event files of a dataset, in path order."""
    files = [path for path in parquet_files(folder / "data") if not path.name.startswith((".", "_"))]
    try:
        stats = [path.stat() for path in files]
    except OSError as error:  # a link to what is gone, most of all
        raise unreadable(Path(error.filename), error) from error
    return tuple(
        Shard(path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns) for path, stat in zip(files, stats)
    )


def parquet_files(folder: Path) -> list[Path]:
    """All Parquet files in a folder and those in it, in path order; none where there is no such folder.

    Raises:
        InputError: a folder may not be read. ``Path.rglob`` would pass it over, and one that is a link: the data would
            be fewer.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            what = f"the folder {error.filename} cannot be read ({error.strerror})"
            raise InputError(what, "let this user read it, or choose another dataset") from error

    found: list[Path] = []
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if (real := os.path.realpath(here)) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        found += (Path(here, name) for name in names if name.endswith(".parquet"))
    return sorted(found)


def load_index(folder: Path, progress: Progress | None = None) -> SubjectIndex:
    """Load the index of a dataset, building it first where there is none.

    Raises:
        InputError: a file cannot be read, or breaks MEDS: a subject in two files or in two places of one file.
    """
    shards = list_shards(folder)
    cached = (
        get_settings().home / "index" / f"{_hash(str(folder.resolve()))}-{_hash(repr((INDEX_VERSION, shards)))}.arrow"
    )
    try:
        table = pl.read_ipc(cached)
    except DAMAGE:
        table = build_table(folder, shards, progress or silent)
        _save(table, cached)
    return SubjectIndex(shards, table, table["subject_id"].to_numpy())


def build_table(folder: Path, shards: tuple[Shard, ...], progress: Progress = silent) -> pl.DataFrame:
    """Read all shards once and make the index table."""
    parts = []
    for number, shard in enumerate(shards):
        progress(number, len(shards), "indexing")
        parts.append(_index_shard(folder, number, shard))
    progress(len(shards), len(shards), "indexing")
    table = pl.concat(parts).sort("subject_id", "shard") if parts else _EMPTY
    _check_invariants(table, shards)
    return table.drop("_gaps")


def _index_shard(folder: Path, number: int, shard: Shard) -> pl.DataFrame:
    path = folder / shard.path
    schema = check_columns(path)
    time, code = naive_time(schema, "time"), pl.col("code").cast(pl.String)
    plausible = pl.col("time").is_null() | ((pl.col("time") >= EARLIEST) & (pl.col("time") < LATEST))
    plain_time = pl.when(plausible).then(pl.col("time"))
    is_birth, is_death = pl.col("code").is_in(BIRTH_CODES), pl.col("code").is_in(DEATH_CODES)
    marks = is_birth | pl.col("code").str.contains(_DEMOGRAPHIC)
    sex = sex_expression(pl.col("code"))
    rows = (
        pl.scan_parquet(path, glob=False)
        .select(pl.col("subject_id").cast(pl.Int64), time, code)
        .with_row_index("_row")
        .with_columns(_marks=marks, _event=plausible & pl.col("code").is_not_null())
        .group_by("subject_id")
        .agg(
            start=pl.col("_row").min().cast(pl.Int64),
            _end=pl.col("_row").max().cast(pl.Int64),
            length=pl.len().cast(pl.Int64),
            n_events=pl.col("_event").sum().cast(pl.Int64),
            sex=sex.sort_by("_row").drop_nulls().last(),
            birth=plain_time.filter(is_birth).min(),
            death=plain_time.filter(is_death).min(),
            first=plain_time.filter(~pl.col("_marks")).min(),
            last=plain_time.filter(~pl.col("_marks")).max(),
        )
    )
    try:
        table = rows.collect(engine="streaming")
    except DAMAGE as error:
        raise unreadable(path, error) from error
    return table.select(
        "subject_id",
        pl.lit(number, pl.Int32).alias("shard"),
        "start",
        "length",
        "n_events",
        "sex",
        "birth",
        "death",
        "first",
        "last",
        (pl.col("_end") - pl.col("start") + 1 - pl.col("length")).alias("_gaps"),
    )


def check_columns(path: Path) -> pa.Schema:
    """Return the schema of an event file.

    Raises:
        InputError: it cannot be read, or lacks a column that MEDS requires.
    """
    try:
        schema = pq.read_schema(path)
    except DAMAGE as error:
        raise unreadable(path, error) from error
    missing = [name for name in ("subject_id", "time", "code") if name not in schema.names]
    if missing:
        raise InputError(
            f"{path.name} lacks the MEDS column {', '.join(missing)}",
            "give a folder in the MEDS layout (data/*.parquet with subject_id, time, code), or import it first",
        )
    if not pa.types.is_integer(schema.field("subject_id").type):
        raise InputError(f"subject_id of {path.name} is not an integer", "number the subjects with 64-bit integers")
    if not pa.types.is_timestamp(schema.field("time").type):
        raise InputError(f"time of {path.name} is not a timestamp", "write it as timestamp[us]")
    return schema


def naive_time(schema: pa.Schema, name: str) -> pl.Expr:
    """A time column as naive microseconds, whatever its unit; zoned times as UTC."""
    column = pl.col(name)
    if schema.field(name).type.tz is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us")).alias(name)


def unreadable(path: Path, error: Exception) -> InputError:
    """The error for an event file that cannot be read."""
    return InputError(
        f"{path.name} is not a readable Parquet file or is cut short ({reason(error)})",
        "let this user read it, copy it again from its source, or import the data again",
    )


def reason(error: BaseException) -> str:
    """The first line of what a library says of a file that it cannot read."""
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__


def _check_invariants(table: pl.DataFrame, shards: tuple[Shard, ...]) -> None:
    if table["subject_id"].null_count():
        raise InputError("some rows have no subject_id", "remove these rows from the event files")
    twice = table.filter(pl.col("subject_id").is_duplicated())
    if twice.height:
        ids = twice["subject_id"].unique().sort()
        files = ", ".join(shards[i].path for i in twice["shard"].unique().sort().head(3))
        raise InputError(
            f"{counted(len(ids), 'subject')} in more than one file ({_some(ids)}; {files}), MEDS keeps one in one",
            "remove the copy, or merge the files and sort them by subject_id and time",
        )
    split = table.filter(pl.col("_gaps") > 0)
    if split.height:
        raise InputError(
            f"the rows of {counted(split.height, 'subject')} are not together ({_some(split['subject_id'])})",
            "sort each file by subject_id and time",
        )


def _some(ids: pl.Series) -> str:
    return ", ".join(str(i) for i in ids.head(3)) + (" ..." if len(ids) > 3 else "")


def _hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:20]


def _save(table: pl.DataFrame, path: Path) -> None:
    try:
        write_table(path, table)
        for old in path.parent.glob(f"{path.name.split('-')[0]}-*.arrow"):  # of the dataset as it was before
            if old != path:
                old.unlink(missing_ok=True)
    except OSError:  # the index is a convenience: without a writable home it is built again next time
        return


_EMPTY = pl.DataFrame(
    schema={
        "subject_id": pl.Int64,
        "shard": pl.Int32,
        "start": pl.Int64,
        "length": pl.Int64,
        "n_events": pl.Int64,
        "sex": pl.String,
        "birth": pl.Datetime("us"),
        "death": pl.Datetime("us"),
        "first": pl.Datetime("us"),
        "last": pl.Datetime("us"),
        "_gaps": pl.Int64,
    }
)
