"""L2 logistic regression over a whole grid of C, exact and fast.

The objective is scikit-learn's: ``0.5 |w|^2 + C sum_i log(1 + exp(-y_i (x_i w + b)))``, intercept not penalised.
Instead of one cold L-BFGS run a value of C, the path goes from strong to weak regularisation and each solution
starts the next one (Friedman et al. 2010). Where the smaller side of the data is at most :data:`NEWTON_SIZE`, each
point is solved by damped Newton steps with conjugate gradients, preconditioned by a factorised Hessian that is
renewed only when it no longer helps; otherwise by L-BFGS. With fewer rows than columns the data are first rotated
into their own row space, in which every penalised solution lies (Hastie & Tibshirani 2004).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit

PAPER_GRID: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e2, 1e3, 1e4, 1e5, 1e6)
"""The paper's grid of C. It has no 10."""
NEWTON_SIZE = 1200
"""Largest number of coefficients for which Hessians are factorised."""


def fit_path(
    matrix: Any, target: np.ndarray, grid: Sequence[float] = PAPER_GRID, tol: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """Solve the logistic regression for each C of the grid.

    Args:
        matrix: float64 ``(n, d)``, already scaled, or a scipy sparse matrix.
        target: 0/1 ``(n,)`` with both classes.
        grid: values of C, any order.
        tol: bound on the largest gradient component of the mean loss (scikit-learn's ``tol`` is the same
            quantity, 1e-4 in the paper).

    Returns:
        Coefficients ``(len(grid), d)`` and intercepts ``(len(grid),)`` in the order of the grid.
    """
    sparse = hasattr(matrix, "tocsr")
    x = matrix.tocsr().astype(np.float64) if sparse else np.ascontiguousarray(matrix, dtype=np.float64)
    n, d = x.shape
    y = np.asarray(target, dtype=np.float64)
    rotation = None
    if not sparse and n < d:
        _, _, rotation = np.linalg.svd(x, full_matrices=False)
        x = np.ascontiguousarray(x @ rotation.T)
    order = np.argsort(grid)
    coefs, intercepts = np.zeros((len(grid), d)), np.zeros(len(grid))
    solution = np.zeros(x.shape[1] + 1)
    mean = float(np.clip(y.mean(), 1e-12, 1 - 1e-12))
    solution[-1] = np.log(mean / (1 - mean))
    solver = _NewtonSolver(x, y) if not sparse and x.shape[1] <= NEWTON_SIZE else _LbfgsSolver(x, y)
    for i in order:
        solution = solver.solve(solution, float(grid[i]), tol)
        coefs[i] = solution[:-1] if rotation is None else solution[:-1] @ rotation
        intercepts[i] = solution[-1]
    return coefs, intercepts


class _LbfgsSolver:
    """Warm-started L-BFGS for data too wide for Hessians, or sparse."""

    def __init__(self, x: Any, y: np.ndarray):
        self.x, self.y, self.n = x, y, x.shape[0]

    def solve(self, start: np.ndarray, c: float, tol: float) -> np.ndarray:
        ridge = 1 / (c * self.n)

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            w = theta[:-1]
            margin = self.x @ w + theta[-1]
            residual = (expit(margin) - self.y) / self.n
            value = float(np.logaddexp(0, margin).mean() - self.y @ margin / self.n + 0.5 * ridge * w @ w)
            return value, np.append(self.x.T @ residual + ridge * w, residual.sum())

        options = {"maxiter": 1000, "gtol": max(tol, 1e-5), "ftol": 64 * np.finfo(float).eps, "maxls": 50}
        return minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x


class _NewtonSolver:
    """Newton steps by preconditioned conjugate gradients; the state is the last factorised Hessian."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        self.x = np.column_stack([x, np.ones(len(x))])
        self.y, self.n = y, len(x)
        self.factor: tuple | None = None

    def solve(self, start: np.ndarray, c: float, tol: float) -> np.ndarray:
        penalty = np.full(len(start), 1 / (c * self.n))
        penalty[-1] = 0
        theta = start.copy()
        margin = self.x @ theta
        value = self._loss(margin, theta, penalty)
        self.factor = None  # another C, another Hessian
        for _ in range(100):
            p = expit(margin)
            gradient = self.x.T @ ((p - self.y) / self.n) + penalty * theta
            if np.abs(gradient).max() <= tol:
                break
            weight = p * (1 - p) / self.n
            step, slope = self._direction(gradient, weight, penalty, tol)
            along, size = self.x @ step, 1.0
            while True:
                new_theta, new_margin = theta - size * step, margin - size * along
                new_value = self._loss(new_margin, new_theta, penalty)
                if new_value <= value - 1e-4 * size * slope or size < 1e-10:
                    break
                size /= 2
            if size < 1e-10:
                break  # no descent left in floating point
            theta, margin, value = new_theta, new_margin, new_value
        return theta

    def _loss(self, margin: np.ndarray, theta: np.ndarray, penalty: np.ndarray) -> float:
        return float(np.logaddexp(0, margin).mean() - self.y @ margin / self.n + 0.5 * (penalty * theta) @ theta)

    def _factorise(self, weight: np.ndarray, penalty: np.ndarray) -> None:
        hessian = (self.x * weight[:, None]).T @ self.x
        hessian[np.diag_indices_from(hessian)] += penalty + 1e-14
        self.factor = cho_factor(hessian, overwrite_a=True, check_finite=False)

    def _direction(
        self, gradient: np.ndarray, weight: np.ndarray, penalty: np.ndarray, tol: float
    ) -> tuple[np.ndarray, float]:
        """Solve ``H step = gradient``; returns the step and ``gradient . step``."""
        if self.factor is None:
            self._factorise(weight, penalty)
            step = cho_solve(self.factor, gradient, check_finite=False)
            return step, float(gradient @ step)
        step, residual = np.zeros_like(gradient), gradient.copy()
        z = cho_solve(self.factor, residual, check_finite=False)
        direction, rz = z.copy(), residual @ z
        target = max(0.1 * tol, 0.05 * float(np.abs(gradient).max()))
        for _ in range(8):
            product = self.x.T @ (weight * (self.x @ direction)) + penalty * direction
            alpha = rz / (direction @ product)
            step += alpha * direction
            residual -= alpha * product
            if np.abs(residual).max() <= target:
                break
            z = cho_solve(self.factor, residual, check_finite=False)
            rz, previous = residual @ z, rz
            direction = z + rz / previous * direction
        else:
            self._factorise(weight, penalty)
            step = cho_solve(self.factor, gradient, check_finite=False)
        return step, float(gradient @ step)
