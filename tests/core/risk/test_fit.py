import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import MaxAbsScaler

from core.errors import InputError
from core.risk.fit import fit_head, fit_logistic, max_abs_scale
from core.risk.logistic import PAPER_GRID


def split(n=400, d=20, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * n, d)).astype(np.float32)
    y = (rng.random(2 * n) < 1 / (1 + np.exp(-(x[:, 0] - 0.7 * x[:, 1] - 1)))).astype(int)
    return x[:n], y[:n], x[n:], y[n:]


def test_the_head_is_the_papers_pipeline():
    x, y, v, w = split()
    fitted = fit_logistic(x, y, v, w)
    scaler = MaxAbsScaler().fit(x.astype(float))
    aurocs = []
    for c in PAPER_GRID:
        peer = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(scaler.transform(x.astype(float)), y)
        aurocs.append(roc_auc_score(w, peer.decision_function(scaler.transform(v.astype(float)))))
    assert np.abs(fitted.validation_auroc - aurocs).max() < 2e-4
    assert fitted.c == PAPER_GRID[int(np.argmax(fitted.validation_auroc))]
    assert (fitted.scale == scaler.scale_).all()


def test_paper_exact_refits_with_scikit_learns_default_iterations():
    x, y, v, w = split()
    fitted = fit_logistic(x, y, v, w, paper_exact=True)
    peer = LogisticRegression(C=fitted.c).fit(MaxAbsScaler().fit_transform(x.astype(float)), y)
    assert np.abs(fitted.coef - peer.coef_[0]).max() < 1e-12


def test_a_constant_column_does_not_divide_by_zero():
    assert (max_abs_scale(np.array([[0.0, -2.0], [0.0, 1.0]])) == [1.0, 2.0]).all()


def test_validation_rows_do_not_reach_the_coefficients():
    x, y, v, w = split()
    one = fit_logistic(x, y, v, w, grid=[1.0])
    other = fit_logistic(x, y, v[::2] * 3, w[::2], grid=[1.0])
    assert (one.coef == other.coef).all()


def test_fit_head_is_deterministic_and_calibrated():
    x, y, v, w = split()
    (a, calibrator), (b, _) = fit_head(x, y, v, w), fit_head(x, y, v, w)
    assert (a.coef == b.coef).all()
    assert calibrator(a.raw(v)).mean() == pytest.approx(w.mean(), abs=0.02)


@pytest.mark.parametrize("value,words", [(0, "no positives"), (1, "no negatives")])
def test_one_class_is_named(value, words):
    x, y, v, w = split()
    with pytest.raises(InputError, match=f"validation split has {words}"):
        fit_logistic(x, y, v, np.full_like(w, value))
    with pytest.raises(InputError, match=f"train split has {words}"):
        fit_logistic(x, np.full_like(y, value), v, w)


def test_other_dimensions_and_nan_are_refused():
    x, y, v, w = split()
    with pytest.raises(InputError, match="20 features and validation 19"):
        fit_logistic(x, y, v[:, :19], w)
    x = x.copy()
    x[0, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        fit_logistic(x, y, v, w)
