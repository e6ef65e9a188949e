"""The windowed family between the two methods: Seg-XRes CAM (Hasany, Petitjean, Meriaudeau 2023)."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

MOST_SUMS = 2**26
"""Values that the sums of one window size may have where they are gathered from tiles: 256 MiB in float32."""


def windows_of(cells: Sequence[int]) -> list[int]:
    """Windows for a map of (h, w) cells, from one cell to the whole map, doubling."""
    largest = max(cells)
    return [*(2**power for power in range(math.ceil(math.log2(largest)))), largest]


def windowed_map(activation: torch.Tensor, gradient: torch.Tensor, window: int) -> torch.Tensor:
    """Seg-XRes CAM: G's mean over windows of ``window`` x ``window`` cells from the upper left, times A, summed.

    Windows cut off by the lower and right border are averaged over the cells that they have.

    Args:
        activation: A, (K, h, w).
        gradient: G, (K, h, w).
        window: p in cells.
    """
    height, width = activation.shape[-2:]
    pooled = functional.avg_pool2d(
        gradient[None], kernel_size=(min(window, height), min(window, width)), ceil_mode=True, count_include_pad=False
    )[0]
    wide = pooled.repeat_interleave(min(window, height), dim=-2)[..., :height, :]
    wide = wide.repeat_interleave(min(window, width), dim=-1)[..., :width]
    return (activation * wide).sum(dim=0)


def n_sums(channels: int, cells: Sequence[int], window: int) -> int:
    """Values that :class:`WindowMeans` holds."""
    return channels * math.prod(-(-length // window) for length in cells)


def means_fit(channels: int, cells: Sequence[int], window: int) -> bool:
    """Whether :class:`WindowMeans` are small enough; a window of one cell is Seg-HiRes, which needs none."""
    return window == 1 or n_sums(channels, cells, window) <= MOST_SUMS


class WindowMeans:
    """G's means over the windows of a layer's whole map (h, w), gathered from the tiles that the image is cut into."""

    def __init__(self, channels: int, cells: tuple[int, int], window: int, like: torch.Tensor) -> None:
        """For maps of ``cells`` (h, w), in the type and on the device of ``like``."""
        self._window = window
        counts = [torch.bincount(torch.arange(length) // window).to(like) for length in cells]
        self._counts = torch.outer(*counts)
        self._sums = like.new_zeros((channels, *self._counts.shape))

    def add(self, gradient: torch.Tensor, top: int, left: int) -> None:
        """Add a tile's G (K, h', w') whose first cell is (top, left) of the map."""
        rows, columns = self._places(gradient, top, left)
        by_column = gradient.new_zeros((*gradient.shape[:2], self._sums.shape[2])).index_add_(2, columns, gradient)
        self._sums.index_add_(1, rows, by_column)

    def map_of(self, activation: torch.Tensor, top: int, left: int) -> torch.Tensor:
        """Seg-XRes CAM (h', w') of a part's A (K, h', w') whose first cell is (top, left) of the map."""
        rows, columns = self._places(activation, top, left)
        near = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        means = self._sums[:, *near] / self._counts[near]
        return (activation * means[:, rows - rows[0]][:, :, columns - columns[0]]).sum(dim=0)

    def _places(self, part: torch.Tensor, top: int, left: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The window's row of each of a part's rows, and the same of its columns."""
        rows, columns = (
            torch.arange(first, first + length, device=part.device) // self._window
            for first, length in zip((top, left), part.shape[-2:], strict=True)
        )
        return rows, columns
