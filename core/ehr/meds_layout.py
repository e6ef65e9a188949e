"""The MEDS layout on disk: column types, and a writer that leaves a whole dataset or nothing.

A dataset is a folder: ``data/*.parquet`` (events), ``metadata/codes.parquet``, ``metadata/subject_splits.parquet``,
``metadata/dataset.json`` and ``labels/<task>/*.parquet``. The schemas are those of the ``meds`` package (MEDS 0.4),
plus the optional event columns ``end``, ``visit_id``, ``unit`` and ``table``.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import meds
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import InputError
from core.files import alone

EVENT_SCHEMA: dict[str, pl.DataType] = {
    "subject_id": pl.Int64(),
    "time": pl.Datetime("us"),
    "code": pl.String(),
    "numeric_value": pl.Float32(),
    "text_value": pl.String(),
    "unit": pl.String(),
    "end": pl.Datetime("us"),
    "visit_id": pl.Int64(),
    "table": pl.String(),
}
"""Columns of an event file as Chartlight writes it. ``time`` is null for static events."""

_ARROW_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64()),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string()),
        pa.field("numeric_value", pa.float32()),
        pa.field("text_value", pa.large_string()),
        pa.field("unit", pa.string()),
        pa.field("end", pa.timestamp("us")),
        pa.field("visit_id", pa.int64()),
        pa.field("table", pa.string()),
    ]
)
"""The same in Arrow's types: the ``meds`` package tells string from large_string."""

SPLITS = (meds.train_split, meds.tuning_split, meds.held_out_split)
BIRTH_CODES = (meds.birth_code, "SNOMED/3950001")
"""Codes that mark birth: the MEDS one, and the one that OMOP and EHRSHOT data carry."""
DEATH_CODES = (meds.death_code, "SNOMED/419620001", "Death Type/OMOP generated")

ROW_GROUP_SIZE = 16_384
"""Rows per Parquet row group: small, because a row group is the least that opening one subject has to decode."""
SHARD_ROWS = 2_000_000
"""Rows after which a new event file is begun."""
WRITER_NAME = "chartlight"


def write_events(folder: Path, shard: int, events: pl.DataFrame) -> Path:
    """Write one event file. ``events`` must be whole subjects, sorted by (subject_id, time), nulls first.

    Missing optional columns are added as nulls. Returns the file's path.
    """
    path = folder / meds.data_subdirectory / f"{shard}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in EVENT_SCHEMA.items() if name not in events.columns]
    frame = events.lazy().with_columns(missing).select([pl.col(n).cast(t) for n, t in EVENT_SCHEMA.items()]).collect()
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_ARROW_SCHEMA)
    pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_SIZE)
    return path


def write_codes(folder: Path, codes: pl.DataFrame) -> None:
    """Write ``metadata/codes.parquet`` from ``code`` and optional ``description``, ``parent_codes`` (list of str)."""
    types = {"code": pl.String(), "description": pl.String(), "parent_codes": pl.List(pl.String())}
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in types.items() if name not in codes.columns]
    frame = codes.with_columns(missing).select([pl.col(n).cast(t) for n, t in types.items()]).sort("code")
    path = folder / meds.code_metadata_filepath
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(meds.CodeMetadataSchema.align(frame.to_arrow()), path)


def write_splits(folder: Path, splits: pl.DataFrame) -> None:
    """Write ``metadata/subject_splits.parquet`` from ``subject_id`` and ``split`` (train, tuning, held_out)."""
    path = folder / meds.subject_splits_filepath
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = splits.select(pl.col("subject_id").cast(pl.Int64), pl.col("split").cast(pl.String)).sort("subject_id")
    pq.write_table(meds.SubjectSplitSchema.align(frame.to_arrow()), path)


def write_labels(folder: Path, task: str, labels: pl.DataFrame) -> None:
    """Write ``labels/<task>/labels.parquet`` from ``subject_id``, ``prediction_time`` and ``value``.

    ``value`` goes into ``boolean_value``, ``integer_value``, ``float_value`` or ``categorical_value`` by its type.
    """
    dtype = labels.schema["value"]
    column = (
        ("boolean_value", pl.Boolean())
        if dtype == pl.Boolean
        else ("integer_value", pl.Int64())
        if dtype.is_integer()
        else ("float_value", pl.Float32())
        if dtype.is_float()
        else ("categorical_value", pl.String())
    )
    frame = labels.select(
        pl.col("subject_id").cast(pl.Int64),
        pl.col("prediction_time").cast(pl.Datetime("us")),
        pl.col("value").cast(column[1]).alias(column[0]),
    ).sort("subject_id", "prediction_time", maintain_order=True)
    path = folder / "labels" / task / "labels.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(meds.LabelSchema.align(frame.to_arrow()), path)


def write_dataset_json(folder: Path, name: str, etl: str, synthetic: bool = False, **more: object) -> None:
    """Write ``metadata/dataset.json``. ``synthetic`` says that no real person is in the data."""
    record = {
        "dataset_name": name,
        "etl_name": f"{WRITER_NAME}-{etl}",
        "meds_version": meds.__version__,
        "raw_source_id_columns": ["visit_id"],
        "code_modifier_columns": ["unit"],
        "other_extension_columns": ["end", "table"],
        "synthetic": synthetic,
    } | more
    path = folder / meds.dataset_metadata_filepath
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_dataset_json(folder: Path) -> dict[str, object]:
    """Read ``metadata/dataset.json``; an empty dict when it is missing or not a JSON object."""
    try:
        record = json.loads((folder / meds.dataset_metadata_filepath).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


@contextmanager
def new_dataset(dest: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``dest`` that takes the name ``dest`` when the block ends without an error.

    A dataset that Chartlight wrote there before is replaced, by two renames; anything else in the way is an error.
    What a killed run left is removed by the next one. After an error nothing is left.

    Raises:
        InputError: ``dest`` holds something else, another run is writing it, or the disk is full.
    """
    dest = Path(dest).absolute()
    _check_destination(dest)
    part, lock_path = dest.parent / f".{dest.name}.partial", dest.parent / f".{dest.name}.lock"
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with alone(lock_path, dest):
            try:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                yield part
                _check_destination(dest)
                _swap(part, dest)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or "no space left" in str(error).lower():
            raise InputError(
                f"the disk is full, {dest} was not written", "free some space or choose a folder on another disk"
            ) from error
        if isinstance(error, PermissionError):
            raise InputError(f"no permission to write {dest}", "choose a folder that you may write to") from error
        raise


def _check_destination(dest: Path) -> None:
    if not dest.exists():
        return
    ours = str(read_dataset_json(dest).get("etl_name", "")).startswith(WRITER_NAME) if dest.is_dir() else False
    if not ours and not (dest.is_dir() and not any(dest.iterdir())):
        raise InputError(
            f"{dest} exists and was not written by Chartlight", "choose a new folder, or remove this one first"
        )


def _swap(part: Path, dest: Path) -> None:
    old = dest.parent / f".{dest.name}.old"
    if dest.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(dest, old)
        try:
            os.rename(part, dest)
        except OSError:
            os.rename(old, dest)
            raise
    else:
        os.rename(part, dest)
    shutil.rmtree(old, ignore_errors=True)  # also that of a run which was killed between its two renames


def created_now() -> str:
    """The present time for ``created_at`` in dataset.json (leave it out where files must be reproducible)."""
    return datetime.now(UTC).isoformat(timespec="seconds")
