"""The nearest patients in the full embedding space, with their outcomes."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from core.errors import InputError, MissingError
from core.risk.heads import DAMAGED_ARRAYS, save_arrays
from core.risk.subtasks import SUBTASK_BY_KEY

FILE = "neighbours.npz"
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class NeighbourPool:
    """Records to search among.

    Attributes:
        matrix: float16 or float32 ``(n, d)`` embeddings, L2-normalised.
        subject: int64 ``(n,)``.
        time: datetime64[us] ``(n,)``.
        outcome: int8 ``(n, 28)`` in the order of ALL_SUBTASKS: 1, 0, or -1 where the record has no such label.
    """

    matrix: np.ndarray
    subject: np.ndarray
    time: np.ndarray
    outcome: np.ndarray

    def outcomes(self, key: str) -> np.ndarray:
        """Outcomes int8 ``(n,)`` of one sub-task, -1 where unknown."""
        if key not in SUBTASK_BY_KEY:
            raise InputError(f"unknown sub-task {key!r}", f"use one of {', '.join(SUBTASK_BY_KEY)}")
        return self.outcome[:, list(SUBTASK_BY_KEY).index(key)]


@dataclass(frozen=True)
class Neighbour:
    """One near record: patient, time, cosine similarity and its outcome of the task."""

    subject_id: int
    prediction_time: datetime
    similarity: float
    outcome: bool


def nearest(
    pool: NeighbourPool, vector: np.ndarray, key: str, subject_id: int | None = None, count: int = 10
) -> list[Neighbour]:
    """The most similar records that have an outcome of the task, one a patient, most similar first.

    Args:
        pool: records to search among.
        vector: float ``(d,)`` embedding of the record in question.
        key: sub-task whose outcomes are asked for.
        subject_id: the patient in question, never among the neighbours.
        count: how many patients.

    Raises:
        InputError: another dimension, or a vector without length.
    """
    vector = np.asarray(vector, dtype=np.float32).ravel()
    if vector.shape[0] != pool.matrix.shape[1]:
        raise InputError(
            f"the vector has {vector.shape[0]} dimensions, the pool {pool.matrix.shape[1]}", "use the same encoder"
        )
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise InputError("the vector has no direction", "embed the record again")
    outcome = pool.outcomes(key)
    rows = np.flatnonzero((outcome != UNKNOWN) & (pool.subject != (UNKNOWN if subject_id is None else subject_id)))
    if not len(rows):
        return []
    matrix = pool.matrix[rows].astype(np.float32)
    similarity = matrix @ (vector / length) / np.linalg.norm(matrix, axis=1)
    order = np.argsort(-similarity, kind="stable")
    _, first = np.unique(pool.subject[rows][order], return_index=True)  # each patient's nearest record
    chosen = order[np.sort(first)[:count]]
    return [
        Neighbour(
            int(pool.subject[rows[i]]),
            pool.time[rows[i]].astype("datetime64[us]").astype(datetime),
            float(similarity[i]),
            bool(outcome[rows[i]]),
        )
        for i in chosen
    ]


def save_pool(pool: NeighbourPool, folder: Path) -> None:
    """Write the pool as float16 beside the heads, atomically."""
    arrays: dict[str, np.ndarray] = {
        "matrix": pool.matrix.astype(np.float16),
        "subject": pool.subject.astype(np.int64),
        "time": pool.time.astype("datetime64[us]").astype(np.int64),
        "outcome": pool.outcome.astype(np.int8),
    }
    save_arrays(Path(folder) / FILE, arrays)


def load_pool(folder: Path) -> NeighbourPool:
    """Read a pool. Not there: :class:`MissingError`; damaged: :class:`InputError`."""
    path, again = Path(folder) / FILE, "make it again with `python -m core train-heads`"
    if not path.is_file():
        raise MissingError(f"there are no neighbours in {Path(folder).name}", again)
    try:
        with np.load(path, allow_pickle=False) as archive:
            pool = NeighbourPool(
                archive["matrix"], archive["subject"], archive["time"].astype("datetime64[us]"), archive["outcome"]
            )
    except DAMAGED_ARRAYS as error:
        raise InputError(f"{FILE} cannot be read ({error})", again) from None
    n = len(pool.subject)
    if pool.matrix.ndim != 2 or pool.matrix.shape[0] != n or pool.outcome.shape != (n, len(SUBTASK_BY_KEY)):
        raise InputError(f"{FILE} has arrays that do not fit together", again)
    return pool
