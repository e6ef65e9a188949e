"""Maps of an image that is too large for one pass.

The network of a large image is the tiled one: each output pixel comes from the tile whose core holds it. S is the
sum over tiles of S_t = the class's logits over M within the core, and raw maps are additive over disjoint regions,
so Seg-HiRes of the image is the sum of the tiles' maps at their places, and the shares of S are sums too. Seg-Grad
and the windowed maps need mean gradients over more than a tile before they can be applied: a second forward pass
over the tiles does that, to the activations of the cores.
"""

from collections.abc import Sequence

import numpy as np
import torch

from core.errors import InputError
from core.imaging.cams import (
    CamResult,
    LayerMaps,
    captured,
    seg_grad_map,
    seg_hires_map,
    shares_of,
)
from core.imaging.preprocess import Geometry
from core.imaging.probability import mean_probability
from core.imaging.regions import Region, region_mask
from core.imaging.segmenters import Segmenter, class_logits, segmentation_of
from core.imaging.tiling import Tile
from core.imaging.windows import WindowMeans, means_fit, windows_of


def explain_tiled(
    segmenter: Segmenter,
    tensor: torch.Tensor,
    geometry: Geometry,
    region: Region,
    class_index: int,
    layers: Sequence[str],
    windows: Sequence[int] = (),
    *,
    share: bool = True,
) -> CamResult:
    """Explain a region of an input (1, c, H, W) tile by tile, in the memory of one tile and of the maps.

    Args:
        segmenter: the segmenter; it is locked while it runs.
        tensor: the input.
        geometry: how the image lies on it.
        region: the set M.
        class_index: the class.
        layers: module paths.
        windows: Seg-XRes windows in cells; 1 is Seg-HiRes.
        share: say how S splits over layers, where that is exact; ``layers`` must then be all.

    Raises:
        InputError: empty region, or windows so small that their means would not fit into memory.
    """
    tiles = segmenter.tiles(geometry.grid_size)
    segmentation = segmentation_of(segmenter.logits(tensor)[0], geometry)
    mask = region_mask(region, segmentation.logits, class_index, geometry)
    score = 0.0
    parts: dict[str, float] = {}
    sums = {name: _LayerSums(geometry.grid_size, windows) for name in layers}
    for tile in tiles:
        inside = _within_core(mask, tile)
        if not inside.any():
            continue
        with segmenter.lock, captured(segmenter.network, layers) as capture:
            logits = capture.run(_cut(tensor, tile))
            part, gradients, inputs = capture.gradients(class_logits(logits, class_index)[0], inside)
            score += part
            for name, value in capture.parts(inputs).items():
                parts[name] = parts.get(name, 0.0) + value
            for name, gradient in zip(layers, gradients, strict=True):
                if gradient is not None:
                    sums[name].add(capture.activations[name].detach()[0], gradient[0], tile)
    for tile in tiles:
        with segmenter.lock, captured(segmenter.network, layers) as capture:
            capture.run(_cut(tensor, tile))
            for name in layers:
                sums[name].weigh(capture.activations[name].detach()[0], tile)
    maps = {name: sums[name].maps() for name in layers}
    return CamResult(
        maps=maps,
        score=score,
        n_pixels=int(mask.sum()),
        mask=mask,
        region=region,
        class_index=class_index,
        segmentation=segmentation,
        mean_probability=mean_probability(segmentation.logits, mask, class_index),
        shares=shares_of(segmenter, score, maps, parts) if share else None,
        notes=(f"The image was segmented and explained in {len(tiles)} overlapping tiles.",),
    )


def possible_windows(segmenter: Segmenter, result: CamResult, layer: str) -> list[int]:
    """The windows that a layer's map can be made with, from one cell (Seg-HiRes) to the whole map (Seg-Grad)."""
    cells = result.maps[layer].seg_grad.shape
    if len(segmenter.tiles(result.geometry.grid_size)) == 1:
        return windows_of(cells)
    channels = segmenter.layers[layer][0]
    return [window for window in windows_of(cells) if means_fit(channels, cells, window)]


class _LayerSums:
    """What is gathered of one layer over the tiles: first :meth:`add` for those with a part of M, then :meth:`weigh`.

    The layer's size is known with its first activation.
    """

    def __init__(self, grid: tuple[int, int], windows: Sequence[int]) -> None:
        self._grid, self._windows = grid, windows
        self._cells: tuple[int, int] | None = None

    def add(self, activation: torch.Tensor, gradient: torch.Tensor, tile: Tile) -> None:
        """Add a tile's A and G (K, h, w) over its window."""
        self._begin(activation, tile)
        top, bottom, left, right = self._place(tile.window)
        self._hires[top:bottom, left:right] += seg_hires_map(activation, gradient).cpu().numpy()
        self._total += gradient.sum(dim=(1, 2))
        for means in self._means.values():
            means.add(gradient, top, left)

    def weigh(self, activation: torch.Tensor, tile: Tile) -> None:
        """Make the part of the maps that lies in a tile's core out of its A (K, h, w) over its window."""
        self._begin(activation, tile)
        top, bottom, left, right = self._place(tile.core)
        above, _, before, _ = self._place(tile.window)
        core = activation[:, top - above : bottom - above, left - before : right - before]
        n_cells = self._hires.size
        self._grad[top:bottom, left:right] = seg_grad_map(core, self._total / n_cells).cpu().numpy()
        for window, means in self._means.items():
            self._windowed[window][top:bottom, left:right] = means.map_of(core, top, left).cpu().numpy()

    def maps(self) -> LayerMaps:
        """The layer's maps."""
        return LayerMaps(self._grad, self._hires, self._windowed)

    def _begin(self, activation: torch.Tensor, tile: Tile) -> None:
        if self._cells is not None:
            return
        top, bottom, left, right = tile.window
        (height, width), (rows, columns) = self._grid, activation.shape[-2:]
        self._cells = cells = (height * rows // (bottom - top), width * columns // (right - left))
        wide = [window for window in self._windows if window > 1]
        if not all(means_fit(len(activation), cells, window) for window in wide):
            raise InputError(
                "the windows are so small that their means do not fit into memory for an image of this size",
                "choose larger windows, or 1",
            )
        self._means = {window: WindowMeans(len(activation), cells, window, activation) for window in wide}
        self._total = activation.new_zeros(len(activation))
        precision = activation.cpu().numpy().dtype
        self._hires, self._grad = np.zeros(cells, precision), np.zeros(cells, precision)
        self._windowed = {window: np.zeros(cells, precision) for window in wide}
        if 1 in self._windows:
            self._windowed = {1: self._hires} | self._windowed

    def _place(self, span: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """A span of grid pixels in the layer's cells; exact, as tiles begin and end at multiples of the stride."""
        assert self._cells is not None
        (rows, columns), (height, width) = self._cells, self._grid
        top, bottom, left, right = span
        return top * rows // height, bottom * rows // height, left * columns // width, right * columns // width


def _cut(tensor: torch.Tensor, tile: Tile) -> torch.Tensor:
    """What the network sees of a tile."""
    top, bottom, left, right = tile.window
    return tensor[..., top:bottom, left:right].contiguous()


def _within_core(mask: np.ndarray, tile: Tile) -> np.ndarray:
    """M inside of the tile's core, on the tile's window."""
    top, bottom, left, right = tile.window
    first, last, begin, end = tile.core
    inside = np.zeros((bottom - top, right - left), bool)
    inside[first - top : last - top, begin - left : end - left] = mask[first:last, begin:end]
    return inside
