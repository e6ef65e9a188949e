import numpy as np
import pytest
from scipy import stats

from core.imaging.agreement import agreement, share_inside, spearman, top_iou
from core.imaging.cams import LayerMaps


def test_numbers_against_the_naive_ones():
    random = np.random.default_rng(0)
    grad, hires = random.standard_normal((2, 16, 16))
    mask = np.zeros((64, 64), bool)
    mask[6:30, 9:41] = True
    found = agreement(LayerMaps(grad, hires), mask, top_fraction=0.1, dilation=3)
    assert found.spearman == pytest.approx(stats.spearmanr(grad.ravel(), hires.ravel())[0])
    tops = [set(np.argsort(-m.ravel())[:26]) for m in (grad, hires)]
    assert found.top_iou == pytest.approx(len(tops[0] & tops[1]) / len(tops[0] | tops[1]))
    positive = np.kron(np.maximum(grad, 0), np.ones((4, 4)))
    assert found.seg_grad.inside == pytest.approx(positive[mask].sum() / positive.sum())
    assert found.seg_hires_grad.negative_lost == pytest.approx(-hires[hires < 0].sum() / np.abs(hires).sum())
    assert found.seg_grad.inside_dilated > found.seg_grad.inside
    assert found.seg_grad.maximum == grad.max()


def test_constant_and_empty_maps_have_no_numbers():
    zero, mask = np.zeros((8, 8)), np.ones((8, 8), bool)
    found = agreement(LayerMaps(zero, zero), mask)
    assert found.spearman is found.top_iou is found.seg_grad.inside is found.seg_grad.negative_lost is None
    assert spearman(zero, np.eye(8)) is None and top_iou(np.eye(8), zero, 0.1) is None
    assert share_inside(-np.ones((8, 8)), mask) is None


def test_equal_maps_agree_fully():
    values = np.random.default_rng(1).random((8, 8))
    found = agreement(LayerMaps(values, 3 * values), np.ones((32, 32), bool))
    assert found.spearman == pytest.approx(1) and found.top_iou == 1 and found.seg_grad.inside == pytest.approx(1)
