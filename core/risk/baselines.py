"""Gradient boosting on count or dense features, with the paper's grid, chosen by validation AUROC.

Hegselmann et al. 2025: LightGBM ``max_depth {3, 6, -1}``, ``learning_rate {0.02, 0.1, 0.5}``, ``num_leaves {10, 25,
100}``, ``min_child_samples 1``, 100 trees. The data are binned once and shared by the fits, and points of the grid
that cannot differ are fitted once.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import lightgbm as lgb
import numpy as np
from scipy import sparse

from core.risk.fit import check_target
from core.risk.metrics import auroc

GRID: dict[str, tuple] = {"max_depth": (3, 6, -1), "learning_rate": (0.02, 0.1, 0.5), "num_leaves": (10, 25, 100)}
N_TREES = 100


@dataclass(frozen=True, eq=False)
class Boosted:
    """A fitted booster with the grid point chosen for it."""

    booster: lgb.Booster
    params: dict[str, Any]
    validation_auroc: float

    def probability(self, matrix: np.ndarray | sparse.csr_matrix) -> np.ndarray:
        """Uncalibrated probability, float64 ``(n,)``."""
        return np.asarray(self.booster.predict(_plain(matrix)), dtype=np.float64)


def distinct_points(grid: dict[str, tuple], n_rows: int) -> list[dict[str, Any]]:
    """Grid points that can grow different trees, the first of each kind.

    A tree has at most ``2 ** max_depth`` leaves and one a training row, so that ``num_leaves`` beyond that changes
    nothing: of the paper's 27 points at most 21 differ, and 15 with 16 rows.
    """
    points: dict[tuple, dict[str, Any]] = {}
    for values in product(*grid.values()):
        params = dict(zip(grid, values))
        depth, leaves = params.get("max_depth", -1), params.get("num_leaves")
        if leaves is not None:
            leaves = min(leaves, n_rows, 2**depth if depth > 0 else n_rows)
        others = tuple((name, value) for name, value in params.items() if name != "num_leaves")
        points.setdefault((leaves, *others), params)
    return list(points.values())


def _plain(matrix: np.ndarray | sparse.csr_matrix) -> np.ndarray | sparse.csr_matrix:
    return sparse.csr_matrix(matrix, dtype=np.float64) if sparse.issparse(matrix) else np.asarray(matrix, np.float64)


def fit_boosted(
    train: np.ndarray | sparse.csr_matrix,
    train_target: np.ndarray,
    validation: np.ndarray | sparse.csr_matrix,
    validation_target: np.ndarray,
    grid: dict[str, tuple] | None = None,
    threads: int = 1,
    seed: int = 0,
) -> Boosted:
    """Fit every grid point on train and keep the best by validation AUROC (ties: the first).

    Raises:
        InputError: one class in either split.
    """
    check_target(train_target, "the train split")
    check_target(validation_target, "the validation split")
    grid = grid or GRID
    fixed = {
        "objective": "binary",
        "min_data_in_leaf": 1,
        "feature_pre_filter": False,
        "num_threads": threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lgb.Dataset(_plain(train), np.asarray(train_target, np.float64), params=fixed, free_raw_data=False)
    validation = _plain(validation)
    best: Boosted | None = None
    for params in distinct_points(grid, len(np.asarray(train_target))):
        booster = lgb.train({**fixed, **params}, data, num_boost_round=N_TREES)
        score = auroc(validation_target, np.asarray(booster.predict(validation)))
        if best is None or score > best.validation_auroc:
            best = Boosted(booster, params, score)
    assert best is not None
    return best
