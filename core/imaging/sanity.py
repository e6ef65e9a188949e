"""Weight randomisation: a map that stays the same when the network is destroyed does not show the network.

After Adebayo et al. 2018: weights are randomised from the head down to the first layer, one stage after the other
and each on top of the ones before, and the map of the same region is compared with the original. Weights are
shuffled within each tensor, so that their distribution and the scale of the activations stay. It is done on a
private copy of the network. Maps are compared in the cells that lie on the image, not in the padding around it.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity
from torch import nn

from core.errors import InputError
from core.imaging.agreement import spearman
from core.imaging.cams import METHODS, CamResult, LayerMaps, maps_of_mask
from core.imaging.segmenters import Segmenter, pixels_of
from core.progress import Progress, silent


@dataclass(frozen=True)
class RandomisationStep:
    """The maps of a layer once the stages down to ``stage`` are random, compared with the original's.

    Attributes:
        stage: module path of the last stage that was randomised.
        ssim: method -> structural similarity of the maps (after ReLU, each divided by its maximum), 1 is the same.
        spearman: method -> rank correlation of the raw maps; None when one is constant.
    """

    stage: str
    ssim: dict[str, float]
    spearman: dict[str, float | None]


@dataclass(frozen=True)
class Randomisation:
    """A cascade. ``edges`` is each original map's similarity to the image's edges, which need no network."""

    layer: str
    steps: tuple[RandomisationStep, ...]
    edges: dict[str, float]
    seed: int

    def describe(self) -> dict[str, Any]:
        """The cascade as a manifest states it."""
        return asdict(self)


def stages_from_head(model: nn.Module) -> list[str]:
    """Module paths with weights of their own, from the head down to the first layer.

    The head, then the decoder's blocks and the encoder's stages, each in reverse of their order in the network.
    """

    def children(prefix: str) -> list[str]:
        parent = model.get_submodule(prefix)
        names: list[str] = []
        for name, child in parent.named_children():
            if isinstance(child, nn.ModuleList | nn.ModuleDict):
                names += children(f"{prefix}.{name}")
            elif any(True for _ in child.parameters()):
                names.append(f"{prefix}.{name}")
        return names

    if not hasattr(model, "encoder") or not hasattr(model, "decoder"):
        return [name for name, child in model.named_children() if any(True for _ in child.parameters())][::-1]
    return ["segmentation_head", *children("decoder")[::-1], *children("encoder")[::-1]]


def shuffle_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Shuffle the values within each parameter of a module."""
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.reshape(-1)[order].view(parameter.shape))


def randomisation(
    segmenter: Segmenter,
    image: Any,
    result: CamResult,
    layer: str,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Randomisation:
    """Randomise the network from the head down and watch a layer's maps go.

    Args:
        segmenter: the segmenter; its own network is not touched.
        image: the image that ``result`` is of.
        result: maps and region; the region stays what it was.
        layer: whose maps are compared.
        seed: of the shuffling.
        progress: called after each stage; whatever it raises ends the work.

    Raises:
        InputError: the layer has no maps, or the image is explained in tiles.
    """
    report = progress or silent
    if layer not in result.maps:
        raise InputError(f"there are no maps of the layer {layer!r}", f"choose one of {', '.join(result.maps)}")
    tensor, geometry = segmenter.prepare(pixels_of(image))
    require_one_tile(segmenter, geometry.grid_size)
    with segmenter.lock:
        model = copy.deepcopy(segmenter.model)
    generator = torch.Generator().manual_seed(seed)
    stages = stages_from_head(model)
    shape = result.maps[layer].seg_grad.shape
    cells = geometry.content_cells(shape)
    steps = []
    report(0, len(stages), "stages")
    for index, stage in enumerate(stages):
        shuffle_weights(model.get_submodule(stage), generator)
        _, maps = maps_of_mask(model, tensor, result.mask, result.class_index, [layer], checked=False)
        steps.append(_compare(stage, result.maps[layer], maps[layer], cells))
        report(index + 1, len(stages), "stages")
    edges = _edges(tensor, shape)[cells]
    similarity = {method: similarity_of(getattr(result.maps[layer], method)[cells], edges) for method in METHODS}
    return Randomisation(layer, tuple(steps), similarity, seed)


def require_one_tile(segmenter: Segmenter, grid_size: tuple[int, int]) -> None:
    """Raise InputError for an image that is explained in tiles."""
    if len(segmenter.tiles(grid_size)) > 1:
        raise InputError(
            "the image is so large that it is explained in tiles, for which this check is not made",
            "crop or scale the image down",
        )


def similarity_of(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity (SSIM) of two maps after ReLU and division by their own maximum."""
    scaled = []
    for raw in (first, second):
        positive = np.maximum(raw, 0).astype(np.float64)
        scaled.append(positive / positive.max() if positive.max() > 0 else positive)
    side = min(first.shape)
    if side < 3:
        return float(1 - np.abs(scaled[0] - scaled[1]).mean())
    window = min(7, side if side % 2 else side - 1)
    return float(structural_similarity(scaled[0], scaled[1], win_size=window, data_range=1.0))


def _compare(stage: str, original: LayerMaps, changed: LayerMaps, cells: tuple[slice, slice]) -> RandomisationStep:
    pairs = {method: (getattr(original, method)[cells], getattr(changed, method)[cells]) for method in METHODS}
    return RandomisationStep(
        stage,
        {method: similarity_of(*pair) for method, pair in pairs.items()},
        {method: spearman(*pair) for method, pair in pairs.items()},
    )


def _edges(tensor: torch.Tensor, cells: Sequence[int]) -> np.ndarray:
    """Edge strength (Sobel) of an input, averaged to a layer's cells."""
    grey = tensor[0].mean(dim=0).cpu().numpy().astype(np.float64)
    strength = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    pooled = nn.functional.adaptive_avg_pool2d(torch.from_numpy(strength)[None, None], (cells[0], cells[1]))
    return pooled[0, 0].numpy()
