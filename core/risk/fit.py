"""Fit one head as the paper does: scale and fit on train, choose C by validation AUROC, calibrate on validation.

Hegselmann et al. 2025, `7_eval.py`: MaxAbsScaler, L2 logistic regression, C from a grid by the AUROC of the
validation split, the final model fitted on train only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from core.errors import InputError
from core.risk.calibration import Calibrator, fit_calibrator
from core.risk.logistic import PAPER_GRID, fit_path
from core.risk.metrics import auroc


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted logistic head before calibration.

    Attributes:
        scale: float64 ``(d,)`` of MaxAbsScaler.
        coef: float64 ``(d,)`` on scaled features.
        intercept: float.
        c: the chosen C.
        validation_auroc: float64 ``(len(grid),)``, one a value of the grid.
    """

    scale: np.ndarray
    coef: np.ndarray
    intercept: float
    c: float
    validation_auroc: np.ndarray

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        """Raw log-odds ``(n,)`` of unscaled features ``(n, d)`` (dense or sparse)."""
        return np.asarray(matrix @ (self.coef / self.scale)).ravel() + self.intercept


def max_abs_scale(matrix: Any) -> np.ndarray:
    """MaxAbsScaler's scale: the largest absolute value of each column, 1 where that is 0."""
    if hasattr(matrix, "tocsr"):
        scale = np.asarray(abs(matrix).max(axis=0).todense(), dtype=np.float64).ravel()
    else:
        matrix = np.asarray(matrix)
        scale = np.maximum(matrix.max(axis=0), -matrix.min(axis=0)).astype(np.float64)
    scale[scale < 10 * np.finfo(np.float64).eps] = 1.0
    return scale


def check_target(target: np.ndarray, what: str) -> None:
    """Raise :class:`InputError` unless both classes occur."""
    n_pos = int(np.sum(target))
    if not len(target) or n_pos in (0, len(target)):
        kind = "no labels" if not len(target) else "no positives" if n_pos == 0 else "no negatives"
        raise InputError(f"{what} has {kind}", "add labels of both classes, or leave this task out")


def fit_logistic(
    train: Any,
    train_target: np.ndarray,
    validation: Any,
    validation_target: np.ndarray,
    grid: Sequence[float] = PAPER_GRID,
    paper_exact: bool = False,
) -> Fitted:
    """Fit MaxAbsScaler + L2 logistic regression with C by validation AUROC (ties: the smaller C, as in a grid search).

    Args:
        train: ``(n, d)`` features, dense or scipy sparse.
        train_target: 0/1 ``(n,)``.
        validation: ``(m, d)`` features.
        validation_target: 0/1 ``(m,)``.
        grid: values of C.
        paper_exact: refit the chosen C as the paper's code does, with scikit-learn's own L-BFGS and its default
            ``max_iter`` of 100 (the authors' refit loses the 1,000 of the search), converged or not.

    Raises:
        InputError: one class in either split, different dimensions, or features that are not finite.
    """
    check_target(train_target, "the train split")
    check_target(validation_target, "the validation split")
    if train.shape[1] != validation.shape[1]:
        raise InputError(
            f"train has {train.shape[1]} features and validation {validation.shape[1]}", "use features of one encoder"
        )
    for matrix in (train, validation):
        if not np.isfinite(matrix.data if hasattr(matrix, "tocsr") else matrix).all():
            raise InputError("the features hold values that are not finite", "embed these rows again")
    scale = max_abs_scale(train)
    scaled = scale_columns(train, scale)
    coefs, intercepts = fit_path(scaled, train_target, grid)
    scores = validation @ (coefs / scale).T + intercepts
    aurocs = np.array([auroc(validation_target, scores[:, i]) for i in range(len(grid))])
    best = int(np.argmax(aurocs))
    coef, intercept = coefs[best], float(intercepts[best])
    if paper_exact:
        model = LogisticRegression(C=grid[best], tol=1e-4, solver="lbfgs", max_iter=100)
        model.fit(scaled, train_target)
        coef, intercept = model.coef_[0], float(model.intercept_[0])
    return Fitted(scale, coef, intercept, float(grid[best]), aurocs)


def scale_columns(matrix: Any, scale: np.ndarray) -> Any:
    """Divide each column by its scale; sparse stays sparse."""
    if hasattr(matrix, "tocsr"):
        return matrix.multiply(1 / scale[None, :]).tocsr()
    return np.asarray(matrix, dtype=np.float64) / scale


def fit_head(
    train: Any,
    train_target: np.ndarray,
    validation: Any,
    validation_target: np.ndarray,
    validation_subject: np.ndarray | None = None,
    grid: Sequence[float] = PAPER_GRID,
    paper_exact: bool = False,
    seed: int = 0,
) -> tuple[Fitted, Calibrator]:
    """Fit and calibrate one head; see :func:`fit_logistic` and :func:`core.risk.calibration.fit_calibrator`."""
    fitted = fit_logistic(train, train_target, validation, validation_target, grid, paper_exact)
    calibrator = fit_calibrator(fitted.raw(validation), validation_target, validation_subject, seed=seed)
    return fitted, calibrator
