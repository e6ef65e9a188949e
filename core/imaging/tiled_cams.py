"""Maps of an image that is too large for one pass.

The network of a large image is the tiled one: each output pixel comes from the tile whose core holds it. S is the
sum over tiles of S_t = the class's logits over M within the core, and raw maps are additive over disjoint regions,
so Seg-HiRes of the image is the sum of the tiles' maps at their places. Seg-Grad needs the mean gradient of the
whole layer before it can be applied: a second forward pass over the tiles does that.
"""

from collections.abc import Sequence

import numpy as np
import torch

from core.imaging.cams import (
    CamResult,
    LayerMaps,
    captured,
    mean_probability,
    seg_grad_map,
    seg_hires_map,
)
from core.imaging.preprocess import Geometry
from core.imaging.regions import Region, region_mask
from core.imaging.segmenters import Segmenter, class_logits, segmentation_of
from core.imaging.tiling import Tile


def explain_tiled(
    segmenter: Segmenter,
    tensor: torch.Tensor,
    geometry: Geometry,
    region: Region,
    class_index: int,
    layers: Sequence[str],
) -> CamResult:
    """Explain a region of an input (1, c, H, W) tile by tile, in the memory of one tile."""
    tiles = segmenter.tiles(geometry.grid_size)
    height, width = geometry.grid_size
    segmentation = segmentation_of(segmenter.logits(tensor)[0], geometry)
    mask = region_mask(region, segmentation.logits, class_index, geometry)
    sizes: dict[str, tuple[int, int]] = {}
    hires: dict[str, np.ndarray] = {}
    weights: dict[str, torch.Tensor] = {}
    score = 0.0
    for tile in tiles:
        inside = _within_core(mask, tile)
        if not inside.any():
            continue
        top, bottom, left, right = tile.window
        with segmenter.lock, captured(segmenter.network, layers) as capture:
            logits = capture.run(tensor[..., top:bottom, left:right].contiguous())
            capture.inputs.clear()
            part, gradients, _ = capture.gradients(class_logits(logits, class_index)[0], inside)
            score += part
            for name, gradient in zip(layers, gradients, strict=True):
                activation = capture.activations[name].detach()[0]
                rows = height * activation.shape[-2] // (bottom - top)
                columns = width * activation.shape[-1] // (right - left)
                sizes[name] = (rows, columns)
                precision = activation.cpu().numpy().dtype
                total = hires.setdefault(name, np.zeros((rows, columns), precision))
                if gradient is None:
                    continue
                first, last, begin, end = _scale(tile.window, geometry.grid_size, (rows, columns))
                total[first:last, begin:end] += seg_hires_map(activation, gradient[0]).cpu().numpy()
                summed = gradient[0].sum(dim=(1, 2)) / (rows * columns)
                weights[name] = weights[name] + summed if name in weights else summed
    grad = {name: np.zeros_like(hires[name]) for name in layers}
    for tile in tiles:
        top, bottom, left, right = tile.window
        with segmenter.lock, captured(segmenter.network, layers) as capture:
            capture.run(tensor[..., top:bottom, left:right].contiguous())
            for name in layers:
                if name not in weights:
                    continue
                whole = seg_grad_map(capture.activations[name].detach()[0], weights[name]).cpu().numpy()
                first, last, begin, end = _scale(tile.core, geometry.grid_size, sizes[name])
                row, _, column, _ = _scale(tile.window, geometry.grid_size, sizes[name])
                grad[name][first:last, begin:end] = whole[first - row : last - row, begin - column : end - column]
    return CamResult(
        maps={name: LayerMaps(grad[name], hires[name]) for name in layers},
        score=score,
        n_pixels=int(mask.sum()),
        mask=mask,
        region=region,
        class_index=class_index,
        segmentation=segmentation,
        mean_probability=mean_probability(segmentation.logits, mask, class_index),
        notes=(f"The image was segmented and explained in {len(tiles)} overlapping tiles.",),
    )


def _within_core(mask: np.ndarray, tile: Tile) -> np.ndarray:
    """M inside of the tile's core, on the tile's window."""
    top, bottom, left, right = tile.window
    first, last, begin, end = tile.core
    inside = np.zeros((bottom - top, right - left), bool)
    inside[first - top : last - top, begin - left : end - left] = mask[first:last, begin:end]
    return inside


def _scale(
    span: tuple[int, int, int, int], grid: tuple[int, int], cells: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A span of grid pixels in a layer's cells; exact, because tiles begin and end at multiples of the stride."""
    top, bottom, left, right = span
    return (
        top * cells[0] // grid[0],
        bottom * cells[0] // grid[0],
        left * cells[1] // grid[1],
        right * cells[1] // grid[1],
    )
