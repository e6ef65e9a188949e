"""Merged decoder blocks against upsampling, joining and convolving one after the other."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from core.imaging.cams import maps_of_mask
from core.imaging.segmenters import wrap_model
from core.imaging.upsampled import (
    MergedUnetBlock,
    MergedUnetPlusPlusBlock,
    low_gradient,
    merge_upsampling,
    pack_upsampled,
    upsampled_convolution,
    upsampled_kernels,
)
from tests.core.imaging.nets import NATIVE, assert_same_maps, enliven, picture

import segmentation_models_pytorch as smp  # isort: skip  # after core has made torchvision import

MERGED = (MergedUnetBlock, MergedUnetPlusPlusBlock)


def one_after_the_other(low, skip, weight, bias):
    high = functional.interpolate(low, scale_factor=2, mode="nearest")
    return torch.conv2d(high if skip is None else torch.cat([high, skip], 1), weight, bias, padding=1)


def random(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("place", [(slice(3, 5), slice(2, 4)), (slice(None), slice(None))])
def test_large_kernels_are_packed_and_give_the_same(place):
    torch.manual_seed(0)
    low, skip, weight = torch.randn(1, 256, 6, 7), torch.randn(1, 64, 12, 14), torch.randn(128, 320, 3, 3) / 50
    bias = torch.randn(128)
    low.requires_grad_(), skip.requires_grad_()
    kernel, part = upsampled_kernels(weight, 256)
    packed = pack_upsampled(kernel)
    assert packed is not None
    found, expected = (
        upsampled_convolution(low, skip, kernel, part, bias, packed),
        one_after_the_other(low, skip, weight, bias),
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    gradient = torch.zeros_like(expected)
    gradient[..., *place] = torch.randn(gradient[..., *place].shape)
    by_inputs = [torch.autograd.grad(output, (low, skip), gradient) for output in (found, expected)]
    torch.testing.assert_close(*by_inputs, rtol=1e-4, atol=1e-4)


def make(architecture, dtype=torch.float64, **options):
    torch.manual_seed(0)
    model = getattr(smp, architecture)("resnet18", encoder_weights=None, classes=3, **options)
    return enliven(model).to(dtype)


def merged(model):
    other = copy.deepcopy(model)
    merge_upsampling(other)
    return other


def n_merged(model):
    return sum(isinstance(module, MERGED) for module in model.modules())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_values_and_gradients_are_those_of_the_steps(data):
    draw = data.draw
    n, low_channels, skip_channels, outputs = (draw(st.integers(low, 4)) for low in (1, 1, 0, 1))
    height, width, seed = draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(0, 99))
    weight = random(outputs, low_channels + skip_channels, 3, 3, seed=seed)
    bias = random(outputs, seed=seed + 1) if draw(st.booleans()) else None
    low = random(n, low_channels, height, width, seed=seed + 2).requires_grad_()
    skip = random(n, skip_channels, 2 * height, 2 * width, seed=seed + 3).requires_grad_() if skip_channels else None
    expected = one_after_the_other(low, skip, weight, bias)
    found = upsampled_convolution(low, skip, *upsampled_kernels(weight, low_channels), bias)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    with torch.inference_mode():
        torch.testing.assert_close(
            upsampled_convolution(low, skip, *upsampled_kernels(weight, low_channels), bias), expected.detach()
        )
    seed_gradient = random(*expected.shape, seed=seed + 4)
    leaves = [low] if skip is None else [low, skip]
    wanted = torch.autograd.grad(expected, leaves, seed_gradient)
    for own, true in zip(torch.autograd.grad(found, leaves, seed_gradient), wanted, strict=True):
        torch.testing.assert_close(own, true, rtol=1e-11, atol=1e-11)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_gradient_of_a_box_is_the_whole_one(data):
    draw = data.draw
    height, width = 2 * draw(st.integers(1, 9)), 2 * draw(st.integers(1, 9))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom, right = draw(st.integers(top, height)), draw(st.integers(left, width))  # an empty box too
    kernel, _ = upsampled_kernels(random(24, 24, 3, 3, seed=1), 24)  # of enough channels to be cut out
    gradient = torch.zeros(1, 24, height, width, dtype=torch.float64)
    gradient[..., top:bottom, left:right] = random(1, 24, bottom - top, right - left, seed=2)
    expected = torch.conv2d(gradient, kernel, stride=2, padding=1)
    torch.testing.assert_close(low_gradient(kernel, gradient), expected, rtol=1e-11, atol=1e-11)


def test_gradient_by_one_of_the_two_alone():
    kernels = upsampled_kernels(random(3, 5, 3, 3, seed=0), 2)
    for first in (True, False):
        low, skip = random(1, 2, 4, 4, seed=1), random(1, 3, 8, 8, seed=2)
        leaf = (low if first else skip).requires_grad_()
        other = torch.autograd.grad(upsampled_convolution(low, skip, *kernels).sum(), leaf)[0]
        weight = random(3, 5, 3, 3, seed=0)
        true = torch.autograd.grad(one_after_the_other(low, skip, weight, None).sum(), leaf)[0]
        torch.testing.assert_close(other, true)


@pytest.mark.parametrize("norm", ["batchnorm", "identity", {"type": "instancenorm", "affine": True}], ids=str)
@pytest.mark.parametrize(("architecture", "count"), [("Unet", 5), ("UnetPlusPlus", 11)])
def test_maps_of_whole_networks_are_the_same(architecture, count, norm):
    model = make(architecture, decoder_use_norm=norm)
    quick = merged(model)
    assert n_merged(quick) == count and n_merged(model) == 0
    layers = ["encoder.layer1", "encoder.layer4", *(f"decoder.blocks.{name}" for name in _blocks(model))]
    mask = np.zeros((64, 96), bool)
    mask[20:31, 40:52] = True
    image = torch.rand(1, 3, 64, 96, dtype=torch.float64)
    for region in (mask, ~mask):
        score, expected = maps_of_mask(model, image, region, 1, layers)
        own_score, found = maps_of_mask(quick, image, region, 1, layers)
        assert own_score == pytest.approx(score, rel=1e-11)
        assert_same_maps(found, expected, 1e-11)


def _blocks(model):
    blocks = model.decoder.blocks
    return blocks if isinstance(blocks, torch.nn.ModuleDict) else [str(index) for index in range(len(blocks))]


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("Unet", {"decoder_attention_type": "scse"}),
        ("UnetPlusPlus", {"decoder_attention_type": "scse"}),
        ("Unet", {"decoder_interpolation": "bilinear"}),
        ("FPN", {}),
        ("MAnet", {}),
    ],
)
def test_other_ways_of_upsampling_are_left_alone(architecture, options):
    model = make(architecture, **options)
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    quick = merged(model)
    assert torch.equal(quick(image), model(image))
    assert n_merged(quick) == 0


def test_an_empty_skip_connection_is_none():
    """Transformer encoders have no feature at half resolution and hand the decoder one without channels."""
    torch.manual_seed(0)
    model = enliven(smp.Unet("mit_b0", encoder_weights=None, classes=3)).double()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    assert n_merged(segmenter.network) == 5
    tensor, _ = segmenter.prepare(picture(64, 96))
    mask = np.zeros((64, 96), bool)
    mask[10:50, 20:90] = True
    score, expected = maps_of_mask(model, tensor, mask, 1, list(segmenter.layers))
    own_score, found = maps_of_mask(segmenter.network, tensor, mask, 1, list(segmenter.layers))
    assert own_score == pytest.approx(score, rel=1e-11)
    assert_same_maps(found, expected, 1e-10)


def test_a_subclass_of_a_block_is_left_alone():
    class Special(smp.decoders.unet.decoder.UnetDecoderBlock):
        def forward(self, *inputs, **named):
            return 2 * super().forward(*inputs, **named)

    model = make("Unet")
    model.decoder.blocks[1].__class__ = Special
    quick = merged(model)
    assert n_merged(quick) == 4
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(quick(image), model(image))


def test_sizes_that_are_not_doubled_are_interpolated():
    model = make("Unet")
    block = merged(model).decoder.blocks[0]
    low, skip = random(1, 512, 3, 4, seed=0), random(1, 256, 5, 8, seed=1)
    torch.testing.assert_close(block(low, 5, 8, skip), model.decoder.blocks[0](low, 5, 8, skip))


def test_a_first_run_without_a_graph_does_not_spoil_the_ones_after():
    segmenter = wrap_model(make("Unet", torch.float32), preprocessing=NATIVE)
    tensor, _ = segmenter.prepare(picture(64, 64))
    with torch.inference_mode():
        segmenter.network(tensor)
    assert n_merged(segmenter.network) == 5 and n_merged(segmenter.model) == 0
    score, maps = maps_of_mask(segmenter.network, tensor, np.ones((64, 64), bool), 1, ["encoder.layer4"])
    wanted, reference = maps_of_mask(segmenter.model, tensor, np.ones((64, 64), bool), 1, ["encoder.layer4"])
    assert score == pytest.approx(wanted, rel=1e-4)
    scale = abs(reference["encoder.layer4"].seg_grad).max()
    np.testing.assert_allclose(
        maps["encoder.layer4"].seg_grad, reference["encoder.layer4"].seg_grad, atol=1e-3 * scale
    )


def test_second_derivatives_are_refused_and_not_wrong():
    low = random(1, 2, 4, 4, seed=0).requires_grad_()
    output = upsampled_convolution(low, None, *upsampled_kernels(random(3, 2, 3, 3, seed=1), 2))
    (first,) = torch.autograd.grad(output.square().sum(), low, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
