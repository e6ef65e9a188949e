"""Build a recipe's network, write it in the segmentation_models_pytorch layout and read it back."""

import json
import shutil
from pathlib import Path
from typing import Any

import core.torchvision_ops  # noqa: F401  # isort: skip
import numpy as np
import segmentation_models_pytorch as smp
import torch
import yaml
from safetensors.torch import save

from core.hashing import file_sha256
from core.imaging.preprocess import Preprocessing
from core.imaging.training.recipes import Recipe


def network_config(recipe: Recipe) -> dict[str, Any]:
    """The ``config.json`` of a recipe."""
    return {
        "_model_class": "Unet",
        "encoder_name": recipe.encoder,
        "encoder_depth": recipe.encoder_depth,
        "encoder_weights": None,
        "decoder_channels": list(recipe.decoder_channels),
        "in_channels": recipe.preprocessing.channels,
        "classes": len(recipe.classes),
        "activation": None,
    }


def build_network(recipe: Recipe) -> torch.nn.Module:
    """A network with fresh weights (channels last), from torch's current random state."""
    options = {key: value for key, value in network_config(recipe).items() if key != "_model_class"}
    return smp.Unet(**options).to(memory_format=torch.channels_last)


def write_folder(dest: Path, recipe: Recipe, weights: dict[str, torch.Tensor], card: dict[str, Any]) -> None:
    """Write config.json, model.safetensors and card.yaml (with the weights' SHA-256), then put them in place."""
    partial = dest.with_name(dest.name + ".new")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stored = {
        # vectors stay: a running variance may lie outside of what float16 holds
        name: value.to(torch.float16 if recipe.half and value.ndim > 1 else value.dtype).contiguous()
        for name, value in weights.items()
    }
    (partial / "model.safetensors").write_bytes(save(stored))  # what save_file raises on a full disk is no OSError
    (partial / "config.json").write_text(json.dumps(network_config(recipe), indent=2) + "\n")
    digest = file_sha256(partial / "model.safetensors")
    text = yaml.safe_dump({**card, "weights_sha256": digest}, sort_keys=False, allow_unicode=True, width=110)
    (partial / "card.yaml").write_text(text)
    if dest.exists():
        shutil.rmtree(dest)
    partial.rename(dest)


@torch.inference_mode()
def predict(model: torch.nn.Module, preprocessing: Preprocessing, pixels: np.ndarray) -> np.ndarray:
    """Mask uint8 (h, w) of an image: logits at the image's pixels, then argmax; no tiling."""
    tensor, geometry = preprocessing.prepare(pixels)
    logits = model(tensor.contiguous(memory_format=torch.channels_last))
    return geometry.to_image(logits)[0].argmax(0).numpy().astype(np.uint8)
