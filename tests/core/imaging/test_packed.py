"""Packed convolutions against torch's own, over shapes and paddings, and in whole networks."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.imaging.cams import maps_of_mask
from core.imaging.packed import LARGE, PackedConv2d, pack_kernels
from tests.core.imaging.nets import assert_same_maps

import segmentation_models_pytorch as smp  # isort: skip  # after core has made torchvision import


def packed_and_plain(*shape, **options):
    plain = nn.Sequential(nn.Conv2d(*shape, **options)).requires_grad_(False)
    packed = copy.deepcopy(plain)
    pack_kernels(packed)
    return packed, plain


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_output_and_gradient_equal_torch(data):
    draw = data.draw
    kernel, dilation = draw(st.sampled_from((1, 3))), draw(st.integers(1, 2))
    padding = draw(st.integers(0, dilation * (kernel - 1)))
    torch.manual_seed(draw(st.integers(0, 99)))
    packed, plain = packed_and_plain(512, 512, kernel, padding=padding, dilation=dilation, bias=draw(st.booleans()))
    assert type(packed[0]) is PackedConv2d
    image = torch.randn(draw(st.integers(1, 3)), 512, draw(st.integers(5, 12)), draw(st.integers(5, 12)))
    if draw(st.booleans()):
        image = image.contiguous(memory_format=torch.channels_last)
    image.requires_grad_()
    gradient = torch.randn_like(expected := plain(image))
    found = packed(image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    by_image = [torch.autograd.grad(output, image, gradient)[0] for output in (found, expected)]
    torch.testing.assert_close(*by_image, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(packed(image.detach().clone()), expected.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet34", "tu-tf_efficientnet_lite0"])
def test_maps_of_whole_networks_are_the_same(name):
    torch.manual_seed(0)
    model = smp.Unet(name, encoder_weights=None, classes=3).eval().requires_grad_(False)
    packed = copy.deepcopy(model)
    pack_kernels(packed)
    assert any(isinstance(module, PackedConv2d) for module in packed.modules())
    layers = ["encoder.layer4"] if name == "resnet34" else ["decoder.blocks.0"]
    mask = np.zeros((96, 96), bool)
    mask[20:60, 30:70] = True
    image = torch.rand(1, 3, 96, 96)
    score, expected = maps_of_mask(model, image, mask, 1, layers)
    own_score, found = maps_of_mask(packed, image, mask, 1, layers)
    assert own_score == pytest.approx(score, rel=1e-4)
    assert_same_maps(found, expected, 1e-3)


def test_only_large_plain_convolutions_of_stride_1_are_packed():
    class Special(nn.Conv2d):
        pass

    options = (
        {}, {"stride": 2}, {"padding": "same"}, {"padding_mode": "reflect"}, {"groups": 2}, {"padding": 3},
        {"dtype": torch.float64},
    )  # fmt: skip
    model = nn.Sequential(*(nn.Conv2d(512, 512, 3, **option) for option in options), Special(512, 512, 3))
    model.append(nn.Conv2d(LARGE // 9 - 1, 1, 3))
    pack_kernels(model.requires_grad_(False))
    assert [type(module) is PackedConv2d for module in model] == [True, *[False] * 8]


def test_packed_weights_are_kept_once_for_each_direction():
    packed, _ = packed_and_plain(512, 512, 3)
    assert [name for name, _ in packed.named_parameters()] == ["0.bias"]
    assert len(packed[0].packed) == 2


def test_second_derivatives_are_refused_and_not_wrong():
    packed, _ = packed_and_plain(512, 512, 3)
    image = torch.rand(1, 512, 5, 5, requires_grad=True)
    (first,) = torch.autograd.grad(packed(image).square().sum(), image, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
