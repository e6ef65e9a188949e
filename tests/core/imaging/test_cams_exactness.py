"""Maps against captum and grad-cam, against finite differences, and windowed ones against a plain loop."""

import cv2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM, HiResCAM
from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget

from core.imaging.cams import explain
from core.imaging.regions import Region
from core.imaging.segmenters import wrap_model
from core.imaging.windows import windowed_map
from tests.core.imaging.nets import NATIVE, enliven, picture, small_segmenter, small_unet

ARCHITECTURES = ("Unet", "UnetPlusPlus", "FPN", "DeepLabV3Plus")
ENCODERS = ("resnet18", "mobilenet_v2", "efficientnet-b0")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_raw_maps_equal_captum_and_grad_cam_at_all_layers(architecture, encoder):
    torch.manual_seed(1)
    model = getattr(smp, architecture)(encoder, encoder_weights=None, classes=3)
    segmenter = wrap_model(enliven(model, 1).double(), preprocessing=NATIVE)
    image = picture(64, 96, seed=2)
    result = explain(segmenter, image, Region("image"), 2)
    tensor = segmenter.prepare(image)[0]
    mask = torch.from_numpy(result.mask)
    assert len(result.maps) >= 9

    def score(x):
        return (model(x)[:, 2] * mask).sum(dim=(1, 2))[:, None]

    layers = [model.get_submodule(name) for name in result.maps]
    products = LayerGradientXActivation(score, layers).attribute(tensor.clone().requires_grad_(), target=0)
    target = [SemanticSegmentationTarget(2, result.mask.astype(np.float64))]
    cams = {}
    for method in (GradCAM, HiResCAM):
        with method(model, layers) as cam:
            cam(tensor.clone().requires_grad_(), target)
            kept = cam.activations_and_grads
            cams[method] = [
                cam.get_cam_image(tensor, layer, target, a.numpy(), g.numpy(), False)[0]
                for layer, a, g in zip(layers, kept.activations, kept.gradients[: len(layers)], strict=True)
            ]
    for index, (name, maps) in enumerate(result.maps.items()):
        scale = max(1.0, np.abs(maps.seg_hires_grad).max(), np.abs(maps.seg_grad).max())
        captum_hires = products[index].detach().sum(dim=1)[0].numpy()
        x = tensor.clone().requires_grad_()
        captum_grad = LayerGradCam(score, layers[index]).attribute(x, target=0).detach()[0, 0].numpy()
        for ours, peer in (
            (maps.seg_hires_grad, captum_hires),
            (maps.seg_hires_grad, cams[HiResCAM][index]),
            (maps.seg_grad, captum_grad),
            (maps.seg_grad, cams[GradCAM][index]),
        ):
            np.testing.assert_allclose(ours / scale, peer / scale, rtol=0, atol=1e-9, err_msg=name)
        assert np.abs(maps.seg_hires_grad).max() > 0, f"{name} says nothing, so it proves nothing"


def test_displayed_maps_equal_grad_cam_after_its_steps():
    model = small_unet()
    segmenter = wrap_model(model, preprocessing=NATIVE)
    image = picture()
    result = explain(segmenter, image, Region("box", box=(10, 10, 50, 50)), 1)
    names = ["encoder.layer2", "encoder.layer4", "decoder.blocks.1", "decoder.blocks.2", "decoder.blocks.4"]
    for name in names:
        for method, raw in (
            (GradCAM, result.maps[name].seg_grad),
            (HiResCAM, result.maps[name].seg_hires_grad),
        ):
            with method(model, [model.get_submodule(name)]) as cam:
                theirs = cam(
                    segmenter.prepare(image)[0].requires_grad_(),
                    [SemanticSegmentationTarget(1, result.mask.astype("f4"))],
                )[0]
            positive = np.maximum(raw, 0)
            low, high = positive.min(), positive.max()
            ours = cv2.resize((positive - low) / (1e-7 + high - low), (64, 64))
            ours = np.maximum(ours, 0)
            ours = (ours - ours.min()) / (1e-7 + ours.max() - ours.min())
            np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=name)


def test_gradient_agrees_with_finite_differences():
    segmenter = small_segmenter(dtype=torch.float64)
    image = picture()
    region = Region("image")
    layer = "decoder.blocks.1"
    kept = {}
    model = segmenter.model
    handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, o: kept.setdefault("a", o))
    tensor = segmenter.prepare(image)[0]
    model(tensor)
    handle.remove()
    activation = kept["a"]
    step = 1e-5 * activation  # along A itself, the derivative of S is the sum of the Seg-HiRes map

    def score(shift):
        handle = model.get_submodule(layer).register_forward_hook(lambda *_: activation + shift)
        try:
            return float(model(tensor)[0, 1].sum())
        finally:
            handle.remove()

    slope = (score(step) - score(-step)) / 2e-5
    total = explain(segmenter, image, region, 1).maps[layer].seg_hires_grad.sum()
    assert slope == pytest.approx(total, rel=1e-5)


def test_windows_lead_from_hires_to_grad():
    segmenter = small_segmenter(dtype=torch.float64)
    result = explain(segmenter, picture(64, 96), Region("image"), 1, windows=(1, 2, 3, 1000))
    for maps in result.maps.values():
        scale = np.abs(maps.seg_hires_grad).max() + np.abs(maps.seg_grad).max()
        np.testing.assert_allclose(maps.windowed[1], maps.seg_hires_grad, atol=1e-12 * scale)
        np.testing.assert_allclose(maps.windowed[1000], maps.seg_grad, atol=1e-12 * scale)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.integers(0, 10**6))
def test_windowed_map_equals_the_naive_one(height, width, window, seed):
    generator = torch.Generator().manual_seed(seed)
    activation, gradient = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    expected = torch.zeros(height, width, dtype=torch.float64)
    for top in range(0, height, window):
        for left in range(0, width, window):
            cell = (slice(None), slice(top, top + window), slice(left, left + window))
            weights = gradient[cell].mean(dim=(1, 2))
            expected[cell[1:]] = torch.einsum("k,khw->hw", weights, activation[cell])
    torch.testing.assert_close(windowed_map(activation, gradient, window), expected)
