"""Small networks for the imaging tests, with the statistics of a trained one (nothing dead, nothing symmetric)."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import nn

import core.torchvision_ops  # noqa: F401
from core.imaging.cams import LayerMaps
from core.imaging.preprocess import Preprocessing
from core.imaging.segmenters import Segmenter, wrap_model

NATIVE = Preprocessing(channels=3, resize="native", intensity="window", low=0, high=1, mean=0, std=1)


def assert_same_maps(found: Mapping[str, LayerMaps], expected: Mapping[str, LayerMaps], tolerance: float) -> None:
    """Both raw maps of every layer, to a share of the largest value of each."""
    for name, maps in expected.items():
        for field in ("seg_grad", "seg_hires_grad"):
            reference = getattr(maps, field)
            largest = abs(reference).max()
            np.testing.assert_allclose(getattr(found[name], field), reference, rtol=0, atol=tolerance * largest)


_made: dict[tuple, nn.Module] = {}


def enliven(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random norms and biases, evaluation mode, frozen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=generator))
                module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
                module.weight.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
                module.bias.copy_(0.2 * torch.randn(module.bias.shape, generator=generator))
    return model.eval().requires_grad_(False)


def small_unet(classes: int = 3, in_channels: int = 3, seed: int = 0, **kwargs) -> nn.Module:
    kwargs = {"decoder_channels": (32, 24, 16, 12, 8), **kwargs}
    key = (classes, in_channels, seed, repr(sorted(kwargs.items())))
    if key not in _made:  # making random weights takes longer than copying them
        torch.manual_seed(seed)
        model = smp.Unet("resnet18", encoder_weights=None, classes=classes, in_channels=in_channels, **kwargs)
        _made[key] = enliven(model, seed)
    return copy.deepcopy(_made[key])


def small_segmenter(classes: int = 3, in_channels: int = 3, dtype=torch.float32, tile: int = 0, **kwargs) -> Segmenter:
    import dataclasses

    preprocessing = dataclasses.replace(NATIVE, channels=in_channels, tile=tile)
    return wrap_model(small_unet(classes, in_channels, **kwargs).to(dtype), preprocessing=preprocessing)


def picture(height: int = 64, width: int = 64, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth random pixels in 0..1."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).random((height, width, channels))
    smooth = gaussian_filter(noise, (3, 3, 0)) if min(height, width) > 3 else noise
    smooth = (smooth - smooth.min()) / max(np.ptp(smooth), 1e-9)
    return smooth.astype(np.float32) if channels > 1 else smooth[..., 0].astype(np.float32)


def save_folder(folder: Path, model: nn.Module | None = None, card: str | None = None, **config) -> Path:
    """A segmenter's folder as training writes it."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "_model_class": "Unet", "encoder_name": "resnet18", "encoder_weights": "imagenet", "in_channels": 3,
        "classes": 3, "decoder_channels": [32, 24, 16, 12, 8], **config,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    if model is not None:
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "card.yaml").write_text(
        card
        or "title: Test\nclasses: [background, left, right]\n"
        "preprocessing: {channels: 3, resize: native, intensity: window, low: 0, high: 1, mean: 0, std: 1}\n"
    )
    return folder
