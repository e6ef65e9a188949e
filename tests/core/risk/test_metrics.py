import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from core.risk import metrics


@st.composite
def scored(draw):
    n = draw(st.integers(2, 60))
    target = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    score = np.array(
        draw(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.500001, 0.9, 1.0]), min_size=n, max_size=n))
    )
    weight = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), dtype=float)
    return target, score, weight


@settings(max_examples=200, deadline=None)
@given(scored())
def test_metrics_equal_scikit_learn_ties_and_weights_included(data):
    target, score, weight = data
    if 0 < target.sum() < len(target):
        assert abs(metrics.auroc(target, score) - roc_auc_score(target, score)) < 1e-12
        assert abs(metrics.auprc(target, score) - average_precision_score(target, score)) < 1e-12
        assert abs(metrics.brier(target, score) - brier_score_loss(target, score)) < 1e-12
    if 0 < weight @ target < weight.sum():
        assert abs(metrics.auroc(target, score, weight) - roc_auc_score(target, score, sample_weight=weight)) < 1e-12
        assert (
            abs(metrics.auprc(target, score, weight) - average_precision_score(target, score, sample_weight=weight))
            < 1e-12
        )


def test_auroc_equals_its_closed_form_for_normals():
    n = 2000
    grid = np.linspace(0.0005, 0.9995, n)
    from scipy.stats import norm

    score = np.concatenate([norm.ppf(grid), norm.ppf(grid) + 1.2])
    target = np.repeat([0, 1], n)
    assert metrics.auroc(target, score) == pytest.approx(norm.cdf(1.2 / np.sqrt(2)), abs=1e-3)


@pytest.mark.parametrize("target", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_gives_nan_not_an_error(target):
    target, score = np.array(target), np.linspace(0, 1, len(target))
    assert np.isnan(metrics.auroc(target, score))
    if not target.any():
        assert np.isnan(metrics.auprc(target, score))
    assert np.isnan(metrics.calibration_in_the_large(target, score)) or len(target) == 0


def simulated(n=4000, slope=1.0, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(-1, 1.2, n)
    return (rng.random(n) < 1 / (1 + np.exp(-x))).astype(int), 1 / (1 + np.exp(-((x - shift) / slope)))


def test_calibration_slope_and_intercept_equal_an_unpenalised_logistic_regression():
    target, probability = simulated(slope=0.5, shift=0.3)
    peer = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(metrics.log_odds(probability)[:, None], target)
    slope, intercept = metrics.calibration_slope_intercept(target, probability)
    assert slope == pytest.approx(peer.coef_[0, 0], abs=1e-5)
    assert intercept == pytest.approx(peer.intercept_[0], abs=1e-5)
    assert slope == pytest.approx(0.5, abs=0.06)  # overconfident by a factor of two


def test_calibration_in_the_large_makes_the_mean_right():
    target, probability = simulated(shift=0.7)
    shift = metrics.calibration_in_the_large(target, probability)
    moved = 1 / (1 + np.exp(-(metrics.log_odds(probability) + shift)))
    assert moved.mean() == pytest.approx(target.mean(), abs=1e-9)


def test_separated_classes_have_no_calibration_slope():
    slope, _ = metrics.calibration_slope_intercept(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert np.isnan(slope)


def test_ece_equals_the_naive_loop():
    target, probability = simulated(n=500, shift=0.5)
    naive = 0.0
    for b in range(10):
        rows = (probability >= b / 10) & ((probability < (b + 1) / 10) | (b == 9))
        if rows.any():
            naive += rows.mean() * abs(probability[rows].mean() - target[rows].mean())
    assert metrics.ece(target, probability) == pytest.approx(naive, abs=1e-12)


def test_ici_is_small_when_calibrated_and_large_when_not():
    assert metrics.ici(*simulated()) < 0.02
    target, _ = simulated()
    assert metrics.ici(target, np.full(len(target), 0.9)) == pytest.approx(abs(0.9 - target.mean()), abs=1e-9)


def test_local_linear_equals_a_weighted_least_squares_fit():
    rng = np.random.default_rng(1)
    x, y = rng.random(80), rng.random(80)
    at = np.array([0.2, 0.5, 0.9])
    got = metrics.local_linear(x, y, at, span=0.5)
    for centre, value in zip(at, got):
        distance = np.abs(x - centre)
        width = np.sort(distance)[39]
        w = np.sqrt(np.clip(1 - (distance / (width * (1 + 1e-9))) ** 3, 0, None) ** 3)
        beta = np.linalg.lstsq(np.column_stack([np.ones(80), x - centre]) * w[:, None], y * w, rcond=None)[0]
        assert value == pytest.approx(np.clip(beta[0], 0, 1), abs=1e-9)


def test_local_linear_where_most_rows_tie_is_their_mean_and_goes_on():
    rng = np.random.default_rng(2)
    x, y = np.r_[np.full(60, 0.2), np.linspace(0.5, 0.9, 40)], rng.random(100)
    got = metrics.local_linear(x, y, np.array([0.2, 0.7, 0.2]), span=0.5)
    assert got[0] == got[2] == pytest.approx(y[:60].mean())
    assert got[1] == metrics.local_linear(x, y, np.array([0.7]), span=0.5)[0] and got[1] != got[0]


def test_wilson_interval_closed_values():
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)
    low, high = metrics.wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4901625, abs=1e-6), pytest.approx(0.9433178, abs=1e-6))
    assert metrics.wilson_interval(0, 20)[0] == 0


def test_net_benefit_equals_counting():
    target, probability = simulated(n=300)
    thresholds = np.array([0.05, 0.2, 0.5, 0.8])
    for t, value in zip(thresholds, metrics.net_benefit(target, probability, thresholds)):
        alarm = probability >= t
        naive = (alarm & (target == 1)).mean() - (alarm & (target == 0)).mean() * t / (1 - t)
        assert value == pytest.approx(naive, abs=1e-12)


def test_reliability_curve_covers_every_row_once():
    target, probability = simulated(n=1003)
    curve = metrics.reliability_curve(target, probability, np.arange(1003))
    assert sum(bin.n for bin in curve) == 1003
    assert sum(bin.n * bin.observed for bin in curve) == pytest.approx(target.sum())
    assert all(bin.lower <= bin.observed <= bin.upper for bin in curve)


def clustered(rng, patients, rows, spread=1.0):
    """Rows of patients who differ in their risk: outcome, probability, patient."""
    patient = np.repeat(np.arange(patients), rng.geometric(1 / rows, patients))
    own = rng.normal(0, spread, patients)[patient]
    x = rng.normal(size=len(patient)) + 0.7 * own
    target = (rng.random(len(patient)) < 1 / (1 + np.exp(2 - 0.8 * x - own))).astype(int)
    return target, 1 / (1 + np.exp(2 - 1.2 * x)), patient


def test_an_interval_of_one_row_a_patient_is_wilsons():
    rng = np.random.default_rng(0)
    for n, share in ((7, 0.5), (50, 0.1), (400, 0.97), (30, 0.0), (30, 1.0)):
        hit = (rng.random(n) < share).astype(int)
        assert metrics.cluster_interval(hit, rng.permutation(n) * 10) == metrics.wilson_interval(hit.sum(), n)
    assert metrics.cluster_interval(np.zeros(0), np.zeros(0)) == (0.0, 1.0)


def test_rows_that_repeat_a_patient_weigh_as_one():
    hit = np.r_[np.ones(30), np.zeros(70)]
    few = metrics.effective_rows(np.repeat(hit, 20), np.repeat(np.arange(100), 20))
    assert 90 < few <= 100  # 2,000 rows say what 100 do, less the quantile of t for 100 patients
    same = np.ones(60)
    assert metrics.effective_rows(same, np.zeros(60)) == 1.0  # 60 rows of one patient
    assert metrics.effective_rows(same, np.repeat(np.arange(20), 3)) == pytest.approx(20)


def test_the_design_effect_is_the_ratio_estimators():
    target, _, patient = clustered(np.random.default_rng(3), 80, 6)
    share, n = target.mean(), len(target)
    by_patient = [target[patient == one] for one in np.unique(patient)]
    residual = np.array([(rows - share).sum() for rows in by_patient])
    variance = len(residual) / (len(residual) - 1) * (residual**2).sum() / n**2
    few = (student.ppf(0.975, n - 1) / student.ppf(0.975, len(residual) - 1)) ** 2
    expected = share * (1 - share) / (n - 1) * n / variance * few
    assert metrics.effective_rows(target, patient) == pytest.approx(expected)


@pytest.mark.parametrize("patients,rows", [(60, 10), (400, 20)])
def test_intervals_cover_as_they_say_where_patients_have_many_rows(patients, rows):
    rng, at, replicates = np.random.default_rng(7), 0.3, 300
    target, probability, _ = clustered(rng, 60_000, rows)
    ppv = target[probability >= at].mean()
    inside = plain = 0
    for _ in range(replicates):
        target, probability, patient = clustered(rng, patients, rows)
        alert = probability >= at
        low, high = metrics.cluster_interval(target[alert], patient[alert])
        inside += low <= ppv <= high
        low, high = metrics.wilson_interval(target[alert].sum(), alert.sum())
        plain += low <= ppv <= high
    assert inside / replicates > 0.92  # 95 % less 2.4 standard errors
    assert plain / replicates < 0.88  # rows taken for patients


def test_reliability_bins_widen_where_patients_repeat():
    target, probability = simulated(n=400)
    rows = np.repeat(np.arange(400), 5)
    once = metrics.reliability_curve(target, probability, np.arange(400))
    often = metrics.reliability_curve(target[rows], probability[rows], rows)
    for one, five in zip(once, often, strict=True):
        assert five.n == 5 * one.n and five.observed == pytest.approx(one.observed)
        assert five.upper - five.lower >= one.upper - one.lower - 1e-9
