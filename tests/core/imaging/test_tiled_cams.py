"""Maps of images larger than one pass."""

import numpy as np
import pytest
import torch

from core.imaging.cams import explain, maps_of_mask
from core.imaging.regions import Region
from tests.core.imaging.nets import picture, small_segmenter


def test_tiled_maps_equal_the_naive_sum_over_tiles():
    segmenter = small_segmenter(dtype=torch.float64, tile=96)
    image = picture(128, 192, seed=4)
    result = explain(segmenter, image, Region("box", box=(30, 20, 170, 120)), 1)
    tiles = segmenter.tiles((128, 192))
    assert len(tiles) > 2
    tensor = segmenter.prepare(image)[0]
    covered = np.zeros((128, 192), int)
    for tile in tiles:
        first, last, begin, end = tile.core
        covered[first:last, begin:end] += 1
    assert (covered == 1).all()
    for name, (_, stride) in segmenter.layers.items():
        hires = np.zeros((128 // stride, 192 // stride))
        for tile in tiles:
            top, bottom, left, right = tile.window
            first, last, begin, end = tile.core
            inside = np.zeros((128, 192), bool)
            inside[first:last, begin:end] = result.mask[first:last, begin:end]
            inside = inside[top:bottom, left:right]
            if inside.any():
                part = tensor[..., top:bottom, left:right]
                _, maps = maps_of_mask(segmenter.model, part, inside, 1, [name])
                hires[top // stride : bottom // stride, left // stride : right // stride] += maps[name].seg_hires_grad
        np.testing.assert_allclose(result.maps[name].seg_hires_grad, hires, atol=1e-9 * max(1, np.abs(hires).max()))
    score = result.segmentation.logits[1][result.mask].sum()
    assert result.score == pytest.approx(float(score), rel=1e-10)


def test_an_image_below_the_tile_is_explained_in_one_piece():
    whole, tiled = small_segmenter(), small_segmenter(tile=96)
    results = [explain(segmenter, picture(96, 64), Region("image"), 1) for segmenter in (whole, tiled)]
    for name in results[0].maps:
        np.testing.assert_array_equal(results[0].maps[name].seg_grad, results[1].maps[name].seg_grad)
