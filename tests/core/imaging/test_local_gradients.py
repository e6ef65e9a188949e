"""The local backward pass against torch's own, over shapes, strides, boxes and whole networks."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.imaging.cams import maps_of_mask
from core.imaging.local_gradients import LocalConv2d, input_gradient, localize_gradients, nonzero_box
from tests.core.imaging.nets import assert_same_maps

import segmentation_models_pytorch as smp  # isort: skip  # after core has made torchvision import


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_input_gradient_equals_autograd(data):
    draw = data.draw
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride, dilation = ((draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in range(2))
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    groups = draw(st.sampled_from((1, 2)))
    size = (draw(st.integers(1, 2)), 2 * groups, draw(st.integers(10, 24)), draw(st.integers(10, 24)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    image = torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.randn((4, 2, *kernel), generator=generator, dtype=torch.float64)
    output = torch.conv2d(image, weight, None, stride, padding, dilation, groups)
    height, width = output.shape[-2:]
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom, right = draw(st.integers(top, height)), draw(st.integers(left, width))  # an empty box too
    gradient = torch.zeros_like(output)
    gradient[..., top:bottom, left:right] = torch.randn(
        gradient[..., top:bottom, left:right].shape, generator=generator
    )
    if draw(st.booleans()):
        gradient = gradient.contiguous(memory_format=torch.channels_last)
    (expected,) = torch.autograd.grad(output, image, gradient)
    found = input_gradient(image.shape, weight, gradient, stride, padding, dilation, groups)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("column", [0, 1, 12, 13])
def test_a_gradient_that_comes_from_padding_alone_is_zero(column):
    image = torch.rand(1, 2, 10, 10, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(4, 2, 1, 1, dtype=torch.float64)
    output = torch.conv2d(image, weight, padding=(0, 2))
    gradient = torch.zeros_like(output)
    gradient[..., 0, column] = 1
    (expected,) = torch.autograd.grad(output, image, gradient)
    assert not expected.any()
    found = input_gradient(image.shape, weight, gradient, (1, 1), (0, 2), (1, 1), 1)
    torch.testing.assert_close(found, expected)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    cells=st.lists(st.tuples(st.floats(), *(st.integers(0, 5) for _ in range(4))), max_size=4),
    last=st.booleans(),
)
def test_box_holds_every_cell_that_is_not_zero(shape, cells, last):
    values = torch.zeros(shape, dtype=torch.float64)
    for value, *place in cells:
        values[tuple(index % length for index, length in zip(place, shape, strict=True))] = value
    filled = np.argwhere((values.numpy() != 0).any(axis=(0, 1)))
    found = nonzero_box(values.contiguous(memory_format=torch.channels_last) if last else values)
    if not len(filled):
        assert found is None
    else:
        (top, left), (bottom, right) = filled.min(0), filled.max(0) + 1
        assert found == (top, bottom, left, right)


@pytest.mark.parametrize("architecture", ["Unet", "UnetPlusPlus", "FPN", "DeepLabV3Plus", "MAnet", "Linknet"])
@pytest.mark.parametrize("place", [(slice(0, 1), slice(0, 1)), (slice(20, 31), slice(40, 52)), (slice(None),) * 2])
def test_maps_of_whole_networks_are_the_same(architecture, place):
    torch.manual_seed(0)
    model = getattr(smp, architecture)("resnet18", encoder_weights=None, classes=3).eval().double()
    model.requires_grad_(False)
    local = copy.deepcopy(model)
    localize_gradients(local)
    assert any(isinstance(module, LocalConv2d) for module in local.modules())
    layers = ["encoder.layer1", "encoder.layer4"]
    mask = np.zeros((64, 64), bool)
    mask[place] = True
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    score, expected = maps_of_mask(model, image, mask, 1, layers)
    own_score, found = maps_of_mask(local, image, mask, 1, layers)
    assert own_score == pytest.approx(score, rel=1e-12)
    assert_same_maps(found, expected, 1e-11)


def test_only_frozen_plain_convolutions_behind_the_encoder_are_local():
    class Special(nn.Conv2d):
        pass

    model = nn.Module()
    model.encoder = nn.Sequential(nn.Conv2d(32, 32, 3))
    model.encoder_like = nn.Conv2d(32, 32, 3)
    options = ({}, {"padding": "same"}, {"padding_mode": "reflect"}, {"groups": 16})
    model.decoder = nn.ModuleList(
        [*(nn.Conv2d(32, 32, 3, **option) for option in options), Special(32, 32, 3), nn.Conv2d(32, 4, 3)]
    )
    localize_gradients(model)
    kinds = [type(module) is LocalConv2d for module in (model.encoder[0], model.encoder_like, *model.decoder)]
    assert kinds == [False, True, True, False, False, False, False, False]


def test_weights_that_are_trained_get_their_gradients():
    conv = nn.Sequential(nn.Conv2d(24, 24, 3, padding=1))
    plain = copy.deepcopy(conv)
    localize_gradients(conv)
    image = torch.rand(1, 24, 8, 8, requires_grad=True)
    for one in (conv, plain):
        one(image).square().sum().backward()
    torch.testing.assert_close(conv[0].weight.grad, plain[0].weight.grad)


def test_second_derivatives_are_refused_and_not_wrong():
    conv = nn.Sequential(nn.Conv2d(24, 24, 3)).requires_grad_(False)
    localize_gradients(conv)
    image = torch.rand(1, 24, 8, 8, requires_grad=True)
    (first,) = torch.autograd.grad(conv(image).square().sum(), image, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("place", [(slice(3, 5), slice(2, 4)), (slice(None), slice(None))])
def test_large_kernels_are_packed_and_give_the_same(place):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(256, 256, 3, padding=1)).requires_grad_(False)
    local = copy.deepcopy(plain)
    localize_gradients(local)
    assert local[0].packed is not None
    image = torch.rand(1, 256, 12, 12, requires_grad=True)
    expected, found = plain(image), local(image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradient = torch.zeros_like(expected)
    gradient[..., *place] = torch.randn(gradient[..., *place].shape)
    by_image = [torch.autograd.grad(output, image, gradient)[0] for output in (found, expected)]
    torch.testing.assert_close(*by_image, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        torch.testing.assert_close(local(image.detach().clone()), expected.detach(), rtol=1e-4, atol=1e-5)
