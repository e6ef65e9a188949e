"""A two-dimensional view of embeddings, as context only: neighbours are found in the full space."""

import importlib.util
import threading
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from core.errors import InputError, MissingError

METHODS = ("pca", "umap")
UMAP_NEIGHBOURS = 15
_ONE_UMAP = threading.Lock()  # numba's threads may end the process when two threads of it start parallel work


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Points on a plane.

    Attributes:
        points: float32 ``(n, 2)``.
        method: "pca" or "umap".
        explained: share of the variance that the two axes hold (PCA), None for UMAP, whose distances mean little.
        mean: ``(d,)`` and
        axes: ``(d, 2)`` place a new vector on a PCA map; None for UMAP.
    """

    points: np.ndarray
    method: str
    explained: float | None
    mean: np.ndarray | None
    axes: np.ndarray | None

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Coordinates ``(m, 2)`` of other vectors on a PCA map."""
        if self.mean is None or self.axes is None:
            raise InputError("a UMAP cannot take new points", "use the PCA map")
        return ((np.atleast_2d(vectors) - self.mean) @ self.axes).astype(np.float32)


def has_umap() -> bool:
    """Whether umap-learn is installed."""
    return importlib.util.find_spec("umap") is not None


def embedding_map(matrix: np.ndarray, method: str = "pca", seed: int = 0) -> EmbeddingMap:
    """Project ``(n, d)`` embeddings onto a plane.

    Raises:
        InputError: fewer than 3 rows, or an unknown method.
        MissingError: UMAP without umap-learn.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) < 3:
        raise InputError("a map needs at least 3 records", "choose a larger cohort")
    if method == "pca":
        mean = matrix.mean(axis=0)
        covariance = np.cov(matrix - mean, rowvar=False)
        d = covariance.shape[0]
        values, vectors = eigh(covariance, subset_by_index=[max(0, d - 2), d - 1])
        axes = vectors[:, ::-1]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])  # the sign is arbitrary: fix it
        total = float(np.trace(covariance)) or 1.0
        points = ((matrix - mean) @ axes).astype(np.float32)
        return EmbeddingMap(points, "pca", float(values.sum() / total), mean, axes)
    if method == "umap":
        if not has_umap():
            raise MissingError(
                "umap-learn is not installed", "pip install -r requirements-umap.txt, or use the PCA map"
            )
        import umap

        neighbours = min(UMAP_NEIGHBOURS, len(matrix) - 1)
        mapper = umap.UMAP(n_components=2, n_neighbors=neighbours, metric="cosine", random_state=seed, n_jobs=1)
        with _ONE_UMAP:
            points = mapper.fit_transform(matrix)
        return EmbeddingMap(np.asarray(points, np.float32), "umap", None, None, None)
    raise InputError(f"unknown map {method!r}", f"use {' or '.join(METHODS)}")
