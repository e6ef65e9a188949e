"""Maps of images larger than one pass."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.imaging import windows
from core.imaging.cams import explain, maps_of_mask
from core.imaging.regions import Region
from core.imaging.tiled_cams import _within_core, possible_windows
from core.imaging.tiling import plan_tiles
from core.imaging.windows import WindowMeans, n_sums, windowed_map, windows_of
from tests.core.imaging.nets import picture, small_segmenter, small_unet

GRID = (128, 192)
BOX = Region("box", box=(30, 20, 170, 120))


@pytest.fixture(scope="module")
def segmenter():
    return small_segmenter(dtype=torch.float64, tile=96)


@pytest.fixture(scope="module")
def pieces(segmenter):
    """Each tile with the part of M in its core, its activations and gradients by layer, and its logits."""
    image = picture(*GRID, seed=4)
    mask = explain(segmenter, image, BOX, 1).mask
    tensor = segmenter.prepare(image)[0]
    found = []
    for tile in segmenter.tiles(GRID):
        top, bottom, left, right = tile.window
        first, last, begin, end = tile.core
        inside = np.zeros(GRID, bool)
        inside[first:last, begin:end] = mask[first:last, begin:end]
        kept = {}
        model = small_unet().double()
        for name in segmenter.layers:
            model.get_submodule(name).register_forward_hook(
                lambda _m, _i, output, name=name, kept=kept: kept.__setitem__(name, output)
            )
        logits = model(tensor[..., top:bottom, left:right].clone().requires_grad_())[0, 1]
        score = (logits * torch.from_numpy(inside[top:bottom, left:right])).sum()
        gradients = torch.autograd.grad(score, list(kept.values()))
        found.append(
            (
                tile,
                score.item(),
                {name: (a[0].detach(), g[0]) for (name, a), g in zip(kept.items(), gradients, strict=True)},
            )
        )
    return found


def whole(pieces, name, stride):
    """G of the image, (K, h, w), and A with each cell from the core that it lies in."""
    channels = len(pieces[0][2][name][0])
    gradient, activation = (torch.zeros(channels, GRID[0] // stride, GRID[1] // stride).double() for _ in range(2))
    for tile, _, kept in pieces:
        a, g = kept[name]
        top, bottom, left, right = (edge // stride for edge in tile.window)
        first, last, begin, end = (edge // stride for edge in tile.core)
        gradient[:, top:bottom, left:right] += g
        activation[:, first:last, begin:end] = a[:, first - top : last - top, begin - left : end - left]
    return activation, gradient


def test_tiles_cover_the_image_once_and_s_is_the_sum_of_theirs(segmenter, pieces):
    assert len(pieces) > 2
    covered = np.zeros(GRID, int)
    for tile, _, _ in pieces:
        first, last, begin, end = tile.core
        covered[first:last, begin:end] += 1
    assert (covered == 1).all()
    result = explain(segmenter, picture(*GRID, seed=4), BOX, 1)
    assert result.score == pytest.approx(sum(score for _, score, _ in pieces), rel=1e-10)
    assert result.score == pytest.approx(float(result.segmentation.logits[1][result.mask].sum()), rel=1e-10)


def test_every_pixel_of_m_is_in_the_core_of_one_tile():
    mask = np.random.default_rng(0).random((160, 224)) < 0.5
    found = np.zeros(mask.shape, int)
    tiles = plan_tiles(*mask.shape, 96, 32)
    for tile in tiles:
        top, bottom, left, right = tile.window
        found[top:bottom, left:right] += _within_core(mask, tile)
    assert len(tiles) > 9 and np.array_equal(found, mask)  # tiles with neighbours on all sides among them


def test_hires_is_the_naive_sum_over_tiles(segmenter):
    image = picture(*GRID, seed=4)
    result = explain(segmenter, image, BOX, 1)
    tensor = segmenter.prepare(image)[0]
    for name, (_, stride) in segmenter.layers.items():
        hires = np.zeros((GRID[0] // stride, GRID[1] // stride))
        for tile in segmenter.tiles(GRID):
            top, bottom, left, right = tile.window
            first, last, begin, end = tile.core
            inside = np.zeros(GRID, bool)
            inside[first:last, begin:end] = result.mask[first:last, begin:end]
            inside = inside[top:bottom, left:right]
            if inside.any():
                part = tensor[..., top:bottom, left:right]
                _, maps = maps_of_mask(segmenter.model, part, inside, 1, [name])
                hires[top // stride : bottom // stride, left // stride : right // stride] += maps[name].seg_hires_grad
        np.testing.assert_allclose(result.maps[name].seg_hires_grad, hires, atol=1e-9 * max(1, np.abs(hires).max()))


def test_a_region_in_the_last_tile_alone_is_explained_there(segmenter):
    image, name = picture(*GRID, seed=4), "decoder.blocks.3"
    last = segmenter.tiles(GRID)[-1]
    top, bottom, left, right = last.window
    result = explain(segmenter, image, Region("pixel", point=(GRID[1] - 3, GRID[0] - 5)), 1, [name])
    part = segmenter.prepare(image)[0][..., top:bottom, left:right]
    score, maps = maps_of_mask(segmenter.model, part, result.mask[top:bottom, left:right], 1, [name])
    hires = maps[name].seg_hires_grad
    assert result.score == pytest.approx(score) and score != 0
    found = result.maps[name].seg_hires_grad
    np.testing.assert_allclose(found[-hires.shape[0] :, -hires.shape[1] :], hires, rtol=0, atol=1e-9 * hires.max())
    assert np.count_nonzero(found) == np.count_nonzero(hires) > 0


def test_grad_and_windowed_maps_are_those_of_the_stitched_layer(segmenter, pieces):
    for name, (_, stride) in segmenter.layers.items():
        activation, gradient = whole(pieces, name, stride)
        result = explain(
            segmenter,
            picture(*GRID, seed=4),
            BOX,
            1,
            [name],
            windows_of(activation.shape[1:]),
        )
        maps = result.maps[name]
        expected = (gradient.mean(dim=(1, 2), keepdim=True) * activation).sum(0)
        close = {"rtol": 0, "atol": 1e-9 * max(1.0, float(expected.abs().max()))}
        np.testing.assert_allclose(maps.seg_grad, expected, **close)
        assert list(maps.windowed) == possible_windows(segmenter, result, name) == windows_of(activation.shape[1:])
        for window, found in maps.windowed.items():
            reference = maps.seg_hires_grad if window == 1 else windowed_map(activation, gradient, window)
            np.testing.assert_allclose(found, reference, rtol=0, atol=1e-9 * max(1.0, np.abs(found).max()))
        np.testing.assert_allclose(maps.windowed[max(maps.windowed)], maps.seg_grad, **close)


def test_shares_of_a_tiled_image_are_the_derivatives_by_the_scale_of_what_the_encoder_hands_over(segmenter):
    result = explain(segmenter, picture(*GRID, seed=4), BOX, 1)
    model, tensor = segmenter.model, segmenter.prepare(picture(*GRID, seed=4))[0]
    scales = torch.ones(6, dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for tile in segmenter.tiles(GRID):
        top, bottom, left, right = tile.window
        first, last, begin, end = tile.core
        inside = np.zeros(GRID, bool)
        inside[first:last, begin:end] = result.mask[first:last, begin:end]
        features = model.encoder(tensor[..., top:bottom, left:right])
        scaled = [feature * scale for feature, scale in zip(features, scales, strict=True)]
        logits = model.segmentation_head(model.decoder(scaled))[0, 1]
        total = total + (logits * torch.from_numpy(inside[top:bottom, left:right])).sum()
    slopes = torch.autograd.grad(total, scales)[0] / total.detach()
    assert slopes[0] == 0  # the image itself takes no part in the decoder
    assert list(result.shares.skips) == ["encoder.relu"] + [f"encoder.layer{i}" for i in range(1, 5)]
    np.testing.assert_allclose(list(result.shares.skips.values()), slopes[1:], rtol=1e-6)
    assert sum(result.shares.skips.values()) + result.shares.bias == pytest.approx(1, abs=1e-12)
    for name, share in result.shares.through.items():
        assert share == pytest.approx(result.maps[name].seg_hires_grad.sum() / result.score, rel=1e-9)


def test_no_shares_for_some_layers_only(segmenter):
    assert explain(segmenter, picture(*GRID, seed=4), BOX, 1, ["decoder.blocks.0"]).shares is None


@settings(max_examples=60, deadline=None)
@given(
    cells=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    window=st.integers(1, 13),
    cut=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    seed=st.integers(0, 99),
)
def test_gathered_means_are_those_of_the_whole(cells, window, cut, seed):
    generator = torch.Generator().manual_seed(seed)
    activation, gradient = (torch.randn((2, *cells), generator=generator, dtype=torch.float64) for _ in range(2))
    means = WindowMeans(2, cells, window, activation)
    rows, columns = ([0, min(at, length), length] for at, length in zip(cut, cells, strict=True))
    parts = [
        (slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1]))
        for i in (0, 1)
        for j in (0, 1)
        if rows[i] < rows[i + 1] and columns[j] < columns[j + 1]
    ]
    for down, across in parts:
        means.add(gradient[:, down, across], down.start, across.start)
    found = torch.zeros(cells, dtype=torch.float64)
    for down, across in parts:
        found[down, across] = means.map_of(activation[:, down, across], down.start, across.start)
    torch.testing.assert_close(found, windowed_map(activation, gradient, window), rtol=1e-10, atol=1e-12)
    assert means._sums.numel() == n_sums(2, cells, window)


def test_windows_whose_means_do_not_fit_are_not_offered_and_are_refused(segmenter, monkeypatch):
    name = "decoder.blocks.4"
    result = explain(segmenter, picture(*GRID, seed=4), BOX, 1)
    monkeypatch.setattr(windows, "MOST_SUMS", n_sums(8, GRID, 8))
    assert possible_windows(segmenter, result, name) == [1, 8, 16, 32, 64, 128, 192]
    with pytest.raises(InputError, match="choose larger windows"):
        explain(segmenter, picture(*GRID, seed=4), BOX, 1, [name], [4])
    assert list(explain(segmenter, picture(*GRID, seed=4), BOX, 1, [name], [1, 8]).maps[name].windowed) == [1, 8]


@pytest.mark.parametrize(
    ("cells", "sizes"), [((16, 16), [1, 2, 4, 8, 16]), ((1, 1), [1]), ((5, 6), [1, 2, 4, 6]), ((1, 2), [1, 2])]
)
def test_windows_double_from_one_cell_to_the_whole_map(cells, sizes):
    assert windows_of(cells) == sizes


def test_an_image_below_the_tile_is_explained_in_one_piece():
    whole, tiled = small_segmenter(), small_segmenter(tile=96)
    results = [explain(segmenter, picture(96, 64), Region("image"), 1) for segmenter in (whole, tiled)]
    for name in results[0].maps:
        np.testing.assert_array_equal(results[0].maps[name].seg_grad, results[1].maps[name].seg_grad)
