"""Feature matrices of a benchmark: embeddings written by `embed`, counts, and vectors brought in (CLMBR).

Precomputed vectors come as npz (never a pickle) or Parquet. EHRSHOT's names of the arrays are known:

- npz: ``subject_id`` or ``patient_ids``; ``prediction_time``, ``labeling_time`` or ``label_times``; ``matrix`` or
  ``data_matrix`` ``(n, d)``; optionally ``task`` or ``tasks``.
- Parquet: the same two columns, and either one list column of vectors or one numeric column a dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from core.errors import InputError
from core.risk.cohort import find_rows
from core.risk.heads import DAMAGED_ARRAYS
from core.risk.model_names import model_key, model_name

_SUBJECT = ("subject_id", "patient_ids", "patient_id")
_TIME = ("prediction_time", "labeling_time", "label_times", "labeling_times")
_MATRIX = ("matrix", "data_matrix", "features", "embedding", "embeddings", "vector")
_TASK = ("task", "tasks")


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of rows (subject, prediction time[, task]).

    Attributes:
        name: the model's name in the results ("minilm", "count", "clmbr").
        heads: heads to fit on them, of "lr_lbfgs" and "gbm".
        subject: int64 ``(n,)``.
        time: datetime64[us] ``(n,)``.
        task: str ``(n,)`` where each task has its own features, None where all tasks share them.
        matrix: ``(n, d)`` float32, or sparse CSR.
        variant: name of the ablation, "" for the full setting.
        about: the making of the features, for the report.
        shots: values of k to run this set with; None for those of the run.
    """

    name: str
    heads: tuple[str, ...]
    subject: np.ndarray
    time: np.ndarray
    task: np.ndarray | None
    matrix: np.ndarray | sparse.csr_matrix
    variant: str = ""
    about: dict[str, Any] | None = None
    shots: tuple[int, ...] | None = None

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.matrix.shape[1])

    def find(self, task: str, subject: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Row of each (subject, time) for this task, -1 where there is none."""
        if self.task is None:
            return find_rows(subject, time, self.subject, self.time)
        own = np.flatnonzero(self.task == task)
        found = find_rows(subject, time, self.subject[own], self.time[own])
        return np.where(found >= 0, own[found] if len(own) else -1, -1)


def require_distinct(features: Sequence[FeatureSet]) -> None:
    """Refuse a model that is named twice: its figures would stand twice in every table, and count twice.

    Raises:
        InputError: two sets have the same name, variant and head.
    """
    seen: set[str] = set()
    for one in features:
        for head in one.heads:
            key = model_key(one.name, head, one.variant)
            if key in seen:
                raise InputError(f"the model {model_name(key)} is named twice", "name it once, with all its shots")
            seen.add(key)


def read_precomputed(path: Path, name: str, heads: tuple[str, ...] = ("lr_lbfgs",)) -> FeatureSet:
    """Read vectors that another program made.

    Raises:
        InputError: not readable, a pickle inside, a column missing, or lengths that differ.

    Rows with values that are not finite count as missing (``about['rows_not_finite']``).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no features file {path}", "check the path")
    try:
        arrays = _read_npz(path) if path.suffix == ".npz" else _read_parquet(path)
    except (*DAMAGED_ARRAYS, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"the features {path.name} cannot be read ({error})", "give plain arrays as .npz or .parquet, no pickle"
        ) from None
    subject, matrix = np.asarray(arrays["subject"], np.int64), np.asarray(arrays["matrix"], np.float32)
    try:
        time = np.asarray(arrays["time"]).astype("datetime64[us]")
    except (ValueError, TypeError):
        raise InputError(f"the times in {path.name} are no times", "write them as ISO text or datetime64") from None
    if matrix.ndim != 2 or not len(subject) == len(time) == len(matrix):
        raise InputError(
            f"{path.name} has {len(subject)} subjects, {len(time)} times and a matrix of shape {matrix.shape}",
            "give one vector for each subject and time",
        )
    finite = np.isfinite(matrix).all(axis=1)
    task = arrays.get("task")
    tasks = None if task is None else np.asarray(task).astype(str)[finite]
    about = {"file": path.name, "rows": len(subject), "rows_not_finite": int((~finite).sum())}
    return FeatureSet(name, heads, subject[finite], time[finite], tasks, matrix[finite], about=about)


def _pick(names: Any, wanted: tuple[str, ...], what: str) -> str:
    for name in wanted:
        if name in names:
            return name
    raise ValueError(f"no {what}: {' or '.join(wanted)}")


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        out = {
            "subject": archive[_pick(archive.files, _SUBJECT, "subjects")],
            "time": archive[_pick(archive.files, _TIME, "times")],
            "matrix": archive[_pick(archive.files, _MATRIX, "matrix")],
        }
        for name in _TASK:
            if name in archive.files:
                out["task"] = archive[name]
        return out


def _read_parquet(path: Path) -> dict[str, np.ndarray]:
    frame = pl.read_parquet(path, glob=False)
    subject, time = _pick(frame.columns, _SUBJECT, "subjects"), _pick(frame.columns, _TIME, "times")
    stamps = frame[time]
    if stamps.dtype == pl.String:
        stamps = stamps.str.to_datetime(time_unit="us")
    out = {"subject": frame[subject].to_numpy(), "time": stamps.cast(pl.Datetime("us")).to_numpy()}
    for name in _TASK:
        if name in frame.columns:
            out["task"] = np.array(frame[name].to_list())
    lists = [c for c in frame.columns if isinstance(frame[c].dtype, pl.List | pl.Array)]
    if lists:
        column = next((c for c in _MATRIX if c in lists), lists[0])
        lengths = frame[column].cast(pl.List(pl.Float32)).list.len()
        if lengths.n_unique() > 1:
            raise ValueError("vectors of different lengths")
        out["matrix"] = np.stack([np.asarray(v, np.float32) for v in frame[column].to_list()])
    else:
        numeric = [c for c, t in frame.schema.items() if t.is_float() and c not in (subject, time)]
        if not numeric:
            raise ValueError("no vector column")
        out["matrix"] = frame.select(numeric).to_numpy()
    return out


def read_embedded(path: Path, name: str | None = None) -> FeatureSet:
    """Read features written by `python -m core embed`."""
    from core.embedding.features import read_features

    features = read_features(Path(path))
    manifest = dict(features.manifest)
    task = np.asarray(features.task).astype(str)
    shared = set(np.unique(task)) <= {"", "all", "*", "None", "nan"}
    encoder = manifest.get("encoder")
    found = encoder.get("name") if isinstance(encoder, dict) else encoder
    return FeatureSet(
        name or str(found or Path(path).stem),
        ("lr_lbfgs",),
        np.asarray(features.subject_id, np.int64),
        np.asarray(features.prediction_time).astype("datetime64[us]"),
        None if shared else task,
        features.matrix,
        about=manifest,
    )


def join(parts: list[FeatureSet], task: str | None = None) -> FeatureSet:
    """Concatenate feature sets over the rows that all of them have (the paper's LLM‖CLMBR), named ``a+b``."""
    if any(sparse.issparse(part.matrix) for part in parts):
        raise InputError("count features cannot be joined", "join embeddings only")
    first = parts[0]
    own = np.arange(len(first.subject))
    blocks, keep = [first.matrix], np.ones(len(own), bool)
    for part in parts[1:]:
        if part.task is not None and first.task is None:
            raise InputError(f"{part.name} has features by task and {first.name} has not", "name it first")
        if part.task is None or first.task is None:
            found = find_rows(first.subject, first.time, part.subject, part.time)
        else:
            found = np.full(len(own), -1)
            for name in np.unique(first.task):
                rows = np.flatnonzero(first.task == name)
                found[rows] = part.find(name, first.subject[rows], first.time[rows])
        keep &= found >= 0
        blocks.append(np.asarray(part.matrix)[np.maximum(found, 0)])
    return FeatureSet(
        "+".join(part.name for part in parts),
        ("lr_lbfgs",),
        first.subject[keep],
        first.time[keep],
        None if first.task is None else first.task[keep],
        np.concatenate(blocks, axis=1)[keep],
        about={part.name: part.about for part in parts},
    )
