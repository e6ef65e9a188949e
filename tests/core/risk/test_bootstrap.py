import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from core.errors import InputError
from core.risk import bootstrap
from core.risk.bootstrap import (
    Resamples,
    Summary,
    bootstrap_values,
    group_summary,
    holm,
    macro_summary,
    paired_difference,
    summarise,
)


def cohort(n=90, patients=30, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, n), np.round(rng.random(n), 1), rng.integers(0, patients, n) * 7 + 3


def test_every_replicate_equals_brute_force_on_the_same_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "_BLOCK", 1000)  # several blocks
    target, score, subject = cohort()
    resamples = Resamples(subject, replicates=60, seed=3)
    fast = bootstrap_values(target, score, resamples)
    subjects = np.unique(subject)
    for r, counts in enumerate(resamples.counts):
        assert counts.sum() == len(subjects)
        rows = np.concatenate(
            [np.tile(np.flatnonzero(subject == s), c) for s, c in zip(subjects, counts) if c]
        )  # the patient's rows, once for each draw
        assert fast["auroc"][r] == pytest.approx(roc_auc_score(target[rows], score[rows]), abs=1e-9)
        assert fast["auprc"][r] == pytest.approx(average_precision_score(target[rows], score[rows]), abs=1e-9)
        assert fast["brier"][r] == pytest.approx(brier_score_loss(target[rows], score[rows]), abs=1e-9)


def test_the_same_seed_draws_the_same_patients():
    _, _, subject = cohort()
    assert (Resamples(subject, 10, 1).counts == Resamples(subject, 10, 1).counts).all()
    assert (Resamples(subject, 10, 1).counts != Resamples(subject, 10, 2).counts).any()


def test_bootstrap_std_of_a_mean_is_the_closed_form():
    rng = np.random.default_rng(0)
    n = 400
    probability, target = rng.random(n), np.zeros(n)
    values = bootstrap_values(target, probability, Resamples(np.arange(n), 4000, 0), ["brier"])["brier"]
    assert values.std() == pytest.approx((probability**2).std() / np.sqrt(n), rel=0.05)


def test_patients_not_rows_are_resampled():
    target, score, _ = cohort(n=100)
    one_patient = np.zeros(100)
    values = bootstrap_values(target, score, Resamples(one_patient, 20, 0))["auroc"]
    assert np.ptp(values) == 0


def test_replicates_with_one_class_are_counted_not_hidden():
    target = np.r_[1, np.zeros(19)].astype(int)
    values = bootstrap_values(target, np.linspace(0, 1, 20), Resamples(np.arange(20), 200, 0))
    summary = summarise(0.5, values["auroc"])
    assert 40 < summary.undefined < 110  # (19/20)^20 = 36 % of the draws miss the only positive
    assert np.isfinite([summary.lower, summary.upper]).all()
    assert np.isnan(summarise(0.5, np.full(3, np.nan)).lower)


def test_summary_is_numpys():
    values = np.random.default_rng(0).random(1000)
    summary = summarise(0.4, values)
    assert (summary.lower, summary.upper) == tuple(np.percentile(values, [2.5, 97.5]))
    assert (summary.mean, summary.std) == (values.mean(), values.std())


def test_paired_difference_of_a_model_with_itself_is_nothing():
    target, score, subject = cohort()
    a = bootstrap_values(target, score, Resamples(subject, 200, 0))["auroc"]
    same = paired_difference(0.5, 0.5, a, a)
    assert (same.difference, same.lower, same.upper, same.p_value) == (0, 0, 0, 1)
    assert same.undefined == 0
    better = paired_difference(0.7, 0.5, a + 0.2, a)
    assert better.p_value == pytest.approx(2 / 201) and better.lower == pytest.approx(0.2)


def test_a_paired_difference_is_counting():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0.02, 0.03, 300), rng.normal(0, 0.03, 300)
    found, delta = paired_difference(0.72, 0.7, a, b), sorted(x - y for x, y in zip(a, b))
    assert found.lower == pytest.approx(np.quantile(delta, 0.025)) and found.upper == pytest.approx(
        np.quantile(delta, 0.975)
    )
    worse, better = sum(d <= 0 for d in delta), sum(d >= 0 for d in delta)
    assert found.p_value == pytest.approx(2 * (min(worse, better) + 1) / 301) and 0 < found.p_value < 1
    assert found.difference == pytest.approx(0.02) and paired_difference(0, 0, b, a).p_value == found.p_value


def test_replicates_in_which_a_model_is_not_defined_are_counted():
    a = np.array([0.6, np.nan, 0.7, 0.8])
    some = paired_difference(0.7, 0.5, a, np.array([0.5, 0.5, np.nan, 0.5]))
    assert some.undefined == 2 and some.upper == pytest.approx(np.percentile([0.1, 0.3], 97.5))
    none = paired_difference(0.7, 0.5, a * np.nan, a)
    assert none.undefined == 4 and np.isnan(none.p_value) and none.difference == pytest.approx(0.2)


def test_holm_equals_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = holm([0.2, np.nan, 0.01])
    assert np.isnan(adjusted[1]) and adjusted[[0, 2]] == pytest.approx([0.2, 0.02])


def test_group_and_macro_follow_the_papers_rule():
    a, b = Summary(0.8, 0.79, 0.03, 0, 1), Summary(0.6, 0.61, 0.04, 0, 1)
    group = group_summary([a, b])
    assert group.value == pytest.approx(0.7) and group.std == pytest.approx(0.025)
    macro = macro_summary({"x": a, "y": b})
    assert macro.std == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 2))
    assert (macro.lower, macro.upper) == pytest.approx((0.7 - 1.96 * macro.std, 0.7 + 1.96 * macro.std))
    assert (group.mean, group.lower, group.upper) == pytest.approx((0.7, 0.7 - 1.96 * 0.025, 0.7 + 1.96 * 0.025))
    assert macro_summary([a, b]) == macro


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(InputError, match="differ in number"):
        bootstrap_values(np.zeros(3), np.zeros(4), Resamples(np.arange(3), 5))
    with pytest.raises(InputError, match="no rows"):
        Resamples(np.zeros(0))
