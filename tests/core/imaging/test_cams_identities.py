"""What must hold of the maps whatever the weights: completeness, locality, additivity, shares, symmetries."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from scipy import ndimage
from torch import nn

from core.imaging.cams import explain, explain_regions, maps_of_mask
from core.imaging.regions import Region
from core.imaging.segmenters import wrap_model
from tests.core.imaging.nets import NATIVE, enliven, picture, small_segmenter, small_unet


def test_completeness_at_the_decoder_output():
    segmenter = small_segmenter(dtype=torch.float64)
    result = explain(segmenter, picture(), Region("box", box=(5, 5, 40, 60)), 1)
    bias = float(segmenter.model.segmentation_head[0].bias[1])
    total = result.maps["decoder.blocks.4"].seg_hires_grad.sum() + bias * result.n_pixels
    assert total == pytest.approx(result.score, rel=1e-12)
    assert result.maps["decoder.blocks.4"].seg_grad.sum() != pytest.approx(result.score, rel=0.01)


def test_hires_is_local_at_the_last_layer_and_grad_is_not():
    segmenter = small_segmenter(dtype=torch.float64)
    result = explain(segmenter, picture(), Region("box", box=(20, 20, 40, 40)), 1)
    last = result.maps["decoder.blocks.4"]
    outside = ~ndimage.binary_dilation(result.mask, np.ones((3, 3)))
    assert np.all(last.seg_hires_grad[outside] == 0)
    assert np.abs(last.seg_grad[outside]).max() > 0


@pytest.fixture(scope="module")
def one_by_one():
    """A network that ends in a 1x1 head."""
    model = small_unet()
    torch.manual_seed(3)
    model.segmentation_head[0] = nn.Conv2d(8, 3, 1)
    return wrap_model(model.double().requires_grad_(False), preprocessing=NATIVE)


def test_under_a_1x1_head_the_maps_are_the_logits(one_by_one):
    result = explain(one_by_one, picture(), Region("mask"), 1)
    logits = result.segmentation.logits[1] - float(one_by_one.model.segmentation_head[0].bias[1])
    last = result.maps["decoder.blocks.4"]
    np.testing.assert_allclose(last.seg_hires_grad, result.mask * logits, atol=1e-12)
    np.testing.assert_allclose(last.seg_grad, result.n_pixels / logits.size * logits, atol=1e-12)


def test_under_a_1x1_head_normalised_seg_grad_does_not_know_the_region(one_by_one):
    regions = [Region("image"), Region("mask"), Region("pixel", point=(30, 30))]
    maps = [r.maps["decoder.blocks.4"] for r in explain_regions(one_by_one, picture(), regions, 1)]
    normalised = [m.seg_grad / np.abs(m.seg_grad).max() for m in maps]
    np.testing.assert_allclose(normalised[0], normalised[1], atol=1e-12)
    np.testing.assert_allclose(normalised[0], normalised[2], atol=1e-12)
    np.testing.assert_allclose(maps[0].seg_grad, maps[0].seg_hires_grad, atol=1e-12)  # M = all pixels: both agree


def test_maps_are_additive_over_disjoint_regions():
    segmenter = small_segmenter(dtype=torch.float64)
    tensor = segmenter.prepare(picture())[0]
    first, second = np.zeros((2, 64, 64), bool)
    first[5:30, 5:30], second[35:60, 10:50] = True, True
    results = [
        maps_of_mask(segmenter.model, tensor, mask, 1, list(segmenter.layers))
        for mask in (first, second, first | second)
    ]
    assert results[0][0] + results[1][0] == pytest.approx(results[2][0], rel=1e-12)
    for name in segmenter.layers:
        for method in ("seg_grad", "seg_hires_grad"):
            a, b, both = (getattr(maps[name], method) for _, maps in results)
            np.testing.assert_allclose(a + b, both, atol=1e-11 * max(1, np.abs(both).max()))


def test_direct_shares_and_bias_make_up_the_score():
    segmenter = small_segmenter(dtype=torch.float64)
    shares = explain(segmenter, picture(), Region("image"), 1).shares
    assert list(shares.skips) == ["encoder.relu"] + [f"encoder.layer{i}" for i in range(1, 5)]
    # an independent account of the shares: the derivative of S by the scale of all that the encoder hands over
    model = segmenter.model
    tensor = segmenter.prepare(picture())[0]

    def score(scale):
        with torch.no_grad():
            features = model.encoder(tensor)
            scaled = [feature * scale for feature in features]
            return float(model.segmentation_head(model.decoder(scaled))[0, 1].sum())

    # S is homogeneous but for the biases: d S(scale * F) / d scale at 1 is the sum of the skips' shares
    slope = (score(1 + 1e-6) - score(1 - 1e-6)) / 2e-6
    total = score(1.0)
    assert sum(shares.skips.values()) == pytest.approx(slope / total, rel=1e-6)
    assert sum(shares.skips.values()) + shares.bias == pytest.approx(1, abs=1e-12)


def test_shares_of_a_bias_free_decoder_sum_to_one():
    model = small_unet().double()
    with torch.no_grad():
        for part in (model.decoder, model.segmentation_head):
            for module in part.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.bias.copy_(module.weight * module.running_mean / (module.running_var + module.eps).sqrt())
                elif isinstance(module, nn.Conv2d) and module.bias is not None:
                    module.bias.zero_()
    result = explain(wrap_model(model, preprocessing=NATIVE), picture(), Region("image"), 2)
    assert sum(result.shares.skips.values()) == pytest.approx(1, abs=1e-10)
    assert result.shares.skips["encoder.layer4"] != pytest.approx(1, abs=0.1)  # one branch is not the whole


def test_no_shares_where_they_are_not_exact():
    model = enliven(smp.FPN("resnet18", encoder_weights=None, classes=2))  # group norm
    assert explain(wrap_model(model, preprocessing=NATIVE), picture(), Region("image")).shares is None
    gated = small_unet(decoder_attention_type="scse", decoder_channels=(32, 32, 32, 16, 16))
    assert explain(wrap_model(gated, preprocessing=NATIVE), picture(), Region("image")).shares is None


def test_full_gradient_identity():
    """S = x . dS/dx + sum of biases . gradient, for a network that is piecewise linear throughout."""
    model = small_unet().double()
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    x = torch.from_numpy(picture().transpose(2, 0, 1)[None].astype(np.float64)).requires_grad_()
    norms, outputs, handles = [], [], []

    def keep(module, _inputs, output):
        norms.append(module)
        outputs.append(output)

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) or (isinstance(module, nn.Conv2d) and module.bias is not None):
            handles.append(module.register_forward_hook(keep))
    score = model(x)[0, 1].sum()
    gradients = torch.autograd.grad(score, [x, *outputs])
    for handle in handles:
        handle.remove()
    total = float((x.detach() * gradients[0]).sum())
    for module, gradient in zip(norms, gradients[1:], strict=True):
        shift = module.bias
        if isinstance(module, nn.BatchNorm2d):
            shift = module.bias - module.weight * module.running_mean / (module.running_var + module.eps).sqrt()
        total += float((gradient.sum(dim=(0, 2, 3)) * shift).sum())
    assert total == pytest.approx(float(score), rel=1e-10)


def test_twice_the_logits_give_twice_the_maps_and_the_same_picture():
    single, double = small_unet().double(), small_unet().double()
    with torch.no_grad():
        double.segmentation_head[0].weight.mul_(2)
        double.segmentation_head[0].bias.mul_(2)
    results = [explain(wrap_model(m, preprocessing=NATIVE), picture(), Region("mask"), 1) for m in (single, double)]
    for name in results[0].maps:
        np.testing.assert_allclose(
            2 * results[0].maps[name].seg_grad, results[1].maps[name].seg_grad, rtol=1e-10, atol=1e-12
        )
    assert results[1].score == pytest.approx(2 * results[0].score)


def test_permuting_the_classes_permutes_the_maps():
    plain, permuted = small_unet(), small_unet()
    order = [2, 0, 1]
    with torch.no_grad():
        permuted.segmentation_head[0].weight.copy_(plain.segmentation_head[0].weight[order])
        permuted.segmentation_head[0].bias.copy_(plain.segmentation_head[0].bias[order])
    first = explain(wrap_model(plain, preprocessing=NATIVE), picture(), Region("image"), 2)
    second = explain(wrap_model(permuted, preprocessing=NATIVE), picture(), Region("image"), 0)
    np.testing.assert_allclose(
        first.maps["encoder.layer3"].seg_grad, second.maps["encoder.layer3"].seg_grad, rtol=1e-4, atol=1e-6
    )


def test_maps_move_with_the_image_by_whole_strides():
    segmenter = small_segmenter(dtype=torch.float64)
    wide = picture(64, 320, seed=5)
    tensor = segmenter.prepare(wide)[0]
    shifted = torch.roll(tensor, 32, dims=3)
    mask = np.zeros((64, 320), bool)
    mask[20:40, 150:170] = True
    layer = "decoder.blocks.4"
    _, here = maps_of_mask(segmenter.model, tensor, mask, 1, [layer])
    _, there = maps_of_mask(segmenter.model, shifted, np.roll(mask, 32, axis=1), 1, [layer])
    inner = slice(145, 176)
    moved = slice(177, 208)
    # the receptive field is wider than the picture, so borders matter a little: they are far away
    np.testing.assert_allclose(
        here[layer].seg_hires_grad[:, inner], there[layer].seg_hires_grad[:, moved], rtol=0.05, atol=0.05
    )
