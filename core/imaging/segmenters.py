"""Segmenters: a network with its card, loaded from a folder, and the segmentation of an image by it.

A folder has ``config.json`` and the weights (``model.safetensors``, or a state dict as ``*.pth``, ``*.pt``,
``*.ckpt`` or ``*.bin``) in the layout of segmentation_models_pytorch's ``save_pretrained``, and a ``card.yaml``:
``title``, ``classes`` (names by class index) and ``preprocessing`` (see :mod:`core.imaging.preprocess`), with
whatever else is worth knowing. Nothing in a folder is ever executed and nothing is fetched from a hub.
"""

import dataclasses
import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from core.errors import InputError, MissingError
from core.hashing import file_sha256
from core.imaging.architectures import (
    build_model,
    explainable_layers,
    first_output,
    is_piecewise_linear,
    load_parameters,
    output_stride,
    strip_activation,
    unwrap_checkpoint,
)
from core.imaging.cards import class_colours, class_names
from core.imaging.folding import fold_batch_norms
from core.imaging.local_gradients import localize_gradients
from core.imaging.packed import pack_kernels
from core.imaging.preprocess import Geometry, Preprocessing
from core.imaging.readers.image import AXES
from core.imaging.tiling import Tile, plan_tiles, run_tiled
from core.settings import PROJECT_ROOT, get_settings

SHIPPED_MODELS = PROJECT_ROOT / "assets" / "models"
WEIGHT_PATTERNS = ("model.safetensors", "*.safetensors", "*.pth", "*.pt", "*.ckpt", "*.bin")


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A loaded network and what is known of it. Safe to share between threads through :attr:`lock`.

    Attributes:
        name: the folder's name.
        model: the network as it was loaded, in evaluation mode, giving logits (n, C, H, W).
        card: the content of card.yaml.
        weights_sha256: hash of the weights file.
        classes: class names by index; a one-channel network has two (1 = its logit, 0 = minus its logit).
        colours: uint8 (classes, 3), in which masks are drawn: the card's, or ours.
        layers: module path -> (channels, stride) of the layers that maps can be taken from.
        preprocessing: how an image becomes the network's input.
        piecewise_linear: all after the encoder's features is piecewise linear, so that shares of S are exact.
        notes: remarks on loading, for manifests and the page.
        lock: held around every use of the network.
    """

    name: str
    model: nn.Module
    card: Mapping[str, Any]
    weights_sha256: str
    classes: tuple[str, ...]
    colours: np.ndarray
    layers: Mapping[str, tuple[int, int]]
    preprocessing: Preprocessing
    piecewise_linear: bool = False
    notes: tuple[str, ...] = ()
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def title(self) -> str:
        """The name to show."""
        return str(self.card.get("title") or self.name)

    @property
    def architecture(self) -> str:
        """The network's class name."""
        return type(self.model).__name__

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are."""
        return next(self.model.parameters()).device

    @cached_property
    def network(self) -> nn.Module:
        """What is run: a frozen copy of ``model``, the same function and gradients at less cost."""
        with self.lock, torch.inference_mode(False):  # or its weights could take no part in a graph
            network = fold_batch_norms(self.model, self.preprocessing.channels)
        if self.device.type == "cpu":  # to look for zeros would make a GPU wait; merging was measured on CPUs alone
            from core.imaging.upsampled import merge_upsampling  # imports segmentation_models_pytorch

            merge_upsampling(network)
            localize_gradients(network)
            pack_kernels(network)
        return network

    def tiles(self, grid_size: tuple[int, int]) -> list[Tile]:
        """How a grid of this size (H, W) is cut; one tile unless it is larger than the card's ``tile``."""
        return plan_tiles(*grid_size, self.preprocessing.tile, self.preprocessing.stride)

    def prepare(self, pixels: np.ndarray) -> tuple[torch.Tensor, Geometry]:
        """Pixels (h, w) or (h, w, 3) to the network's input (1, c, H, W) on its device, and the geometry."""
        tensor, geometry = self.preprocessing.prepare(pixels)
        parameter = next(self.model.parameters())
        return tensor.to(parameter.device, parameter.dtype), geometry

    def logits(self, tensor: torch.Tensor) -> torch.Tensor:
        """Logits (1, C, H, W) of an input (1, c, H, W), tile by tile where it is large. No gradients."""
        with self.lock, torch.inference_mode():
            return run_tiled(lambda part: first_output(self.network(part)), tensor, self.tiles(_size(tensor)))

    def check_class(self, class_index: int) -> None:
        """Raise InputError unless there is a class of this index."""
        if not 0 <= class_index < len(self.classes):
            names = ", ".join(f"{index} {name}" for index, name in enumerate(self.classes))
            raise InputError(f"{self.name} has no class {class_index}", f"choose one of {names}")


def _size(tensor: torch.Tensor) -> tuple[int, int]:
    return int(tensor.shape[-2]), int(tensor.shape[-1])


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a segmenter says about an image.

    Attributes:
        logits: (C, H, W) float on the network's grid, padding included.
        mask: (h, w) uint8 class index for each of the image's pixels.
        geometry: how the two lie on each other.
    """

    logits: np.ndarray
    mask: np.ndarray
    geometry: Geometry

    def areas(self, n_classes: int) -> list[int]:
        """Pixels of the image in each class."""
        return np.bincount(self.mask.ravel(), minlength=n_classes).tolist()


def class_logits(logits: torch.Tensor, class_index: int) -> torch.Tensor:
    """The logit map of a class out of (..., C, H, W): for one channel, class 1 is its logit and class 0 minus that."""
    if logits.shape[-3] == 1:
        return logits[..., 0, :, :] if class_index == 1 else -logits[..., 0, :, :]
    return logits[..., class_index, :, :]


def class_mask(logits: torch.Tensor) -> torch.Tensor:
    """The class index of each pixel out of (..., C, H, W): the largest logit; for one channel, its sign."""
    # max gives the same indices as argmax, in a tenth of the time
    return (logits[..., 0, :, :] > 0).long() if logits.shape[-3] == 1 else logits.max(dim=-3).indices


def segment(segmenter: Segmenter, image: Any) -> Segmentation:
    """Segment an image of any size.

    Args:
        segmenter: a loaded segmenter.
        image: a MedicalImage, or raw pixels (h, w) or (h, w, 3).

    Returns:
        Logits on the network's grid and the mask on the image's pixels (logits are resized, then compared).
    """
    tensor, geometry = segmenter.prepare(pixels_of(image))
    logits = segmenter.logits(tensor)[0]
    return segmentation_of(logits, geometry)


def segmentation_of(logits: torch.Tensor, geometry: Geometry) -> Segmentation:
    """The segmentation that logits (C, H, W) on a grid stand for."""
    mask = class_mask(geometry.to_image(logits.float()))
    return Segmentation(logits.cpu().numpy(), mask.cpu().numpy().astype(np.uint8), geometry)


def pixels_of(image: Any) -> np.ndarray:
    """The pixels of a MedicalImage, or of an array given as it is."""
    return np.asarray(getattr(image, "pixels", image))


def wrap_model(
    model: nn.Module,
    name: str = "model",
    *,
    in_channels: int | None = None,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    card: Mapping[str, Any] | None = None,
    weights_sha256: str = "",
    notes: Sequence[str] = (),
) -> Segmenter:
    """Make a segmenter of a network in memory. The network is used as it is: evaluation mode is required.

    Raises:
        InputError: it is in training mode, cannot be run, gives no map per class or classes that overlap, the class
            names are too few or too many, or the card's view or a colour of it is none.
    """
    if model.training:
        raise InputError("the network is in training mode", "call model.eval() first")
    if in_channels is None:
        first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
        in_channels = first.in_channels if first is not None else 3
    if (view := (card or {}).get("view")) not in (None, *AXES):
        raise InputError(f"the card's view {view!r} is no axis", f"write {', '.join(AXES)} or no view in card.yaml")
    remarks = list(notes)
    activation = strip_activation(model)
    if activation is not None:
        remarks.append("The network's final activation was removed: it is explained at its logits.")
    preprocessing = preprocessing or Preprocessing.from_card(None, channels=in_channels)
    if preprocessing.channels != in_channels:
        raise InputError(
            f"the network takes {in_channels} channels, its card's preprocessing gives {preprocessing.channels}",
            "make preprocessing.channels in card.yaml equal to in_channels in config.json",
        )
    plan = explainable_layers(model, in_channels)
    stride = math.lcm(preprocessing.stride, output_stride(model), plan.minimum_side)
    tile = -(-preprocessing.tile // stride) * stride
    preprocessing = dataclasses.replace(preprocessing, stride=stride, tile=tile)
    n_channels = _channels_out(model, in_channels, plan.minimum_side * 2)
    if isinstance(activation, nn.Sigmoid | nn.LogSigmoid):
        _require_one_class_a_pixel(n_channels, type(activation).__name__)
    n_classes = max(2, n_channels)
    names = tuple(classes or (f"class {index}" for index in range(n_classes)))
    if len(names) != n_classes:
        raise InputError(
            f"the card names {len(names)} classes, the network gives {n_classes}",
            "name each class in card.yaml, the background included",
        )
    segmenter = Segmenter(
        name=name,
        model=model,
        card=dict(card or {}),
        weights_sha256=weights_sha256,
        classes=names,
        colours=class_colours(card or {}, n_classes),
        layers=plan.layers,
        preprocessing=preprocessing,
        piecewise_linear=is_piecewise_linear(model),
        notes=tuple(remarks),
    )
    try:  # what is run is not the network that was tried so far
        _channels_out(segmenter.network, in_channels, plan.minimum_side * 2)
    except RuntimeError as error:
        raise InputError(
            f"the network cannot be run on an image once it is made ready ({error})", "choose another architecture"
        ) from error
    return segmenter


def _require_one_class_a_pixel(n_channels: int, activation: str) -> None:
    """Refuse several classes with a sigmoid each: a pixel may have two or none, which one mask cannot say."""
    if n_channels > 1:
        raise InputError(
            f"the network ends in a {activation} over {n_channels} classes, so they may overlap, and a mask here has "
            "one class a pixel",
            "give each class a network of one channel, or train with a softmax and a background class",
        )


def _channels_out(model: nn.Module, in_channels: int, side: int) -> int:
    parameter = next(model.parameters())
    with torch.inference_mode():
        return first_output(model(torch.zeros(1, in_channels, side, side).to(parameter))).shape[1]


def list_segmenters() -> dict[str, Path]:
    """Name -> folder of the shipped segmenters and of those in the folder of the setting ``models``."""
    found: dict[str, Path] = {}
    for parent in (SHIPPED_MODELS, get_settings().models):
        if parent is not None and parent.is_dir():
            found |= {folder.name: folder for folder in sorted(parent.iterdir()) if (folder / "config.json").is_file()}
    return found


def read_card(folder: Path) -> dict[str, Any]:
    """Read ``card.yaml`` of a segmenter's folder; empty where there is none.

    Raises:
        InputError: it is not YAML, or not a mapping.
    """
    path = folder / "card.yaml"
    if not path.is_file():
        return {}
    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"card.yaml of {folder.name} is not YAML", "mend the file") from error
    if not isinstance(card, dict | None):
        raise InputError(f"card.yaml of {folder.name} is not a mapping", "write it as `key: value` lines")
    return card or {}


def load_segmenter(name_or_folder: str | Path, device: str | None = None) -> Segmenter:
    """Load a segmenter by its name in :func:`list_segmenters`, or from a folder.

    Raises:
        MissingError: there is no such segmenter, or its weights are not in the folder.
        InputError: the config is not allowed or has classes that overlap, or the weights do not fit it.
    """
    folder = _resolve(name_or_folder)
    config = _read_config(folder)
    card = read_card(folder)
    path = _weights_path(folder)
    activation = config.get("activation")
    model = build_model(config)
    if str(activation).lower() in ("sigmoid", "logsigmoid"):
        _require_one_class_a_pixel(int(config.get("classes", 1)), str(activation))
    load_parameters(model, _read_weights(path))
    model.requires_grad_(False)
    target = torch.device(_device(device))
    # channels last is what convolutions on a CPU and on tensor cores work in; elsewhere it changes nothing
    model = model.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lag
    in_channels = int(config.get("in_channels", 3))
    notes = []
    if activation not in (None, "identity"):
        notes.append(f"The final {activation} was left out: the network is explained at its logits.")
    return wrap_model(
        model,
        folder.name,
        in_channels=in_channels,
        classes=class_names(card),
        preprocessing=Preprocessing.from_card(card.get("preprocessing"), channels=in_channels),
        card=card,
        weights_sha256=file_sha256(path),
        notes=notes,
    )


def files_changed(folder: Path) -> tuple[int, ...]:
    """When config, card and weights of a segmenter's folder were changed, in ns; others mean that it is another one.

    Raises:
        MissingError: it has no weights.
    """
    files = (folder / "config.json", folder / "card.yaml", _weights_path(folder))
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in files)


def _resolve(name_or_folder: str | Path) -> Path:
    known = list_segmenters()
    if str(name_or_folder) in known:
        return known[str(name_or_folder)]
    folder = Path(name_or_folder)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise MissingError(f"the folder {folder.name} has no config.json", "give a segmenter's folder")
        return folder.resolve()
    offer = f"choose one of {', '.join(known)}" if known else "train one with `python -m core train-segmenter`"
    raise MissingError(f"there is no segmenter {str(name_or_folder)!r}", f"{offer}, or give a segmenter's folder")


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"config.json of {folder.name} is not JSON", "save the folder again") from error
    if not isinstance(config, dict):
        raise InputError(f"config.json of {folder.name} is not an object", "save the folder again")
    return config


def _weights_path(folder: Path) -> Path:
    for pattern in WEIGHT_PATTERNS:
        if found := sorted(folder.glob(pattern)):
            return found[0]
    raise MissingError(
        f"{folder.name} has no weights", "put model.safetensors or a state dict (*.pth) beside config.json"
    )


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        checkpoint: object = (
            load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        )
    except SafetensorError as error:
        raise InputError(f"{path.name} is damaged", "copy or save the weights again") from error
    except Exception as error:  # torch.load raises many kinds; none of them is worth a traceback
        raise InputError(
            f"{path.name} is not a state dict that can be read safely",
            "save it with torch.save(model.state_dict(), ...) or as safetensors",
        ) from error
    return unwrap_checkpoint(checkpoint)


def _device(device: str | None) -> str:
    wanted = device or get_settings().device
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"
