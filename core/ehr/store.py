"""A MEDS dataset, opened read-only.

Opening reads the subject index (``core.ehr.index``) and nothing else; one subject's events are then read from the
row groups that hold them. A ``Dataset`` keeps no open file and changes nothing after it is made, so that
threads may share it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import meds
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from core.ehr.index import EARLIEST, LATEST, SubjectIndex, check_columns, load_index, naive_time, unreadable
from core.ehr.meds_layout import read_dataset_json
from core.ehr.visits import rebuild_visits
from core.ehr.vocabulary import Vocabulary, load_vocabulary
from core.errors import InputError
from core.progress import Progress

EVENT_COLUMNS = ("row", "time", "code", "numeric_value", "text_value", "unit", "end", "visit_id", "table")
_ALIASES = {  # names that other MEDS extractions give to the optional columns
    "visit_id": ("visit_id", "visit_occurrence_id", "hadm_id", "encounter_id"),
    "unit": ("unit", "units", "valueuom", "unit_source_value"),
    "table": ("table", "omop_table", "clarity_table"),
    "end": ("end", "end_time"),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset in the MEDS layout. Make it with :func:`open_dataset`.

    Attributes:
        path: the dataset's folder.
        name: its name, from ``metadata/dataset.json`` or the folder.
        synthetic: True when the dataset says that its subjects are not real people.
        index: where each subject lies.
        concepts: an Athena ``CONCEPT.csv`` that describes codes which the dataset leaves undescribed, or None.
    """

    path: Path
    name: str
    synthetic: bool
    index: SubjectIndex = field(repr=False)
    concepts: Path | None = None

    @property
    def n_subjects(self) -> int:
        """Number of subjects."""
        return len(self.index.subject_ids)

    @cached_property
    def n_events(self) -> int:
        """Number of events; rows without a code or with an implausible time do not count."""
        return int(self.index.table["n_events"].sum())

    @cached_property
    def n_rejected(self) -> int:
        """Number of rows that are left out: no code, or a time outside 1850 to 2300."""
        return int(self.index.table["length"].sum()) - self.n_events

    def events(self, subject_id: int) -> pl.DataFrame:
        """All events of one subject in record order.

        Returns:
            Columns ``row`` (0, 1, ...), ``time`` (null when static), ``code``, ``numeric_value`` (float32; NaN and
            infinite values are null), ``text_value``, ``unit``, ``end``, ``visit_id``, ``table``. Where the dataset
            names no visits they are rebuilt (``core.ehr.visits``).

        Raises:
            InputError: the subject is not in the dataset, or its file cannot be read.
        """
        at = self.index.find(int(subject_id))
        if at is None:
            raise InputError(
                f"subject {subject_id} is not in {self.name}",
                f"choose one of its {self.n_subjects} subjects" + self._example(),
            )
        shard, start, length = self.index.table.select("shard", "start", "length").row(at)
        return self._read(shard, start, length)

    def iter_events(self, subject_ids: Iterable[int] | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield ``(subject_id, events)`` for many subjects (all by default), in their order on disk."""
        table = self.index.table
        if subject_ids is not None:
            table = table.filter(pl.col("subject_id").is_in([int(i) for i in subject_ids]))
        for subject_id, shard, start, length in (
            table.sort("shard", "start").select("subject_id", "shard", "start", "length").iter_rows()
        ):
            yield subject_id, self._read(shard, start, length)

    def scan(self) -> pl.LazyFrame:
        """All rows as a Polars lazy frame over the files (columns as on disk), for passes over the whole dataset."""
        return pl.scan_parquet(
            [self.path / shard.path for shard in self.index.shards],
            glob=False,
            missing_columns="insert",
            extra_columns="ignore",
        )

    def tasks(self) -> list[str]:
        """Tasks with a label file, in alphabetical order."""
        return sorted(_label_files(self.path))

    def labels(self, task_id: str) -> pl.DataFrame:
        """Labels of a task: ``subject_id``, ``prediction_time``, ``value`` (bool, int64, float32 or str).

        Raises:
            InputError: the dataset has no such labels, or they break the MEDS label schema.
        """
        files = _label_files(self.path).get(task_id)
        if not files:
            have = ", ".join(self.tasks()) or "none"
            raise InputError(f"{self.name} has no labels for {task_id}", f"use a task that it has: {have}")
        return pl.concat([_read_labels(path) for path in files]).sort(
            "subject_id", "prediction_time", maintain_order=True
        )

    def splits(self) -> pl.DataFrame:
        """Split of each subject: ``subject_id``, ``split`` (train, tuning, held_out); empty when there are none."""
        return self._splits

    @cached_property
    def _splits(self) -> pl.DataFrame:
        path = self.path / meds.subject_splits_filepath
        if not path.is_file():
            return pl.DataFrame(schema={"subject_id": pl.Int64, "split": pl.String})
        try:
            frame = pl.read_parquet(path, glob=False)
            return frame.select(pl.col("subject_id").cast(pl.Int64), pl.col("split").cast(pl.String)).sort(
                "subject_id"
            )
        except pl.exceptions.PolarsError as error:
            raise InputError(
                f"{path.name} cannot be read as MEDS splits", "give it the columns subject_id and split, or remove it"
            ) from error

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Descriptions and parents of codes."""
        return load_vocabulary(self.path / meds.code_metadata_filepath, self.concepts)

    def _example(self) -> str:
        return f", for example {self.index.subject_ids[0]}" if self.n_subjects else ""

    def _read(self, shard: int, start: int, length: int) -> pl.DataFrame:
        path = self.path / self.index.shards[shard].path
        try:
            return _events_of(_read_rows(path, self.index.shards[shard].mtime_ns, start, length))
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            raise unreadable(path, error) from error


def open_dataset(path: str | Path, concepts: str | Path | None = None, progress: Progress | None = None) -> Dataset:
    """Open a folder in the MEDS layout, in place and read-only.

    Args:
        path: the folder that holds ``data/`` and ``metadata/``.
        concepts: an Athena ``CONCEPT.csv`` for codes that the dataset leaves undescribed.
        progress: called while the subject index is built, which happens the first time.

    Raises:
        InputError: it is no MEDS dataset, or a file is damaged or breaks the schema.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise InputError(f"there is no dataset folder {path}", "check the path, or make one: python -m core demo DEST")
    if not (path / "data").is_dir():
        raise InputError(
            f"{path} is not in the MEDS layout (no data folder)",
            "import it first: python -m core import ehrshot|omop SRC DEST",
        )
    record = read_dataset_json(path)
    return Dataset(
        path=path,
        name=str(record.get("dataset_name") or path.resolve().name),
        synthetic=record.get("synthetic") is True,
        index=load_index(path, progress),
        concepts=Path(concepts) if concepts else None,
    )


@lru_cache(maxsize=4096)
def _footer(path: Path, mtime_ns: int) -> tuple[pq.FileMetaData, np.ndarray, pa.Schema]:
    """Parsed footer of an event file, the first row of each row group (and the row count), its schema."""
    schema = check_columns(path)
    metadata = pq.read_metadata(path)
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return metadata, np.concatenate([[0], np.cumsum(rows, dtype=np.int64)]), schema


def _read_rows(path: Path, mtime_ns: int, start: int, length: int) -> tuple[pa.Table, pa.Schema]:
    metadata, first_rows, schema = _footer(path, mtime_ns)
    groups = range(
        int(np.searchsorted(first_rows, start, "right")) - 1, int(np.searchsorted(first_rows, start + length, "left"))
    )
    columns = [name for name in schema.names if name in _WANTED]
    with pq.ParquetFile(path, metadata=metadata, memory_map=True) as file:
        table = file.read_row_groups(list(groups), columns=columns, use_threads=False)
    return table.slice(start - int(first_rows[groups[0]]), length), schema


def _events_of(rows: tuple[pa.Table, pa.Schema]) -> pl.DataFrame:
    table, schema = rows
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    numeric = pl.col("numeric_value").cast(pl.Float32)
    plausible = pl.col("time").is_null() | ((pl.col("time") >= EARLIEST) & (pl.col("time") < LATEST))
    frame = frame.select(
        naive_time(schema, "time"),
        pl.col("code").cast(pl.String),
        pl.when(numeric.is_finite()).then(numeric).alias("numeric_value")
        if "numeric_value" in frame.columns
        else _null("numeric_value", pl.Float32()),
        _optional(frame, "text_value", pl.String()),
        _optional(frame, "unit", pl.String()),
        naive_time(schema, name).alias("end") if (name := _found(frame, "end")) else _null("end", pl.Datetime("us")),
        _optional(frame, "visit_id", pl.Int64()),
        _optional(frame, "table", pl.String()),
    ).filter(plausible & pl.col("code").is_not_null())
    frame = frame.with_columns(
        pl.when((pl.col("end") >= EARLIEST) & (pl.col("end") < LATEST)).then("end").alias("end")
    )
    if not frame["time"].is_sorted(nulls_last=False):
        frame = frame.sort("time", nulls_last=False, maintain_order=True)
    frame = rebuild_visits(frame)
    return frame.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64)).select(EVENT_COLUMNS)


def _found(frame: pl.DataFrame, name: str) -> str | None:
    return next((alias for alias in _ALIASES.get(name, (name,)) if alias in frame.columns), None)


def _null(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.lit(None, dtype).alias(name)


def _optional(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    found = _found(frame, name)
    return pl.col(found).cast(dtype, strict=False).alias(name) if found else _null(name, dtype)


_WANTED = {"time", "code", "numeric_value", "text_value"} | {name for names in _ALIASES.values() for name in names}


def _label_files(folder: Path) -> dict[str, list[Path]]:
    """Label files by task: ``labels/<task>/**/*.parquet`` or ``labels/<task>.parquet``."""
    files: dict[str, list[Path]] = {}
    root = folder / "labels"
    if root.is_dir():
        for path in sorted(root.rglob("*.parquet")):
            files.setdefault(path.relative_to(root).parts[0].removesuffix(".parquet"), []).append(path)
    return files


def _read_labels(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path, glob=False)
        kinds = {
            "boolean_value": pl.Boolean,
            "integer_value": pl.Int64,
            "float_value": pl.Float32,
            "categorical_value": pl.String,
        }
        columns = [name for name in kinds if name in frame.columns and frame[name].null_count() < frame.height]
        columns = columns or [name for name in kinds if name in frame.columns]
        if not columns:
            raise InputError(f"{path.name} has no value column", f"give it one of {', '.join(kinds)} (MEDS labels)")
        return frame.select(
            pl.col("subject_id").cast(pl.Int64),
            pl.col("prediction_time").cast(pl.Datetime("us")),
            pl.col(columns[0]).cast(kinds[columns[0]]).alias("value"),
        ).drop_nulls()
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path} cannot be read as MEDS labels",
            "give it subject_id, prediction_time and boolean_value or integer_value",
        ) from error
