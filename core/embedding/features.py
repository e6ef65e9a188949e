"""Cohort features on disk: a folder of Parquet parts and a manifest.

``manifest.json`` is written last, so a folder that has one is complete. ``plan.json`` is written first: it says what
the run is, which lets the same command go on where it stopped and refuses to mix two runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import InputError, MissingError
from core.files import replacing, write_atomic
from core.hashing import file_sha256

FORMAT = 1
_LEFT_OUT = b"left_out"  # in a part's metadata
MANIFEST, PLAN = "manifest.json", "plan.json"
ALL_TASKS = "all"
"""Task of a row whose embedding serves every task (the encoder takes no instruction)."""


@dataclass(frozen=True)
class Features:
    """Embeddings of a cohort.

    Attributes:
        subject_id: int64 ``(n,)``.
        prediction_time: datetime64[us] ``(n,)``.
        task: object ``(n,)`` of str: the task whose instruction was read, or ``all``.
        matrix: float32 ``(n, dimension)``, L2-normalised.
        manifest: what made them: encoder, serialisation, dataset, counts.
    """

    subject_id: np.ndarray
    prediction_time: np.ndarray
    task: np.ndarray
    matrix: np.ndarray
    manifest: dict[str, Any]


def read_features(path: Path) -> Features:
    """Read a features folder, rows sorted by subject, time and task.

    Raises MissingError when the folder is not there or not complete, InputError when it is damaged.
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        what = "is not complete" if (path / PLAN).is_file() else "is no features folder"
        raise MissingError(f"{path} {what}", "run python -m core embed with it as --out, to its end")
    manifest = read_json(path / MANIFEST)
    try:
        dimension, parts = int(manifest["dimension"]), list(manifest["parts"])
        tables = [_read_part(path / part["file"], part["sha256"], dimension) for part in parts]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path / MANIFEST} is not a features manifest", "embed the cohort again") from error
    table = pa.concat_tables(tables) if tables else part_schema(dimension).empty_table()
    return Features(
        table["subject_id"].to_numpy(),
        table["prediction_time"].to_numpy().astype("datetime64[us]"),
        np.array(table["task"].to_pylist(), dtype=object),
        _matrix(table, dimension),
        manifest,
    )


def part_schema(dimension: int) -> pa.Schema:
    """Columns of a part."""
    return pa.schema(
        [
            ("subject_id", pa.int64()),
            ("prediction_time", pa.timestamp("us")),
            ("task", pa.string()),
            ("embedding", pa.list_(pa.float32(), dimension)),
        ]
    )


def write_part(path: Path, rows: pl.DataFrame, vectors: np.ndarray, left_out: Mapping[int, str] | None = None) -> None:
    """Write a part at once or not at all: a part that is there is whole.

    Args:
        path: the file.
        rows: ``subject_id``, ``prediction_time``, ``task``.
        vectors: float32 ``(n, dimension)``, finite and of length 1.
        left_out: positions of the rows that were asked for and have no vector, among all that were, and why.
    """
    if len(rows) != len(vectors) or not np.isfinite(vectors).all():
        raise ValueError("rows and finite vectors must correspond")
    dimension = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    columns = [
        pa.array(rows["subject_id"].to_numpy(), pa.int64()),
        pa.array(rows["prediction_time"].to_numpy().astype("datetime64[us]"), pa.timestamp("us")),
        pa.array(rows["task"].to_list(), pa.string()),
        pa.FixedSizeListArray.from_arrays(flat, dimension),
    ]
    with replacing(path) as partial:
        schema = part_schema(dimension)
        if left_out:
            schema = schema.with_metadata({_LEFT_OUT: json.dumps({str(at): kind for at, kind in left_out.items()})})
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), partial, compression="zstd")


def read_left_out(path: Path, rows: pl.DataFrame, dimension: int) -> dict[int, str] | None:
    """What a finished part leaves out of the rows that were asked for: kind by position, often nothing.

    Args:
        path: the file.
        rows: all that were asked for.
        dimension: of a vector.

    Returns:
        None where the part is not there, or not with exactly the other rows and finite vectors.
    """
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, partitioning=None)
        noted = json.loads((table.schema.metadata or {}).get(_LEFT_OUT, b"{}"))
        left_out = {int(position): str(kind) for position, kind in noted.items()}
        kept = [position for position in range(len(rows)) if position not in left_out]
        whole = (
            table.schema.equals(part_schema(dimension))
            and table.num_rows == len(kept)
            and all(
                table[name].to_pylist() == rows[name][kept].to_list()
                for name in ("subject_id", "prediction_time", "task")
            )
            and bool(np.isfinite(_matrix(table, dimension)).all())
        )
    except (pa.ArrowException, OSError, ValueError, AttributeError):
        return None
    return left_out if whole else None


def _read_part(path: Path, sha256: str, dimension: int) -> pa.Table:
    try:
        if file_sha256(path) != sha256:
            raise InputError(f"the features file {path} is not the one that was written", "embed the cohort again")
        table = pq.read_table(path, partitioning=None)
    except OSError as error:
        raise InputError(f"the features file {path} cannot be read", "embed the cohort again") from error
    if not table.schema.equals(part_schema(dimension)):
        raise InputError(f"the features file {path} has other columns", "embed the cohort again")
    return table


def _matrix(table: pa.Table, dimension: int) -> np.ndarray:
    column = table["embedding"].combine_chunks()
    flat = column.flatten() if not isinstance(column, pa.ChunkedArray) else pa.concat_arrays(column.chunks).flatten()
    return flat.to_numpy(zero_copy_only=False).astype(np.float32, copy=False).reshape(-1, dimension)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises InputError when the file is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON", "choose another folder") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object", "choose another folder")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file at once or not at all."""
    write_atomic(path, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
