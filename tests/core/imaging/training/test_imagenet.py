"""ImageNet weights to start from, against the package they were made for, and networks stored as float16."""

from dataclasses import replace

import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file

from core.errors import InputError, MissingError
from core.imaging.segmenters import load_segmenter
from core.imaging.training import fit as fitting
from core.imaging.training import imagenet
from core.imaging.training.cases import Split
from core.imaging.training.fit import draw_cases, fit
from core.imaging.training.network import build_network, write_folder
from core.imaging.training.recipes import Round, get_recipe

ENCODER = "tu-tf_efficientnet_lite0"
LITE = replace(
    get_recipe("hippocampus"),
    encoder=ENCODER,
    encoder_depth=5,
    decoder_channels=(16, 8, 8, 8, 8),
    crop=32,
    batch=2,
    imagenet=True,
    rounds=(Round(1, learning_rate=1e-12),),
)


@pytest.mark.parametrize(("lite", "size"), [(0, 224), (2, 260)])
def test_the_classifier_is_the_packages_own(lite, size):
    weights = imagenet.imagenet_weights(f"tu-tf_efficientnet_lite{lite}")
    peer = EfficientNet.from_name(f"efficientnet-lite{lite}")
    peer.load_state_dict(weights)
    ours = timm.create_model(f"tf_efficientnet_lite{lite}")
    ours.load_state_dict(dict(zip(ours.state_dict(), weights.values(), strict=True)))
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.inference_mode():
        expected, given = peer.double().eval()(images), ours.double().eval()(images)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-10)
    assert expected.std() > 0.1


def test_one_channel_reads_a_grey_picture_as_three_do():
    grey, colour = (
        build_network(replace(LITE, preprocessing=replace(LITE.preprocessing, channels=channels))).double().eval()
        for channels in (1, 3)
    )
    for network in (grey, colour):
        own = network.state_dict()
        network.load_state_dict(own | imagenet.start_encoder(ENCODER, own))
    picture = torch.rand(1, 1, 64, 96, dtype=torch.float64)
    with torch.inference_mode():
        pairs = list(zip(grey.encoder(picture), colour.encoder(picture.expand(-1, 3, -1, -1)), strict=True))
    for one, three in pairs[1:]:
        torch.testing.assert_close(one, three, rtol=1e-3, atol=1e-4)  # the weights are summed in float32


def test_training_starts_there_once(tmp_path, monkeypatch):
    cases = draw_cases(LITE, 6, 0)
    split = Split(cases[:4], cases[4:5], cases[5:])
    weights, _ = fit(LITE, split, tmp_path, 0)
    expected = imagenet.start_encoder(ENCODER, weights)
    kernels = [name for name in expected if expected[name].ndim > 1]
    assert len(kernels) > 40
    for name in kernels:  # a learning rate of next to nothing leaves them where they were
        torch.testing.assert_close(weights[name], expected[name], rtol=0, atol=1e-6)
    monkeypatch.setattr(fitting, "start_encoder", lambda *_: pytest.fail("read again"))
    again, _ = fit(LITE, split, tmp_path, 0)  # goes on from the checkpoint, which is its end
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_what_does_not_fit_or_is_not_there_is_said(monkeypatch):
    with pytest.raises(InputError, match="no ImageNet weights for 'resnet34'"):
        imagenet.imagenet_weights("resnet34")
    lite2 = build_network(replace(LITE, encoder="tu-tf_efficientnet_lite2")).state_dict()
    with pytest.raises(InputError, match="do not fit"):
        imagenet.start_encoder(ENCODER, lite2)
    other = imagenet._WEIGHTS[ENCODER]._replace(sha256="0" * 64)
    monkeypatch.setitem(imagenet._WEIGHTS, ENCODER, other)
    with pytest.raises(InputError, match="does not hold the weights"):
        imagenet.imagenet_weights(ENCODER)
    monkeypatch.setitem(imagenet._WEIGHTS, ENCODER, other._replace(package="no_such_package"))
    with pytest.raises(MissingError, match="not installed"):
        imagenet.imagenet_weights(ENCODER)


def test_kernels_are_stored_in_half_the_bytes_and_read_in_float32(tmp_path):
    network = build_network(LITE)
    card = {"title": "t", "classes": list(LITE.class_names), "preprocessing": LITE.preprocessing.to_card()}
    for name, half in (("whole", False), ("half", True)):
        write_folder(tmp_path / name, replace(LITE, half=half), network.state_dict(), card)
    whole, half = (tmp_path / name / "model.safetensors" for name in ("whole", "half"))
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    stored, own = load_file(half), network.state_dict()
    for name, value in load_segmenter(tmp_path / "half").model.state_dict().items():
        assert value.dtype == own[name].dtype
        kernel = own[name].ndim > 1
        assert stored[name].dtype == (torch.float16 if kernel else own[name].dtype)
        torch.testing.assert_close(value, own[name].half().float() if kernel else own[name], rtol=0, atol=0)
