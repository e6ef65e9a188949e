"""What is asked of the maps: images of any size and value, and what is refused."""

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.imaging.cams import explain
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
