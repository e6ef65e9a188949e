import numpy as np
import pytest
from scipy import stats

from core.imaging.agreement import agreement, share_inside, spearman, top_iou
from core.imaging.cams import LayerMaps
from core.imaging.preprocess import Geometry


def unpadded(side):
    return Geometry((side, side), (side, side), (side, side), (0, 0))


def test_numbers_against_the_naive_ones():
    random = np.random.default_rng(0)
    grad, hires = random.standard_normal((2, 16, 16))
    mask = np.zeros((64, 64), bool)
    mask[6:30, 9:41] = True
    found = agreement(LayerMaps(grad, hires), mask, unpadded(64), top_fraction=0.1, dilation=3)
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
    found = agreement(LayerMaps(zero, zero), mask, unpadded(8))
    assert found.spearman is found.top_iou is found.seg_grad.inside is found.seg_grad.negative_lost is None
    assert spearman(zero, np.eye(8)) is spearman(np.eye(8), zero) is top_iou(zero, np.eye(8), 0.1) is None
    assert top_iou(np.eye(8), zero, 0.1) is None
    assert share_inside(-np.ones((8, 8)), np.ones((8, 8)), mask) is None


def test_equal_maps_agree_fully():
    values = np.random.default_rng(1).random((8, 8))
    found = agreement(LayerMaps(values, 3 * values), np.ones((32, 32), bool), unpadded(32))
    assert found.spearman == pytest.approx(1) and found.top_iou == 1 and found.seg_grad.inside == pytest.approx(1)


@pytest.mark.parametrize("cells", [(8, 8), (16, 4), (7, 5), (1, 1)])
def test_padding_does_not_count(cells):
    geometry = Geometry((19, 25), (19, 25), (32, 32), (6, 3))
    grad, hires = np.random.default_rng(2).standard_normal((2, *cells))
    mask = np.zeros((32, 32), bool)
    mask[6:15, 10:28] = True
    found = agreement(LayerMaps(grad, hires), mask, geometry, dilation=4)
    # on a grid so fine that every pixel and every cell is made of whole steps
    fine = [np.kron(raw, np.ones((32 * 35 // cells[0], 32 * 35 // cells[1]))) for raw in (grad, hires)]
    step = 35
    rows, columns = slice(6 * step, 25 * step), slice(3 * step, 28 * step)
    seen = [raw[rows, columns] for raw in fine]
    inside = np.kron(mask, np.ones((step, step), bool))[rows, columns]
    for numbers, raw in zip((found.seg_grad, found.seg_hires_grad), seen, strict=True):
        positive = np.maximum(raw, 0)
        if positive.any():
            assert numbers.inside == pytest.approx(positive[inside].sum() / positive.sum())
        assert numbers.negative_lost == pytest.approx(-raw[raw < 0].sum() / np.abs(raw).sum())
        assert numbers.maximum == raw.max()
    whole = agreement(LayerMaps(grad, hires), mask, geometry, dilation=40)
    assert whole.seg_grad.inside_dilated in (None, pytest.approx(1))
    # values where nobody looks change nothing
    share = geometry.content_share(cells)
    changed = [np.where(share > 0, raw, 1e3 * raw) for raw in (grad, hires)]
    assert agreement(LayerMaps(*changed), mask, geometry, dilation=4) == found
