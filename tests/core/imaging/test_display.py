import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from torch.nn import functional

from core.errors import InputError
from core.imaging.cams import LayerMaps
from core.imaging.display import DisplayedMap, DisplayOptions, difference_map, display_maps, display_pair
from core.imaging.overlay import color_classes, draw_contour, overlay
from core.imaging.palettes import DIVERGING, SEQUENTIAL, color_index, color_stops, lookup_table
from core.imaging.preprocess import Geometry

GEOMETRY = Geometry((50, 70), (50, 70), (64, 96), (7, 13))


def raw(seed, scale=1.0):
    return (np.random.default_rng(seed).standard_normal((16, 24)) * scale).astype(np.float32)


def test_steps_are_relu_resize_crop_divide_in_this_order():
    first, second = raw(0, 10), raw(1)
    shown = display_maps([first, second], GEOMETRY, DisplayOptions())
    expected = []
    for values in (first, second):
        positive = torch.from_numpy(values).clamp(min=0)[None, None]
        grid = functional.interpolate(positive, (64, 96), mode="bilinear", align_corners=False)[0, 0]
        expected.append(grid[7:57, 13:83].numpy())
    limit = max(values.max() for values in expected)
    for item, values, original in zip(shown, expected, (first, second), strict=True):
        np.testing.assert_allclose(item.values, values / limit, atol=1e-6)
        assert item.limit == pytest.approx(limit) and item.maximum == pytest.approx(original.max())
        assert item.steps[0] == "ReLU" and "resize 16 x 24" in item.steps[1] and "shared" in item.steps[2]


def test_the_printed_maximum_is_of_what_is_seen():
    values = raw(0)
    values[0, 0] = 1e3  # a cell of the padding alone
    item = display_maps([values], GEOMETRY, DisplayOptions())[0]
    assert item.maximum == values[1:15, 3:21].max() < 1e3


def test_own_scale_hides_a_tenfold_difference_and_shared_scale_shows_it():
    maps = LayerMaps(raw(0, 10), raw(0))
    own = display_pair(maps, GEOMETRY, DisplayOptions(scale="own"))
    shared = display_pair(maps, GEOMETRY, DisplayOptions(scale="shared"))
    np.testing.assert_allclose(own["seg_grad"].values, own["seg_hires_grad"].values, atol=1e-6)
    assert shared["seg_hires_grad"].values.max() == pytest.approx(0.1, rel=1e-4)


def test_signed_maps_keep_negative_evidence():
    item = display_maps([raw(0)], GEOMETRY, DisplayOptions(signed=True))[0]
    assert item.values.min() < 0 and np.abs(item.values).max() == pytest.approx(1) and "ReLU" not in item.steps
    assert DisplayOptions(signed=True).palette in DIVERGING and DisplayOptions(palette="RdBu_r").palette in SEQUENTIAL


def test_nothing_positive_is_nothing_to_show_and_no_division_by_zero():
    item = display_maps([-np.abs(raw(0))], GEOMETRY, DisplayOptions())[0]
    assert item.empty and item.limit == 0 and item.steps[-1] == "all zero" and np.isfinite(item.values).all()


def test_cells_are_shown_as_they_are_when_not_smooth():
    item = display_maps([raw(0)], GEOMETRY, DisplayOptions(smooth=False))[0]
    assert len(np.unique(item.values)) <= 16 * 24 and "nearest" in item.steps[1]


def test_difference_of_equal_maps_up_to_scale_is_zero():
    assert difference_map(LayerMaps(raw(0), 5 * raw(0)), GEOMETRY).maximum == pytest.approx(0, abs=1e-6)
    assert np.abs(difference_map(LayerMaps(raw(0), raw(1)), GEOMETRY).values).max() == 1


@pytest.mark.parametrize("bad", [{"opacity": 2}, {"percentile": 10}])
def test_options_out_of_range(bad):
    with pytest.raises(InputError):
        DisplayOptions(**bad)


def test_palettes_rise_in_lightness_and_are_not_jet():
    for name in SEQUENTIAL:
        luminance = lookup_table(name).astype(float) @ (0.2126, 0.7152, 0.0722)
        assert (np.diff(np.convolve(luminance, np.ones(8) / 8, "valid")) > -0.2).all(), name
    for name in DIVERGING:
        table = lookup_table(name).astype(int)
        assert np.ptp(table[127]) < 16 and table[127].min() > 230, "zero is neutral"
    with pytest.raises(InputError, match="no palette 'jet'"):
        lookup_table("jet")
    assert color_stops("cividis")[0][0] == 0 and color_stops("cividis")[-1][0] == 1


def test_overlay_blends_by_opacity():
    display = np.random.default_rng(0).integers(0, 255, (50, 70)).astype(np.uint8)
    item = display_maps([raw(0)], GEOMETRY, DisplayOptions())[0]
    none = overlay(display, item, DisplayOptions(opacity=0, contour=False))
    full = overlay(display, item, DisplayOptions(opacity=1, contour=False))
    assert np.array_equal(none, np.repeat(display[..., None], 3, 2))
    strong = item.values > 0.1
    assert np.array_equal(full[strong], lookup_table("inferno")[color_index(item.values, "inferno")][strong])
    assert np.array_equal(full[item.values == 0], none[item.values == 0]), "no evidence, no colour"


@pytest.mark.parametrize(("signed", "palette"), [(False, "viridis"), (True, "PuOr_r")])
@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3)])
def test_overlay_by_a_naive_blend(signed, palette, shape):
    rng = np.random.default_rng(1)
    display = rng.integers(0, 256, shape).astype(np.uint8)
    values = rng.uniform(-1 if signed else 0, 1, shape[:2]).astype(np.float32)
    values[:2] = 0.02  # where the colour fades out
    shown = overlay(
        display,
        DisplayedMap(values, 1, 1, -1, ()),
        DisplayOptions(signed=signed, palette=palette, opacity=0.6, contour=False),
    )
    for y, x in np.ndindex(shape[:2]):
        below = display[y, x] if display.ndim == 2 else round(float(display[y, x] @ (0.299, 0.587, 0.114)))
        unit = (values[y, x] + 1) / 2 if signed else values[y, x]
        alpha = 0.6 * min(1, abs(values[y, x]) / 0.04)
        colour = lookup_table(palette)[round(float(unit) * 255)]
        np.testing.assert_allclose(shown[y, x], (1 - alpha) * int(below) + alpha * colour, atol=0.51)


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.booleans())
def test_contour_by_scipy(mask, closed):
    drawn = draw_contour(np.full((*mask.shape, 3), 99, np.uint8), mask, (1, 2, 3), closed)
    inner = ndimage.binary_erosion(mask, border_value=int(not closed))
    outer = ndimage.binary_dilation(mask)
    expected = np.full((*mask.shape, 3), 99, np.uint8)
    expected[outer & ~mask] = 0
    expected[mask & ~inner] = (1, 2, 3)
    np.testing.assert_array_equal(drawn, expected)


def test_contour_is_on_the_edge_of_the_region():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    drawn = draw_contour(np.full((40, 40, 3), 99, np.uint8), mask)
    assert tuple(drawn[10, 15]) == (255, 255, 255) and tuple(drawn[9, 15]) == (0, 0, 0)
    assert tuple(drawn[20, 20]) == tuple(drawn[0, 0]) == (99, 99, 99)


def test_classes_are_coloured_and_background_is_not():
    mask = np.array([[0, 1], [2, 3]])
    colours = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    drawn = color_classes(mask, colours, np.zeros((2, 2), np.uint8), 1.0)
    assert drawn.tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [255, 0, 0]]]
