import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from core.errors import InputError
from core.imaging import stability as stability_module
from core.imaging.cams import LayerMaps, explain
from core.imaging.preprocess import pad_to
from core.imaging.regions import Region
from core.imaging.sanity import randomisation, shuffle_weights, similarity_of, stages_from_head
from core.imaging.segmenters import wrap_model
from core.imaging.stability import stability
from core.jobs import JobCancelled
from tests.core.imaging.nets import NATIVE, picture, small_segmenter, small_unet

LAYER = "decoder.blocks.1"


@pytest.fixture(scope="module")
def case():
    segmenter, image = small_segmenter(), picture()
    return segmenter, image, explain(segmenter, image, Region("image"), 1)


def test_stages_run_from_the_head_to_the_first_layer_and_cover_all_weights():
    model = small_unet()
    stages = stages_from_head(model)
    assert stages[0] == "segmentation_head" and stages[1] == "decoder.blocks.4" and stages[-1] == "encoder.conv1"
    covered = sum(p.numel() for stage in stages for p in model.get_submodule(stage).parameters())
    assert covered == sum(p.numel() for p in model.parameters())


def test_shuffling_keeps_the_values():
    model = small_unet()
    before = model.segmentation_head[0].weight.clone()
    shuffle_weights(model.segmentation_head, torch.Generator().manual_seed(0))
    after = model.segmentation_head[0].weight
    assert not torch.equal(before, after)
    assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)


def test_the_cascade_destroys_the_maps_and_not_the_network(case):
    segmenter, image, result = case
    before = {key: value.clone() for key, value in segmenter.model.state_dict().items()}
    calls = []
    found = randomisation(segmenter, image, result, LAYER, progress=lambda *args: calls.append(args[:2]))
    assert all(torch.equal(value, before[key]) for key, value in segmenter.model.state_dict().items())
    assert len(found.steps) == len(stages_from_head(segmenter.model)) and calls[-1][0] == calls[-1][1]
    assert abs(found.steps[-1].spearman["seg_hires_grad"]) < 0.5
    again = randomisation(segmenter, image, result, LAYER)
    assert again == found, "the same seed gives the same cascade"
    assert set(found.describe()) == {"layer", "steps", "edges", "seed"}


def test_cancel_and_bad_layer(case):
    segmenter, image, result = case

    def stop(done, total, note=""):
        raise JobCancelled("stopped")

    for check in (randomisation, stability):
        with pytest.raises(JobCancelled):
            check(segmenter, image, result, LAYER, progress=stop)
        with pytest.raises(InputError, match="no maps"):
            check(segmenter, image, result, "nonsense")
    with pytest.raises(InputError, match="out of range"):
        stability(segmenter, image, result, LAYER, noise=0)


def test_similarity():
    values = np.random.default_rng(0).random((12, 12))
    assert similarity_of(values, 7 * values) == pytest.approx(1)
    assert similarity_of(values, -values) < 0.5
    assert similarity_of(values[:1], values[:1]) == 1 and np.isfinite(similarity_of(values[:4, :5], values[:4, 1:6]))


def test_large_images_are_refused():
    segmenter = small_segmenter(tile=96)
    image = picture(64, 160)
    result = explain(segmenter, image, Region("image"), 1, layers=[LAYER])
    with pytest.raises(InputError, match="tiles"):
        randomisation(segmenter, image, result, LAYER)


def test_no_noise_is_no_change_and_more_noise_is_more(case):
    segmenter, image, result = case
    little = stability(segmenter, image, result, LAYER, noise=1e-6, draws=2)
    much = stability(segmenter, image, result, LAYER, noise=0.5, draws=2)
    for method in ("seg_grad", "seg_hires_grad"):
        assert little.numbers[method].noise_spearman == pytest.approx(1, abs=1e-3)
        assert little.numbers[method].noise_change < 0.01 < much.numbers[method].noise_change
        assert little.spread[method].shape == result.maps[LAYER].seg_grad.shape
    assert "spread" not in much.describe()


def test_flips_of_a_symmetric_network_are_perfect():
    """A network without a sense of left, right, up and down: its kernels are symmetric."""
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 2, 1)).eval()
    with torch.no_grad():
        for axis in (2, 3):
            model[0].weight.copy_((model[0].weight + model[0].weight.flip(axis)) / 2)
    segmenter = wrap_model(model, preprocessing=NATIVE)
    result = explain(segmenter, picture(), Region("image"), 0, layers=["1"])
    found = stability(segmenter, picture(), result, "1", draws=2)
    for numbers in found.numbers.values():
        assert all(value == pytest.approx(1, abs=1e-4) for value in numbers.flip_spearman.values())


@pytest.fixture(scope="module")
def padded():
    """An image of 40 x 52 pixels on a grid of 64 x 64, and its maps with other values in the padding."""
    segmenter, image = small_segmenter(), picture(40, 52)
    result = explain(segmenter, image, Region("image"), 1)
    assert result.geometry.content == (slice(12, 52), slice(6, 58))
    changed = {}
    for name, maps in result.maps.items():
        raws = []
        for raw in (maps.seg_grad, maps.seg_hires_grad):
            cell = 64 // raw.shape[0]
            on_image = np.zeros(raw.shape, bool)
            on_image[12 // cell : -(-52 // cell), 6 // cell : -(-58 // cell)] = True
            raws.append(np.where(on_image, raw, 5 - 40 * raw))
        changed[name] = LayerMaps(*raws)
    return segmenter, image, result, dataclasses.replace(result, maps=changed)


def test_stability_does_not_look_at_the_padding(padded):
    segmenter, image, result, other = padded
    layer = "decoder.blocks.3"
    assert not np.array_equal(result.maps[layer].seg_grad, other.maps[layer].seg_grad)
    assert stability(segmenter, image, other, layer, draws=2).numbers == (
        stability(segmenter, image, result, layer, draws=2).numbers
    )


def test_the_noise_is_that_of_the_image_and_its_padding_is_made_anew(padded, monkeypatch):
    segmenter, image, result, _ = padded
    seen = []
    real = stability_module.maps_of_mask

    def watched(network, tensor, mask, class_index, layers):
        seen.append((tensor.clone(), real(network, tensor, mask, class_index, layers)))
        return seen[-1][1]

    monkeypatch.setattr(stability_module, "maps_of_mask", watched)
    found = stability(segmenter, image, result, LAYER, noise=0.1, draws=2)
    tensor, geometry = segmenter.prepare(image)
    assert len(seen) == 4
    ranks = []
    for noisy, (_, maps) in seen[:2]:
        torch.testing.assert_close(noisy, pad_to(geometry.crop(noisy)[0], geometry)[None])
        added = geometry.crop(noisy - tensor)
        assert float(added.std()) == pytest.approx(0.1 * float(geometry.crop(tensor).std()), rel=0.03)
        cells = slice(12 // 8, 7), slice(0, 8)  # 52 and 58 lie within the seventh and eighth cell of 8 pixels
        pair = (raw.seg_hires_grad[cells].ravel() for raw in (result.maps[LAYER], maps[LAYER]))
        assert maps[LAYER].seg_hires_grad.shape == (8, 8)
        ranks.append(stats.spearmanr(*pair).statistic)
    assert found.numbers["seg_hires_grad"].noise_spearman == pytest.approx(np.mean(ranks))


def test_randomisation_does_not_look_at_the_padding(padded):
    segmenter, image, result, other = padded
    layer = "decoder.blocks.3"
    assert randomisation(segmenter, image, other, layer) == randomisation(segmenter, image, result, layer)


@pytest.mark.parametrize(
    ("cells", "rows", "columns"), [(64, (12, 52), (6, 58)), (8, (1, 7), (0, 8)), (1, (0, 1), (0, 1))]
)
def test_cells_of_the_content(padded, cells, rows, columns):
    assert padded[2].geometry.content_cells((cells, cells)) == (slice(*rows), slice(*columns))
