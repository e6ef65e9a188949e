"""Plans of tiles by their rules, and stitching against one pass."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.imaging.tiling import plan_tiles, run_tiled

PLANS = [
    (96, 64, 96, 32),  # one tile
    (128, 96, 96, 32),  # two, one above the other
    (96, 160, 96, 32),
    (416, 640, 256, 32),
    (256, 352, 128, 8),
    (72, 104, 24, 8),
    (64, 96, 32, 32),  # no room for an overlap
    (64, 192, 64, 32),
]


@pytest.mark.parametrize(("height", "width", "side", "stride"), PLANS)
def test_the_rules_of_a_plan(height, width, side, stride):
    tiles = plan_tiles(height, width, side, stride)
    covered = np.zeros((height, width), int)
    overlapping = side > 2 * stride
    for tile in tiles:
        top, bottom, left, right = tile.window
        first, last, begin, end = tile.core
        covered[first:last, begin:end] += 1
        assert all(edge % stride == 0 for edge in (*tile.window, *tile.core))
        for (low, high), (start, stop), length in (
            ((top, bottom), (first, last), height),
            ((left, right), (begin, end), width),
        ):
            assert 0 <= low <= start < stop <= high <= length and high - low == min(side, length)
            # a core ends at the image's border, or before its window does: half of about a quarter, in whole strides
            for gap, border in ((start - low, low == 0), (high - stop, high == length)):
                if border:
                    assert gap == 0
                elif overlapping:
                    assert gap >= stride and gap > side / 8 - stride
    assert (covered == 1).all()
    assert len(tiles) == 1 or side < max(height, width)


def test_no_side_is_one_tile():
    assert [tile.window for tile in plan_tiles(128, 4096, 0, 32)] == [(0, 128, 0, 4096)]


@pytest.mark.parametrize(("height", "width", "side", "stride"), PLANS)
def test_a_network_that_looks_no_further_than_the_overlap_is_stitched_without_a_seam(height, width, side, stride):
    image = torch.randn((1, 2, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reach = 1 if side > 2 * stride else 0
    kernel = torch.randn((3, 2, 2 * reach + 1, 2 * reach + 1), dtype=torch.float64)
    seen = []

    def network(part):
        seen.append(tuple(part.shape))
        return functional.conv2d(part, kernel, padding=reach)

    tiles = plan_tiles(height, width, side, stride)
    stitched = run_tiled(network, image, tiles)
    assert seen == [(1, 2, min(side, height), min(side, width))] * len(tiles)
    torch.testing.assert_close(stitched, functional.conv2d(image, kernel, padding=reach), rtol=0, atol=1e-12)
