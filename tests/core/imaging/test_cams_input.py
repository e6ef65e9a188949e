"""What is asked of the maps: images of any size and value, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import InputError
from core.imaging.cams import explain, maps_of_mask
from core.imaging.regions import Region
from core.imaging.segmenters import wrap_model
from tests.core.imaging.nets import NATIVE, picture, small_segmenter, small_unet


def test_padding_is_no_part_of_the_region_and_maps_come_back_to_the_image():
    segmenter = small_segmenter()
    result = explain(segmenter, picture(50, 70), Region("image"), 1)
    assert result.n_pixels == 50 * 70
    assert result.geometry.grid_size == (64, 96)
    last = torch.from_numpy(result.maps["decoder.blocks.4"].seg_hires_grad)
    (row, column) = result.geometry.offset
    cropped = last[row : row + 50, column : column + 70]
    assert torch.equal(result.geometry.layer_to_image(last), cropped)
    assert result.segmentation.mask.shape == (50, 70)


def test_an_image_of_one_pixel():
    result = explain(small_segmenter(), np.full((1, 1, 3), 0.4, np.float32), Region("image"), 1)
    assert result.n_pixels == 1


def test_all_black_image_is_explained():
    result = explain(small_segmenter(), np.zeros((64, 64, 3), np.float32), Region("image"), 1)
    assert all(np.isfinite(maps.seg_grad).all() for maps in result.maps.values())


def test_unknown_class_and_layer():
    segmenter = small_segmenter()
    with pytest.raises(InputError, match="no class 7"):
        explain(segmenter, picture(), Region("image"), 7)
    with pytest.raises(InputError, match=r"choose from encoder\.relu"):
        explain(segmenter, picture(), Region("image"), 1, layers=["nonsense"])
    with pytest.raises(InputError, match="no layer"):
        explain(segmenter, picture(), Region("image"), 1, layers=[])


def test_nan_pixels_are_refused():
    image = picture()
    image[3, 3] = np.nan
    with pytest.raises(InputError, match="not numbers"):
        explain(small_segmenter(), image, Region("image"))


def test_training_mode_is_refused():
    model = small_unet()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    model.train()
    with pytest.raises(InputError, match="training mode"):
        explain(segmenter, picture(), Region("image"))


def test_logits_that_are_not_finite_are_refused():
    model = small_unet()
    model.segmentation_head[0].bias[2] = torch.inf
    with pytest.raises(InputError, match="not finite"):
        explain(wrap_model(model, preprocessing=NATIVE), picture(), Region("image"), 1)


def test_what_a_reader_should_know_is_said_and_nothing_else():
    def notes(model, *size):
        return explain(wrap_model(model, preprocessing=NATIVE), picture(*size), Region("image"), 1).notes

    assert notes(small_unet()) == notes(small_unet(classes=1)) == ()
    assert [note[:39] for note in notes(small_unet(), 32, 64)] == ["Some layers have a single cell, at whic"]
    silent = small_unet()
    for parameter in silent.segmentation_head.parameters():
        parameter.zero_()
    assert [note[:19] for note in notes(silent)] == ["The score S is zero"]
    inside = small_unet(classes=1)
    for parameter, value in zip(inside.segmentation_head.parameters(), (0.0, 1.0)):
        parameter.fill_(value)
    assert [note[:15] for note in notes(inside)] == ["All outputs lie"]


class Branching(nn.Module):
    """A layer on the way to the output, and one whose output nobody reads."""

    def __init__(self, fails: str = "") -> None:
        super().__init__()
        self.way, self.aside, self.fails = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 4, 2, stride=2), fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fails:
            raise RuntimeError(self.fails)
        self.aside(x)
        return self.way(x)


def test_a_layer_that_leads_nowhere_has_maps_of_zeros():
    model, mask = Branching().eval(), np.ones((6, 8), bool)
    score, maps = maps_of_mask(model, torch.rand(1, 3, 6, 8), mask, 1, ["way", "aside"], [2])
    aside = maps["aside"]
    assert score != 0 and maps["way"].seg_hires_grad.sum(dtype=np.float64) == pytest.approx(score, rel=1e-5)
    for zero in (aside.seg_grad, aside.seg_hires_grad, aside.windowed[2]):
        assert zero.shape == (3, 4) and not zero.any()


def test_a_failure_of_the_network_is_not_taken_for_another():
    with pytest.raises(RuntimeError, match="out of memory"):
        maps_of_mask(Branching("out of memory").eval(), torch.rand(1, 3, 6, 8), np.ones((6, 8), bool), 1, ["way"])
