import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from core.risk import logistic
from core.risk.logistic import PAPER_GRID, fit_path


def data(n=300, d=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = (rng.random(n) < 1 / (1 + np.exp(-(x[:, 0] * 1.5 - 0.5)))).astype(int)
    return x / np.abs(x).max(0), y


def loss(x, y, w, b, c):
    margin = x @ w + b
    return 0.5 * w @ w + c * (np.logaddexp(0, margin).sum() - y @ margin)


def test_the_grid_is_the_papers_and_has_no_ten():
    assert len(PAPER_GRID) == 12 and 10 not in PAPER_GRID and min(PAPER_GRID) == 1e-6 and max(PAPER_GRID) == 1e6


@pytest.mark.parametrize("sparse", [False, True])
def test_every_c_equals_scikit_learn_at_tight_tolerance(sparse):
    x, y = data()
    coefs, intercepts = fit_path(csr_matrix(x) if sparse else x, y, tol=1e-8)
    for c, w, b in zip(PAPER_GRID, coefs, intercepts):
        peer = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(x, y)
        if sparse:
            assert loss(x, y, w, b, c) <= loss(x, y, peer.coef_[0], peer.intercept_[0], c) * (1 + 1e-5) + 1e-9
        else:
            assert np.abs(w - peer.coef_[0]).max() < 1e-4 * max(1, np.abs(peer.coef_).max())
            assert b == pytest.approx(peer.intercept_[0], abs=1e-3)


@pytest.mark.parametrize("n,d", [(40, 100), (8, 500), (250, 250)])
def test_more_columns_than_rows_reach_at_least_scikit_learns_loss(n, d):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)), rng.integers(0, 2, n)
    y[:2] = [0, 1]
    x = x / np.abs(x).max(0)
    coefs, intercepts = fit_path(x, y)
    for c, w, b in zip(PAPER_GRID, coefs, intercepts):
        peer = LogisticRegression(C=c, tol=1e-4, max_iter=1000).fit(x, y)
        assert loss(x, y, w, b, c) <= loss(x, y, peer.coef_[0], peer.intercept_[0], c) * (1 + 1e-4)


def test_wide_data_use_lbfgs_and_agree_with_newton(monkeypatch):
    x, y = data()
    newton = fit_path(x, y, grid=[0.01, 1.0], tol=1e-8)
    monkeypatch.setattr(logistic, "NEWTON_SIZE", 0)
    lbfgs = fit_path(x, y, grid=[0.01, 1.0], tol=1e-8)
    assert np.abs(newton[0] - lbfgs[0]).max() < 1e-2


def test_order_of_the_grid_does_not_matter():
    x, y = data()
    up, down = fit_path(x, y, grid=[0.01, 1.0, 100.0]), fit_path(x, y, grid=[100.0, 0.01, 1.0])
    assert np.abs(up[0] - down[0][[1, 2, 0]]).max() < 1e-9
