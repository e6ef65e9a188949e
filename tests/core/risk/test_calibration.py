import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from core.errors import InputError
from core.risk.calibration import fit_calibrator, fit_platt, prior_shift
from core.risk.metrics import calibration_slope_intercept


def scores(n=4000, a=0.4, b=-1.5, seed=0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(0, 3, n)
    return raw, (rng.random(n) < expit(a * raw + b)).astype(int)


def test_platt_finds_the_planted_sigmoid():
    a, b = fit_platt(*scores())
    assert a == pytest.approx(0.4, abs=0.04) and b == pytest.approx(-1.5, abs=0.12)


def test_platt_minimises_its_loss_on_smoothed_targets():
    raw, target = scores(300)
    a, b = fit_platt(raw, target)
    n_pos, n_neg = target.sum(), (1 - target).sum()
    smoothed = np.where(target == 1, (n_pos + 1) / (n_pos + 2), 1 / (n_neg + 2))
    residual = expit(a * raw + b) - smoothed
    assert abs(residual.sum()) < 1e-5 and abs(residual @ raw) < 1e-4


def test_separated_classes_stay_finite_and_a_wrong_way_score_becomes_the_prevalence():
    raw = np.r_[np.full(20, -4.0), np.full(20, 4.0)]
    target = np.r_[np.zeros(20), np.ones(20)]
    a, _ = fit_platt(raw, target)
    assert 0 < a < 10
    a, b = fit_platt(-raw, target)
    assert a == 0 and expit(b) == pytest.approx(0.5)
    rare = np.r_[np.full(10, -1.0), np.full(30, 1.0)]
    a, b = fit_platt(rare, np.r_[np.ones(10), np.zeros(30)])
    assert a == 0 and expit(b) == pytest.approx(11 / 42)  # Laplace's rule of succession


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibrated_probabilities_are_monotone_and_calibrated_on_fresh_data(method):
    calibrator = fit_calibrator(*scores(), method=method, n_bootstrap=20)
    raw, target = scores(8000, seed=7)
    probability = calibrator(raw)
    assert (np.diff(calibrator.value) >= -1e-12).all()
    assert probability.mean() == pytest.approx(target.mean(), abs=0.02)
    slope, _ = calibration_slope_intercept(target, np.clip(probability, 0.002, 0.998))
    assert 0.85 < slope < 1.15


def test_size_decides_between_platt_and_isotonic():
    assert fit_calibrator(*scores(300), n_bootstrap=2).method == "platt"
    assert fit_calibrator(*scores(4000), n_bootstrap=2).method == "isotonic"


def test_isotonic_equals_scikit_learn_at_its_knots():
    raw, target = scores(2000)
    calibrator = fit_calibrator(raw, target, method="isotonic", n_bootstrap=1)
    peer = IsotonicRegression(out_of_bounds="clip").fit(raw, target)
    floor = 1 / 2002
    assert np.abs(calibrator.value - np.clip(peer.predict(calibrator.knots), floor, 1 - floor)).max() < 1e-12


def test_the_interval_covers_the_truth_about_as_often_as_it_says_and_shrinks_with_data():
    covered, widths = 0, []
    for seed in range(40):
        calibrator = fit_calibrator(*scores(400, seed=seed), method="platt", n_bootstrap=100, seed=seed)
        low, high = calibrator.interval(1.0)
        assert low <= calibrator(1.0) <= high
        covered += low <= expit(0.4 * 1.0 - 1.5) <= high
        widths.append(high - low)
    assert covered >= 33
    low, high = fit_calibrator(*scores(6000), method="platt", n_bootstrap=100).interval(1.0)
    assert high - low < 0.5 * np.mean(widths)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_interval_is_the_percentiles_of_refits_on_the_rows_of_drawn_patients(method):
    raw, target = scores(180)
    subject = np.arange(180) // 3 * 7
    calibrator = fit_calibrator(raw, target, subject, method, n_bootstrap=25, seed=5)
    rng, patients, refits = np.random.default_rng(5), np.unique(subject), []
    for _ in range(25):
        rows = np.concatenate([np.flatnonzero(subject == patient) for patient in patients[rng.integers(0, 60, 60)]])
        if method == "platt":
            a, b = fit_platt(raw[rows], target[rows])  # a patient drawn twice is there twice
            refits.append(expit(a * calibrator.knots + b))
        else:
            peer = IsotonicRegression(out_of_bounds="clip").fit(raw[rows], target[rows]).predict(calibrator.knots)
            refits.append(np.clip(peer, 1 / (len(rows) + 2), 1 - 1 / (len(rows) + 2)))
    lower, upper = np.quantile(refits, [0.025, 0.975], axis=0)
    assert calibrator.lower == pytest.approx(np.minimum(lower, calibrator.value), abs=1e-6)
    assert calibrator.upper == pytest.approx(np.maximum(upper, calibrator.value), abs=1e-6)
    assert calibrator.knots[0] < raw.min() and calibrator.knots[-1] > raw.max()


def test_prior_shift_closed_form_keeps_ranks_and_reaches_the_target_prevalence():
    p = np.array([0.1, 0.5, 0.9])
    moved = prior_shift(p, 0.5, 0.1)
    odds = p / (1 - p) * (0.1 / 0.9)
    assert moved == pytest.approx(odds / (1 + odds), abs=1e-12)
    assert prior_shift(prior_shift(p, 0.5, 0.1), 0.1, 0.5) == pytest.approx(p, abs=1e-12)
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(0, 1, 18000), rng.normal(2, 1, 2000)]  # true posterior at 0.5: expit(2 x - 2)
    assert prior_shift(expit(2 * x - 2), 0.5, 0.1).mean() == pytest.approx(0.1, abs=0.005)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="one class"):
        fit_calibrator(np.arange(4.0), np.zeros(4))
    with pytest.raises(InputError, match="finite"):
        fit_calibrator(np.array([0, np.nan]), np.array([0, 1]))
    with pytest.raises(InputError, match="between 0 and 1"):
        prior_shift(np.array([0.5]), 0.5, 0.0)
