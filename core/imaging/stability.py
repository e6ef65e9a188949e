"""Stability: how far a map moves when the image hardly does, and whether it turns with the image.

The region M stays the same (turned with the image for flips): this is about the map, not about the segmentation. The
padding around the image does not count, and is made anew of the noisy pixels.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from core.errors import InputError
from core.imaging.agreement import spearman
from core.imaging.cams import METHODS, CamResult, maps_of_mask
from core.imaging.preprocess import pad_to
from core.imaging.sanity import require_one_tile
from core.imaging.segmenters import Segmenter, pixels_of
from core.progress import Progress, silent


@dataclass(frozen=True)
class StabilityNumbers:
    """Numbers of one method.

    Attributes:
        noise_spearman: mean rank correlation with the original over the noisy images; None if a map was constant.
        noise_change: largest relative change ||map' - map|| / ||map|| (max-sensitivity); None if the map is zero.
        flip_spearman: rank correlation with the original after flipping left-right and back, and upside-down.
    """

    noise_spearman: float | None
    noise_change: float | None
    flip_spearman: dict[str, float | None]


@dataclass(frozen=True)
class Stability:
    """Stability of a layer's maps; ``noise`` is the noise's standard deviation relative to the image's."""

    layer: str
    noise: float
    draws: int
    numbers: dict[str, StabilityNumbers]
    spread: dict[str, np.ndarray]
    seed: int

    def describe(self) -> dict[str, Any]:
        """The numbers as a manifest states them (without the spread maps)."""
        described = asdict(self)
        del described["spread"]
        return described


def stability(
    segmenter: Segmenter,
    image: Any,
    result: CamResult,
    layer: str,
    *,
    noise: float = 0.05,
    draws: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Stability:
    """Explain noisy and flipped versions of an image's input and compare the maps with the original's.

    Args:
        segmenter: what was explained.
        image: the image (MedicalImage or pixels).
        result: maps and region.
        layer: whose maps are compared.
        noise: standard deviation of the noise, relative to that of the network's input.
        draws: number of noisy versions.
        seed: of the noise.
        progress: called after each version; whatever it raises ends the work.

    Returns:
        Numbers, and for each method the standard deviation (h, w) of the raw map over the noisy versions.
    """
    report = progress or silent
    if layer not in result.maps:
        raise InputError(f"there are no maps of the layer {layer!r}", f"choose one of {', '.join(result.maps)}")
    if not (0 < noise <= 1 and 2 <= draws <= 100):
        raise InputError("noise or draws are out of range", "give noise above 0 and up to 1, and 2 to 100 draws")
    tensor, geometry = segmenter.prepare(pixels_of(image))
    require_one_tile(segmenter, geometry.grid_size)
    generator = torch.Generator().manual_seed(seed)
    content = geometry.crop(tensor)[0]
    scale = float(content.std()) * noise
    total = draws + 2

    def maps(changed: torch.Tensor, mask: np.ndarray) -> dict[str, np.ndarray]:
        with segmenter.lock:
            _, found = maps_of_mask(segmenter.network, changed, mask, result.class_index, [layer])
        return {method: getattr(found[layer], method) for method in METHODS}

    report(0, total, "versions")
    noisy = []
    for index in range(draws):
        added = torch.randn(content.shape, generator=generator).to(content) * scale
        noisy.append(maps(pad_to(content + added, geometry)[None], result.mask))
        report(index + 1, total, "versions")
    flipped = {}
    for index, (name, axis) in enumerate((("left-right", 1), ("upside-down", 0))):
        turned = maps(torch.flip(tensor, dims=(axis + 2,)), np.flip(result.mask, axis).copy())
        flipped[name] = {method: np.flip(values, axis) for method, values in turned.items()}
        report(draws + index + 1, total, "versions")
    numbers, spread = {}, {}
    for method in METHODS:
        raw = getattr(result.maps[layer], method)
        cells = geometry.content_cells(raw.shape)
        original = raw[cells]
        versions = [version[method][cells] for version in noisy]
        ranks = [spearman(original, version) for version in versions]
        known = [rank for rank in ranks if rank is not None]
        norm = float(np.linalg.norm(original))
        numbers[method] = StabilityNumbers(
            noise_spearman=float(np.mean(known)) if known else None,
            noise_change=max(float(np.linalg.norm(v - original)) for v in versions) / norm if norm else None,
            flip_spearman={name: spearman(original, turned[method][cells]) for name, turned in flipped.items()},
        )
        spread[method] = np.std([version[method] for version in noisy], axis=0)
    return Stability(layer, noise, draws, numbers, spread, seed)
