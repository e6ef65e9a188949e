import lightgbm as lgb
import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from core.errors import InputError
from core.risk.baselines import GRID, N_TREES, distinct_points, fit_boosted


def split(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.poisson(1.0, (2 * n, 6)).astype(float)
    y = (rng.random(2 * n) < np.where((x[:, 0] > 1) ^ (x[:, 1] > 1), 0.8, 0.1)).astype(int)
    return x[:n], y[:n], x[n:], y[n:]


def test_the_best_of_the_grid_equals_lightgbms_own_fit():
    x, y, v, w = split()
    grid = {"max_depth": (3, -1), "learning_rate": (0.1,), "num_leaves": (10,)}
    best = fit_boosted(x, y, v, w, grid)
    scores = []
    for depth in (3, -1):
        peer = lgb.LGBMClassifier(
            max_depth=depth, learning_rate=0.1, num_leaves=10, min_child_samples=1, verbosity=-1, n_jobs=1
        ).fit(x, y)
        scores.append(roc_auc_score(w, peer.predict_proba(v)[:, 1]))
    assert best.validation_auroc == pytest.approx(max(scores), abs=1e-9)
    assert best.validation_auroc > 0.75  # an exclusive-or, which a linear head cannot learn


def test_sparse_and_dense_agree_and_fits_repeat():
    x, y, v, w = split()
    grid = {"max_depth": (3,), "learning_rate": (0.1,), "num_leaves": (10,)}
    dense = fit_boosted(x, y, v, w, grid).probability(v)
    assert (dense == fit_boosted(x, y, v, w, grid).probability(v)).all()
    matrix = fit_boosted(sparse.csr_matrix(x), y, sparse.csr_matrix(v), w, grid).probability(sparse.csr_matrix(v))
    assert np.abs(dense - matrix).max() < 1e-12


def test_the_grid_is_the_papers():
    assert {key: set(value) for key, value in GRID.items()} == {
        "max_depth": {3, 6, -1},
        "learning_rate": {0.02, 0.1, 0.5},
        "num_leaves": {10, 25, 100},
    }


@pytest.mark.parametrize("n,points", [(8, 9), (16, 15), (120, 21)])
def test_points_left_out_of_the_grid_grow_the_same_trees(n, points):
    x, y, v, w = split(n)
    y[:2] = (0, 1)
    kept = distinct_points(GRID, n)
    assert len(kept) == points
    fixed = {"objective": "binary", "min_data_in_leaf": 1, "feature_pre_filter": False, "num_threads": 1, "seed": 0}
    fixed |= {"deterministic": True, "force_row_wise": True, "verbosity": -1}
    best, scores = None, set()
    for depth in GRID["max_depth"]:
        for rate in GRID["learning_rate"]:
            for leaves in GRID["num_leaves"]:
                params = {"max_depth": depth, "learning_rate": rate, "num_leaves": leaves}
                data = lgb.Dataset(x, y, params=fixed)
                probability = lgb.train({**fixed, **params}, data, num_boost_round=N_TREES).predict(v)
                score = roc_auc_score(w, probability)
                scores.add(score)
                if best is None or score > best[0]:
                    best = (score, params, probability)
    ours = fit_boosted(x, y, v, w)
    assert ours.params == best[1] and (ours.probability(v) == best[2]).all()
    assert len(scores) > 1 or n == 8  # the points that are left do differ


def test_one_class_is_named():
    x, y, v, w = split()
    with pytest.raises(InputError, match="no positives"):
        fit_boosted(x, y * 0, v, w)
