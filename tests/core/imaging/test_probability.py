"""Probabilities of logits against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, softmax
from scipy.stats import entropy as shannon

from core.imaging.probability import class_probability, entropy, mean_probability, rival_margin

logits = arrays(np.float64, st.tuples(st.integers(1, 4), st.just(3), st.just(5)), elements=st.floats(-30, 30))


def odds(values):
    """(classes, h, w); one channel is background and object."""
    return np.stack([expit(-values[0]), expit(values[0])]) if len(values) == 1 else softmax(values, axis=0)


@given(logits)
def test_against_scipy(values):
    expected = odds(values)
    for index, chance in enumerate(expected):
        np.testing.assert_allclose(class_probability(values, index), chance, atol=1e-12)
        rivals = np.delete(expected, index, axis=0).max(axis=0)
        np.testing.assert_allclose(rival_margin(values, index), chance - rivals, atol=1e-12)
    np.testing.assert_allclose(entropy(values), shannon(expected, base=len(expected), axis=0), atol=1e-9)


def test_extremes():
    even, decided = np.zeros((3, 2, 2)), np.stack([np.full((2, 2), 1e4), np.full((2, 2), -1e4)])
    np.testing.assert_allclose(entropy(even), 1)
    np.testing.assert_array_equal(entropy(decided), 0)
    np.testing.assert_array_equal(rival_margin(decided, 1), -1)


def test_mean_over_a_region():
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    mask = np.zeros((4, 5), bool)
    mask[1, 2:] = True
    assert mean_probability(values, mask, 2) == pytest.approx(softmax(values, axis=0)[2][mask].mean())
