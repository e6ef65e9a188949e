import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.imaging.preprocess import Preprocessing

SIDES = st.integers(1, 70)
KINDS = st.sampled_from(["stretch", "fit", "native"])


@given(SIDES, SIDES, KINDS, st.sampled_from([1, 16, 32]), st.sampled_from([1, 3]))
def test_any_size_gives_a_grid_that_the_stride_divides(height, width, resize, stride, channels):
    preprocessing = Preprocessing(channels=channels, resize=resize, size=32, stride=stride)
    pixels = np.random.default_rng(height * 100 + width).normal(100, 30, (height, width))
    tensor, geometry = preprocessing.prepare(pixels)
    assert tensor.shape == (1, channels, *geometry.grid_size)
    assert tensor.dtype == torch.float32 and torch.isfinite(tensor).all()
    assert geometry.grid_size[0] % stride == 0 and geometry.grid_size[1] % stride == 0
    assert geometry.to_image(tensor).shape == (1, channels, height, width)


@given(SIDES, SIDES, st.sampled_from([8, 32]))
def test_without_resizing_the_way_there_and_back_is_exact(height, width, stride):
    pixels = np.random.default_rng(1).uniform(0, 1, (height, width)).astype(np.float32)
    preprocessing = Preprocessing(resize="native", stride=stride, intensity="window", low=0, high=1, mean=0, std=1)
    tensor, geometry = preprocessing.prepare(pixels)
    np.testing.assert_array_equal(geometry.to_image(tensor)[0, 0].numpy(), pixels)
    mask = (pixels > 0.5).astype(np.uint8)
    back = geometry.to_image(torch.from_numpy(geometry.to_grid(mask)).float(), "nearest").numpy()
    np.testing.assert_array_equal(back, mask)


@given(SIDES, SIDES, KINDS)
def test_a_point_lands_where_its_pixel_lands(height, width, resize):
    preprocessing = Preprocessing(resize=resize, size=64, stride=16)
    geometry = preprocessing.geometry(height, width)
    rng = np.random.default_rng(height + 71 * width)
    y, x = int(rng.integers(height)), int(rng.integers(width))
    column, row = geometry.point_to_grid(x, y)
    inside = np.zeros(geometry.grid_size, bool)
    (top, left), (rows, columns) = geometry.offset, geometry.content_size
    inside[top : top + rows, left : left + columns] = True
    assert inside[row, column]
    if rows >= height and columns >= width:  # every pixel has a grid pixel of its own: the same mapping as masks'
        mask = np.zeros((height, width), np.uint8)
        mask[y, x] = 1
        assert geometry.to_grid(mask)[row, column] == 1


def test_padding_mirrors_the_image_and_is_cropped_again():
    pixels = np.arange(30, dtype=np.float32).reshape(5, 6)
    preprocessing = Preprocessing(resize="native", stride=8, intensity="window", low=0, high=29, mean=0, std=1 / 29)
    tensor, geometry = preprocessing.prepare(pixels)
    assert geometry.offset == (1, 1) and geometry.grid_size == (8, 8)
    np.testing.assert_allclose(tensor[0, 0].numpy(), np.pad(pixels, ((1, 2), (1, 1)), mode="reflect"), rtol=1e-6)
    np.testing.assert_allclose(geometry.crop(tensor)[0, 0].numpy(), pixels, rtol=1e-6)


def test_resizing_matches_an_independent_implementation():
    from PIL import Image

    pixels = np.random.default_rng(0).uniform(0, 255, (90, 120)).astype(np.float32)
    preprocessing = Preprocessing(
        resize="stretch", size=32, stride=1, intensity="window", low=0, high=255, mean=0, std=1
    )
    tensor, _ = preprocessing.prepare(pixels)
    peer = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(tensor[0, 0].numpy(), peer, atol=1e-4)


def test_percentiles_are_the_images_own():
    pixels = np.linspace(1000, 3000, 10_000).reshape(100, 100)
    plain = Preprocessing(resize="native", stride=1, low=10, high=90, mean=0, std=1)
    values = plain.normalize(pixels)
    low, high = np.percentile(pixels, [10, 90])
    np.testing.assert_allclose(values[0], np.clip((pixels - low) / (high - low), 0, 1), atol=1e-5)
    np.testing.assert_allclose(plain.normalize(pixels * 7 + 11), values, atol=1e-5)  # units do not matter


def test_colour_becomes_luminance_and_grey_is_repeated():
    colour = np.random.default_rng(0).uniform(0, 255, (8, 9, 3))
    one = Preprocessing(channels=1, intensity="window", low=0, high=255, mean=0, std=1).normalize(colour)
    np.testing.assert_allclose(one[0], (colour @ [0.299, 0.587, 0.114]) / 255, atol=1e-5)
    three = Preprocessing(channels=3, intensity="window", low=0, high=255, mean=0, std=1)
    np.testing.assert_array_equal(three.normalize(colour[..., 0])[0], three.normalize(colour[..., 0])[2])


NUMBERS = st.floats(-2, 2, width=32)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.tuples(*[st.floats(0.125, 4, width=32)] * 3), st.booleans())
def test_each_channel_has_its_own_mean_and_std(mean, std, grey):
    pixels = np.random.default_rng(0).random((6, 7) if grey else (6, 7, 3))
    card = {"channels": 3, "intensity": "window", "low": 0, "high": 1, "mean": list(mean), "std": list(std)}
    found = Preprocessing.from_card(card).normalize(pixels)
    for channel in range(3):
        values = pixels if grey else pixels[..., channel]
        np.testing.assert_allclose(found[channel], (values - mean[channel]) / std[channel], rtol=1e-5, atol=1e-5)
    alone = Preprocessing.from_card({**card, "mean": mean[1], "std": std[2]}).normalize(pixels)
    same = Preprocessing.from_card({**card, "mean": [mean[1]] * 3, "std": [std[2]] * 3}).normalize(pixels)
    np.testing.assert_array_equal(alone, same)


@pytest.mark.parametrize("value", [0.0, 255.0, -1e6])
def test_an_even_image_is_no_division_by_zero(value):
    tensor, _ = Preprocessing().prepare(np.full((40, 50), value))
    assert torch.isfinite(tensor).all() and tensor.std() == 0


@pytest.mark.parametrize(
    "pixels", [np.zeros((0, 5)), np.zeros((5, 5, 2)), np.zeros(5), np.full((4, 4), np.nan), np.full((4, 4), np.inf)]
)
def test_what_is_no_image_is_refused(pixels):
    with pytest.raises(InputError):
        Preprocessing().prepare(pixels)


@pytest.mark.parametrize(
    "block",
    [
        {"channels": 2},
        {"size": 0},
        {"std": 0},
        {"low": 5, "high": 5},
        {"intensity": "window", "low": 5, "high": 5},
        {"high": 120},
        {"resize": "crop"},
        {"size": "big"},
        {"colour": 1},
        {"tile": 100},
        {"stride": True},
        {"std": float("inf")},
        {"channels": 3, "mean": [0.5, 0.5]},
        {"mean": [0.5, 0.5, 0.5]},  # of one channel
        {"channels": 3, "std": [0.2, 0.2, 0]},
        {"channels": 3, "mean": [0.1, "a", 0.2]},
        {"mean": []},
        {"low": [1]},
    ],
)
def test_a_card_that_cannot_be_is_refused(block):
    with pytest.raises(InputError):
        Preprocessing.from_card(block)


def test_cards_go_there_and_back():
    preprocessing = Preprocessing(channels=3, resize="native", tile=512, low=1, high=99)
    assert Preprocessing.from_card(preprocessing.to_card()) == preprocessing
    listed = Preprocessing(channels=3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    assert Preprocessing.from_card(yaml.safe_load(yaml.safe_dump(listed.to_card()))) == listed
    assert Preprocessing.from_card(None, channels=3).channels == 3
    assert Preprocessing.from_card({"channels": 1}, channels=3).channels == 1


def test_a_silent_card_means_pixels_as_they_are_over_the_images_own_range():
    pixels = np.random.default_rng(0).normal(300, 40, (70, 45))
    tensor, geometry = Preprocessing.from_card(None).prepare(pixels)
    expected = (pixels - pixels.min()) / np.ptp(pixels)
    np.testing.assert_allclose(geometry.to_image(tensor)[0, 0].numpy(), expected, atol=1e-5)
    assert geometry.content_size == (70, 45) and Preprocessing.from_card(None).tile == 1024


def test_a_map_of_another_size_is_refused():
    geometry = Preprocessing().geometry(100, 80)
    with pytest.raises(ValueError, match="grid"):
        geometry.to_image(torch.zeros(1, 10, 10))
