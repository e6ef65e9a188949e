"""A MEDS dataset, opened read-only.

Opening reads the subject index (``core.ehr.index``) and nothing else; one subject's events are then read from the
row groups that hold them. A ``Dataset`` keeps no open file and changes nothing after it is made, so that
threads may share it.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path

import meds
import polars as pl
import pyarrow as pa

from core.ehr.column_names import find_column, is_omop_table, omop_table
from core.ehr.external_vocabulary import with_athena
from core.ehr.index import (
    DAMAGE,
    EARLIEST,
    LATEST,
    PLACE,
    SubjectIndex,
    check_columns,
    load_index,
    naive_time,
    parquet_files,
    reason,
    unreadable,
)
from core.ehr.meds_layout import EVENT_SCHEMA, read_dataset_json
from core.ehr.visits import rebuild_visits
from core.ehr.vocabulary import Vocabulary, load_vocabulary
from core.errors import InputError
from core.progress import Progress
from core.settings import get_settings

_TYPES = {name: dtype for name, dtype in EVENT_SCHEMA.items() if name != "subject_id"}
_SPAN = (datetime(1850, 1, 1), datetime(2299, 12, 31, 23, 59, 59, 999999))
_SPAN_US = tuple(int((limit - datetime(1970, 1, 1)).total_seconds()) * 1_000_000 for limit in _SPAN)
_IS_EVENT = pl.col("code").is_not_null() & (
    pl.col("time").is_null() | ((pl.col("time") >= EARLIEST) & (pl.col("time") < LATEST))
)
EVENT_COLUMNS = ("row", *_TYPES)


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
        return self._read(*self.index.locate(at))

    def iter_events(self, subject_ids: Iterable[int] | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield ``(subject_id, events)`` for many subjects (all by default), in their order on disk."""
        table = self.index.table
        if subject_ids is not None:
            table = table.filter(pl.col("subject_id").is_in([int(i) for i in subject_ids]))
        for subject_id, *place in table.sort("shard", "start").select("subject_id", *PLACE).iter_rows():
            yield subject_id, self._read(*place)

    def scan(self) -> pl.LazyFrame:
        """All events as a Polars lazy frame, for passes over the whole dataset.

        Columns: ``subject_id`` and those of :meth:`events` but ``row``, visits as the files have them. Rows that are
        no events (no code, implausible time) are left out here too.
        """
        files = [(self.path / shard.path, shard.mtime_ns) for shard in self.index.shards]
        if not files:
            return pl.LazyFrame(schema=EVENT_SCHEMA)
        alike: dict[str, tuple[pa.Schema, list[Path]]] = {}  # files of one schema are one scan
        for path, mtime_ns in files:
            schema = _schema(path, mtime_ns)
            alike.setdefault(repr(schema.remove_metadata()), (schema, []))[1].append(path)
        scans = [pl.scan_parquet(paths, glob=False).select(_columns(s, EVENT_SCHEMA)) for s, paths in alike.values()]
        return pl.concat(scans).filter(_IS_EVENT).with_columns(omop_table(pl.col("table")))

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
        parts = [_read_labels(path) for path in files]
        if len({part.schema["value"] for part in parts}) > 1:
            raise InputError(f"the label files of {task_id} hold values of different types", "give all files one type")
        return pl.concat(parts).sort("subject_id", "prediction_time", maintain_order=True)

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
        except DAMAGE as error:
            raise InputError(
                f"{path.name} cannot be read as MEDS splits ({reason(error)})",
                "give it the columns subject_id and split, or remove it",
            ) from error

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Descriptions and parents of codes: the dataset's own first, then those of ``concepts``."""
        own = load_vocabulary(self.path / meds.code_metadata_filepath)
        return own if self.concepts is None else with_athena(own, self.concepts, repr(self.index.shards), self._codes)

    def _codes(self) -> list[str]:
        return self.scan().select(pl.col("code").unique()).collect(engine="streaming")["code"].to_list()

    def _example(self) -> str:
        return f", for example {self.index.subject_ids[0]}" if self.n_subjects else ""

    def _read(self, shard: int, start: int, length: int, n_events: int) -> pl.DataFrame:
        known = self.index.shards[shard]
        path = self.path / known.path
        try:
            if path.stat().st_mtime_ns != known.mtime_ns:
                raise InputError(f"{self.name} changed on disk after it was opened", "open the dataset again")
            return _tidy(_scan_events(path, known.mtime_ns).slice(start, length).collect(), n_events)
        except DAMAGE as error:
            raise unreadable(path, error) from error


def open_dataset(path: str | Path, concepts: str | Path | None = None, progress: Progress | None = None) -> Dataset:
    """Open a folder in the MEDS layout, in place and read-only.

    Args:
        path: the folder that holds ``data/`` and ``metadata/``.
        concepts: an Athena ``CONCEPT.csv``, or its folder, for codes that the dataset leaves undescribed; the default
            is the setting ``CHARTLIGHT_CONCEPTS``.
        progress: called while the subject index is built, which happens the first time.

    Raises:
        InputError: it is no MEDS dataset, or a file is damaged or breaks the schema.
    """
    path = Path(path).expanduser()
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"the folder {path} cannot be read (Permission denied)", "let this user read it")
    if not path.is_dir():
        raise InputError(f"there is no dataset folder {path}", "check the path, or make one: python -m core demo DEST")
    if not (path / "data").is_dir():
        raise InputError(
            f"{path} is not in the MEDS layout (no data folder)",
            "import it first: python -m core import ehrshot|omop SRC DEST",
        )
    index = load_index(path, progress)
    if not index.shards and any((path / "data").glob("[!._]*")):  # an EHRSHOT release has a data folder too
        raise InputError(
            f"{path} has files in its data folder and no Parquet file among them",
            "give a MEDS dataset, or import this first: python -m core import ehrshot|omop SRC DEST",
        )
    record = read_dataset_json(path)
    return Dataset(
        path=path,
        name=str(record.get("dataset_name") or path.resolve().name),
        synthetic=record.get("synthetic") is True,
        index=index,
        concepts=Path(concepts).expanduser() if concepts else get_settings().concepts,
    )


@lru_cache(maxsize=4096)
def _scan_events(path: Path, mtime_ns: int) -> pl.LazyFrame:
    """The event columns of a file, in the types and under the names of ``EVENT_COLUMNS`` but ``row``.

    Kept, because the parsed footer stays with it: that halves the time to open a subject.
    """
    return pl.scan_parquet(path, glob=False).select(_columns(_schema(path, mtime_ns), _TYPES))


@lru_cache(maxsize=4096)
def _schema(path: Path, mtime_ns: int) -> pa.Schema:
    return check_columns(path)


def _columns(schema: pa.Schema, types: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    columns = []
    for name, dtype in types.items():
        source = find_column(name, schema.names)
        if source is None:
            columns.append(pl.lit(None, dtype).alias(name))
        elif name == "visit_id" and not pa.types.is_primitive(schema.field(source).type):
            columns.append(_visit_number(pl.col(source).cast(pl.String)).alias(name))
        elif pa.types.is_timestamp(schema.field(source).type):
            columns.append(naive_time(schema, source).alias(name))
        else:
            columns.append(pl.col(source).cast(dtype, strict=False).alias(name))
    return columns


def _visit_number(visit: pl.Expr) -> pl.Expr:
    """Integers for visit ids that are text: their own value where they are digits, else one made from the text."""
    made = pl.when(visit.is_not_null()).then((visit.hash(0) // 2).cast(pl.Int64))
    return pl.coalesce(visit.cast(pl.Int64, strict=False), made)


def _tidy(frame: pl.DataFrame, n_events: int) -> pl.DataFrame:
    """Leave out rows that are no events, bad numbers and ends; name tables and visits as ours; number the rows.

    Each step is skipped where there is nothing to do, which is the rule: this is on the way of every page view.
    """
    if n_events < frame.height:
        frame = frame.filter(_IS_EVENT)
    if not frame["time"].is_sorted(nulls_last=False):
        frame = frame.sort("time", nulls_last=False, maintain_order=True)
    if not frame["numeric_value"].is_finite().all():
        numeric = pl.col("numeric_value")
        frame = frame.with_columns(pl.when(numeric.is_finite()).then(numeric).alias("numeric_value"))
    ends = frame["end"].to_physical()  # as integers: a damaged or foreign time may be beyond Python's datetime
    if ends.null_count() < len(ends) and ((ends < _SPAN_US[0]) | (ends > _SPAN_US[1])).any():
        frame = frame.with_columns(pl.when(pl.col("end").is_between(*_SPAN)).then("end").alias("end"))
    if not all(map(is_omop_table, frame["table"].unique().drop_nulls())):
        frame = frame.with_columns(omop_table(pl.col("table")))
    frame = rebuild_visits(frame)
    return frame.insert_column(0, pl.int_range(frame.height, dtype=pl.Int64, eager=True).alias("row"))


def _label_files(folder: Path) -> dict[str, list[Path]]:
    """Label files by task: ``labels/<task>/**/*.parquet`` or ``labels/<task>.parquet``."""
    files: dict[str, list[Path]] = {}
    root = folder / "labels"
    for path in parquet_files(root):
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
    except DAMAGE as error:
        raise InputError(
            f"{path} cannot be read as MEDS labels ({reason(error)})",
            "give it subject_id, prediction_time and boolean_value or integer_value",
        ) from error
