"""Cutting a large grid into overlapping tiles, and putting results back together.

Tiles start at multiples of the network's stride and give way to each other in the middle of their overlap, again
at a multiple of the stride. So every layer's grid is cut at whole cells and stitches back without a seam of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Tile:
    """One tile: the window that the network sees and the core whose results count, in grid pixels.

    Attributes:
        window: (top, bottom, left, right), half open.
        core: the same; the cores of all tiles cover the grid once.
    """

    window: tuple[int, int, int, int]
    core: tuple[int, int, int, int]


def _spans(length: int, side: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, stop, core start, core stop) along one axis; all multiples of half the overlap's half."""
    if length <= side:
        yield 0, length, 0, length
        return
    starts = [*range(0, length - side, side - overlap), length - side]
    for index, start in enumerate(starts):
        first = 0 if index == 0 else start + overlap // 2
        last = length if index == len(starts) - 1 else starts[index + 1] + overlap // 2
        yield start, start + side, first, last


def plan_tiles(height: int, width: int, side: int, stride: int) -> list[Tile]:
    """Cut a grid into tiles of at most ``side`` pixels that overlap by about a quarter.

    Args:
        height: the grid's, a multiple of ``stride``.
        width: the same.
        side: a tile's side, a multiple of ``stride``; 0 gives one tile.
        stride: the network's output stride.
    """
    if side <= 0:
        side = max(height, width)
    # an even number of strides, so that its middle is a whole cell, and less than the side
    overlap = 2 * stride * max(1, side // (8 * stride)) if side > 2 * stride else 0
    return [
        Tile((top, bottom, left, right), (first, last, begin, end))
        for top, bottom, first, last in _spans(height, side, overlap)
        for left, right, begin, end in _spans(width, side, overlap)
    ]


def run_tiled(network: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, tiles: list[Tile]) -> torch.Tensor:
    """Run ``network`` tile by tile and stitch the cores.

    Args:
        network: (1, c, h, w) -> (1, C, h, w).
        image: (1, c, H, W).
        tiles: a plan for (H, W).

    Returns:
        (1, C, H, W).
    """
    if len(tiles) == 1:
        return network(image)
    stitched: torch.Tensor | None = None
    for tile in tiles:
        top, bottom, left, right = tile.window
        output = network(image[..., top:bottom, left:right].contiguous())
        if stitched is None:
            stitched = output.new_empty((1, output.shape[1], *image.shape[-2:]))
        first, last, begin, end = tile.core
        stitched[..., first:last, begin:end] = output[..., first - top : last - top, begin - left : end - left]
    assert stitched is not None
    return stitched
