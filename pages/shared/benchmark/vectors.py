"""Embeddings that a map can be made of: cohort features of the settings, and the pools that come with the heads."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import streamlit as st

from core.embedding.features import MANIFEST, read_features
from core.errors import ChartlightError
from core.risk.embedding_map import EmbeddingMap, embedding_map
from core.risk.neighbours import FILE, UNKNOWN, load_pool
from core.risk.subgroups import ATTRIBUTES, attributes_of_rows
from core.risk.subtasks import ALL_SUBTASKS, SUBTASK_BY_KEY, targets
from core.settings import get_settings
from pages.shared import resources
from pages.shared.benchmark.cohorts import holder_of

LIMITS = {"pca": 20_000, "umap": 5_000}
"""Records drawn at most by method; more are sampled, always the same ones."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Records to draw.

    Attributes:
        matrix: ``(n, d)`` embeddings.
        subject: int64 ``(n,)``.
        time: datetime64[us] ``(n,)``.
        total: records there were before sampling.
        dataset: name of the dataset on offer that holds every subject, or None.
        outcome: int8 ``(n, 28)`` in the order of ALL_SUBTASKS, -1 where unknown.
    """

    matrix: np.ndarray
    subject: np.ndarray
    time: np.ndarray
    total: int
    dataset: str | None
    outcome: np.ndarray


def sources() -> dict[str, Path]:
    """Return what a map can be made of, by name."""
    settings = get_settings()
    found: dict[str, Path] = {}
    root = settings.features
    if root is not None and root.is_dir():
        for path in [root, *sorted(root.iterdir())]:
            if (path / MANIFEST).is_file():
                found[f"Features: {path.name}"] = path
    if settings.heads.is_dir():
        for path in sorted(settings.heads.iterdir()):
            if (path / FILE).is_file():
                found[f"Cohort of the heads: {path.name}"] = path / FILE
    return found


@st.cache_resource(show_spinner="Reading the embeddings …", max_entries=4)
def cloud(path: str, changed: int, method: str) -> Cloud:
    """Read the records of a source; see :data:`LIMITS`.

    Raises:
        MissingError, InputError: it cannot be read.
    """
    where = Path(path)
    if where.is_dir():
        features = read_features(where)
        pairs = pl.DataFrame({"s": features.subject_id, "t": features.prediction_time})
        one = pairs.with_row_index().unique(["s", "t"], keep="first", maintain_order=True)["index"].to_numpy()
        matrix, subject, time = features.matrix[one], features.subject_id[one], features.prediction_time[one]
        outcome = None
    else:
        pool = load_pool(where.parent)
        matrix, subject, time, outcome = pool.matrix, pool.subject, pool.time, pool.outcome
    total, limit = len(subject), LIMITS[method]
    if total > limit:
        kept = np.sort(np.random.default_rng(0).choice(total, limit, replace=False))
        matrix, subject, time = matrix[kept], subject[kept], time[kept]
        outcome = outcome[kept] if outcome is not None else None
    dataset = holder_of(np.unique(subject))
    if outcome is None:
        outcome = _outcomes(dataset, subject, time)
    return Cloud(matrix.astype(np.float32), subject, time, total, dataset, outcome)


@st.cache_resource(show_spinner="Drawing the map …", max_entries=8)
def place(path: str, changed: int, method: str) -> EmbeddingMap:
    """Return the map of a source."""
    return embedding_map(cloud(path, changed, method).matrix, method)


@st.cache_resource(show_spinner="Reading the patients' records …", max_entries=4)
def attributes(path: str, changed: int, method: str) -> dict[str, list[str]]:
    """Return sex, age band and record length of each record; nothing where no dataset on offer has the patients."""
    data = cloud(path, changed, method)
    if data.dataset is None:
        return {}
    return attributes_of_rows(resources.dataset(data.dataset), data.subject, data.time)


def colours_of(path: str, changed: int, method: str, by: str) -> list[str]:
    """Return what each record is coloured by: an attribute, or "had it", "did not" and "unknown" for a sub-task."""
    data = cloud(path, changed, method)
    if by in ATTRIBUTES:
        return attributes(path, changed, method).get(by) or ["unknown"] * len(data.subject)
    column = data.outcome[:, list(SUBTASK_BY_KEY).index(by)]
    return [{1: "had it", 0: "did not"}.get(int(value), "unknown") for value in column]


def moment(time: np.datetime64) -> datetime:
    """Return a time of the cloud as a datetime."""
    return time.astype("datetime64[us]").astype(datetime)


def _outcomes(dataset: str | None, subject: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Labels of each record from the dataset, -1 where it has none."""
    out = np.full((len(subject), len(ALL_SUBTASKS)), UNKNOWN, np.int8)
    if dataset is None:
        return out
    opened = resources.dataset(dataset)
    wanted = pl.DataFrame({"subject_id": subject, "prediction_time": time}).with_row_index("row")
    for task in dict.fromkeys(sub.task for sub in ALL_SUBTASKS):
        try:
            labels = opened.labels(task).unique(["subject_id", "prediction_time"], keep="first")
            found = wanted.join(labels, on=["subject_id", "prediction_time"])
            columns = targets(task, found["value"].to_numpy())
        except ChartlightError:
            continue
        for key, values in columns.items():
            out[found["row"].to_numpy(), list(SUBTASK_BY_KEY).index(key)] = values
    return out
