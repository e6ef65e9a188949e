import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from core.errors import InputError
from core.imaging.preprocess import Geometry, Preprocessing
from core.imaging.regions import MEANING, Region, parse_region, region_mask

SIZE = 32


@pytest.fixture
def logits():
    values = torch.zeros(3, SIZE, SIZE)
    values[1, 4:12, 4:12] = 5  # two squares of class 1, joined by nothing
    values[1, 20:28, 20:30] = 5
    values[2, 4:12, 20:28] = 5
    values[0] = 1
    return values


@pytest.mark.parametrize("text", ["mask", "image", "uncertain", "pixel:3,4", "box:1,2,30,40", "component:5,6"])
def test_text_and_region_are_the_same(text):
    assert str(parse_region(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "masks",
        "pixel",
        "pixel:1",
        "pixel:1,2,3",
        "pixel:a,b",
        "box:1,2,3",
        "mask:1,2",
        "component:1;2",
        "pixel:1.5,2",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(InputError, match="give mask, image"):
        parse_region(text)


def test_mask_image_pixel_box_and_component(logits):
    argmax = logits.argmax(0).numpy()
    assert np.array_equal(region_mask(Region("mask"), logits, 1), argmax == 1)
    assert region_mask(Region("image"), logits, 1).all()
    pixel = region_mask(Region("pixel", point=(3, 17)), logits, 1)
    assert pixel.sum() == 1 and pixel[17, 3]
    box = region_mask(Region("box", box=(0, 0, 8, 10)), logits, 1)
    assert np.array_equal(np.argwhere(box).min(0), [4, 4]) and box.sum() == 4 * 6
    labels, _ = ndimage.label(argmax == 1)
    assert np.array_equal(region_mask(Region("component", point=(25, 22)), logits, 1), labels == labels[22, 25])


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_uncertain_pixels_by_a_naive_count(classes):
    values = np.random.default_rng(classes).normal(size=(classes, 12, 9)).astype(np.float32)
    for index in range(max(classes, 2)):
        expected = np.zeros((12, 9), bool)
        for y, x in np.ndindex(12, 9):
            if classes == 1:
                chance = 1 / (1 + np.exp(-values[0, y, x]))
                odds = [1 - chance, chance]
            else:
                odds = np.exp(values[:, y, x]) / np.exp(values[:, y, x]).sum()
            rival = max(value for other, value in enumerate(odds) if other != index)
            expected[y, x] = abs(odds[index] - rival) < 0.2
        assert expected.any() and not expected.all()
        assert np.array_equal(region_mask(Region("uncertain"), values, index), expected)


def test_a_decided_image_has_no_uncertain_pixel(logits):
    with pytest.raises(InputError, match="no pixel is in the region uncertain"):
        region_mask(Region("uncertain"), 20 * logits, 2)


def test_padding_is_never_uncertain():
    padded = Geometry((20, 20), (20, 20), (32, 32), (6, 6))
    found = region_mask(Region("uncertain"), torch.zeros(2, 32, 32), 1, padded)
    assert found.sum() == 400 and found[6:26, 6:26].all()


def test_pixels_that_do_not_count_are_no_errors(logits):
    truth = np.zeros((SIZE, SIZE), np.uint8)
    truth[4:12, 4:12] = 255
    wrong = region_mask(Region("false_positives", ground_truth=truth), logits, 1)
    assert np.array_equal(wrong, (logits.argmax(0).numpy() == 1) & (truth != 255))


def test_box_corners_in_any_order_and_beyond_the_image(logits):
    expected = region_mask(Region("box", box=(0, 0, 32, 32)), logits, 1)
    assert np.array_equal(region_mask(Region("box", box=(99, 99, -5, -5)), logits, 1), expected)
    with pytest.raises(InputError, match="holds no pixel"):
        region_mask(Region("box", box=(40, 40, 50, 50)), logits, 1)


def test_errors_against_a_ground_truth(logits):
    truth = np.zeros((SIZE, SIZE), np.uint8)
    truth[4:12, 4:20] = 1
    argmax = logits.argmax(0).numpy()
    wrong = region_mask(Region("false_positives", ground_truth=truth), logits, 1)
    missed = region_mask(Region("false_negatives", ground_truth=truth), logits, 1)
    assert np.array_equal(wrong, (argmax == 1) & (truth != 1))
    assert np.array_equal(missed, (argmax != 1) & (truth == 1))
    with pytest.raises(InputError, match="ground truth has the size"):
        region_mask(Region("false_positives", ground_truth=truth[1:]), logits, 1)
    with pytest.raises(InputError, match="need a ground truth"):
        parse_region("false_negatives")


def test_empty_regions_say_so(logits):
    nothing = logits.clone()
    nothing[2] = -9
    with pytest.raises(InputError, match="no pixel is in the region mask of class 2"):
        region_mask(Region("mask"), nothing, 2)
    with pytest.raises(InputError, match="not in the mask"):
        region_mask(Region("component", point=(0, 0)), logits, 1)
    with pytest.raises(InputError, match="outside of the image"):
        region_mask(Region("pixel", point=(32, 0)), logits, 1)


def test_one_channel_logits(logits):
    single = logits[1:2] - 2
    assert np.array_equal(region_mask(Region("mask"), single, 1), single[0].numpy() > 0)
    assert np.array_equal(region_mask(Region("mask"), single, 0), single[0].numpy() <= 0)


@given(st.integers(1, 90), st.integers(1, 90), st.data())
def test_a_pixel_is_where_the_image_is_sampled(height, width, data):
    geometry = Preprocessing(resize="fit", size=64).geometry(height, width)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    logits = torch.zeros(2, *geometry.grid_size)
    chosen = region_mask(Region("pixel", point=(x, y)), logits, 1, geometry)
    row, column = np.argwhere(chosen)[0]
    assert chosen.sum() == 1
    top, left = geometry.offset
    assert 0 <= row - top < geometry.content_size[0] and 0 <= column - left < geometry.content_size[1]


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_padding_is_never_in_a_region(height, width):
    geometry = Preprocessing(resize="native").geometry(height, width)
    logits = torch.zeros(2, *geometry.grid_size)
    logits[1] = 1
    assert region_mask(Region("mask"), logits, 1, geometry).sum() == height * width
    assert region_mask(Region("image"), logits, 0, geometry).sum() == height * width


def test_each_kind_has_a_meaning_for_the_manifest():
    truth = np.zeros((2, 2), np.uint8)
    for kind in MEANING:
        described = Region(kind, point=(1, 1), ground_truth=truth).describe()
        assert described["meaning"] == MEANING[kind] and len(described["ground_truth_sha256"]) == 64


def test_regions_with_a_ground_truth_can_be_compared():
    truth = np.zeros((2, 2), np.uint8)
    first, second = (Region("false_positives", ground_truth=one) for one in (truth, truth.copy()))
    assert first == second and len({first, second, Region("mask")}) == 2


def test_default_geometry_is_the_grid(logits):
    same = Geometry((SIZE, SIZE), (SIZE, SIZE), (SIZE, SIZE), (0, 0))
    assert np.array_equal(region_mask(Region("mask"), logits, 1), region_mask(Region("mask"), logits.numpy(), 1, same))
