"""How the two maps of a layer agree with each other and with the region. Numbers about maps, not about truth.

Shares of a map inside M measure plausibility, not faithfulness: the mask itself would score 1. Of each cell counts
what lies on the image: the padding around it is a mirror image that the network reads and nobody sees.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage, stats

from core.imaging.cams import LayerMaps
from core.imaging.preprocess import Geometry


@dataclass(frozen=True)
class MapNumbers:
    """Numbers of one map.

    Attributes:
        maximum: largest raw value of the cells on the image.
        inside: share of the positive evidence inside M, None when there is none.
        inside_dilated: the same for M grown by ``Agreement.dilation`` pixels.
        negative_lost: share of all absolute evidence that is negative, which a ReLU throws away.
    """

    maximum: float
    inside: float | None
    inside_dilated: float | None
    negative_lost: float | None


@dataclass(frozen=True)
class Agreement:
    """Seg-Grad beside Seg-HiRes at one layer.

    Attributes:
        seg_grad, seg_hires_grad: numbers of each map.
        spearman: rank correlation of the raw maps over the layer's cells on the image; None when one is constant.
        top_iou: overlap (IoU) of the cells with the highest values.
        top_fraction: the fraction of those cells that ``top_iou`` looks at.
        dilation: pixels of the network's grid by which M was grown.
    """

    seg_grad: MapNumbers
    seg_hires_grad: MapNumbers
    spearman: float | None
    top_iou: float | None
    top_fraction: float
    dilation: int

    def describe(self) -> dict[str, Any]:
        """The numbers as a manifest states them."""
        return asdict(self)


def agreement(
    maps: LayerMaps, mask: np.ndarray, geometry: Geometry, top_fraction: float = 0.1, dilation: int = 10
) -> Agreement:
    """Compare the two maps of a layer.

    Args:
        maps: raw maps (h, w).
        mask: M, boolean (H, W) on the network's grid.
        geometry: how the image lies on the grid.
        top_fraction: of the cells with the highest values.
        dilation: in pixels of the grid.
    """
    on_image = np.zeros_like(mask)
    on_image[geometry.content] = True
    cross = ndimage.generate_binary_structure(2, 1)
    grown = ndimage.binary_dilation(mask, cross, iterations=dilation, mask=on_image)
    share = geometry.content_share(maps.seg_grad.shape)
    seen = [raw[share > 0] for raw in (maps.seg_grad, maps.seg_hires_grad)]
    return Agreement(
        seg_grad=_numbers(maps.seg_grad, share, mask, grown),
        seg_hires_grad=_numbers(maps.seg_hires_grad, share, mask, grown),
        spearman=spearman(seen[0], seen[1]),
        top_iou=top_iou(seen[0], seen[1], top_fraction),
        top_fraction=top_fraction,
        dilation=dilation,
    )


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Rank correlation of two maps of one shape; None when one of them is constant."""
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(stats.spearmanr(first.ravel(), second.ravel()).statistic)


def top_iou(first: np.ndarray, second: np.ndarray, fraction: float) -> float | None:
    """Intersection over union of the ``fraction`` of cells with the highest values; None when one is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    count = max(1, round(fraction * first.size))
    tops = [set(np.argsort(-values.ravel(), kind="stable")[:count].tolist()) for values in (first, second)]
    return len(tops[0] & tops[1]) / len(tops[0] | tops[1])


def share_inside(raw: np.ndarray, share: np.ndarray, mask: np.ndarray) -> float | None:
    """Share of a map's positive evidence on the image inside a region of it.

    Args:
        raw: a map (h, w).
        share: the part of each cell (h, w) on the image, see :meth:`Geometry.content_share`.
        mask: the region, boolean (H, W) on the grid; cells are counted by area.

    Returns:
        0..1, or None where there is no positive evidence on the image.
    """
    positive = np.maximum(raw, 0).astype(np.float64)
    total = (positive * share).sum()
    return float((positive * _coverage(mask, raw.shape)).sum() / total) if total > 0 else None


def _coverage(mask: np.ndarray, cells: tuple[int, ...]) -> np.ndarray:
    """The part of each cell (h, w) that a region of the grid (H, W) covers."""
    height, width = mask.shape
    if height % cells[0] or width % cells[1]:  # a layer whose cells are not whole pixels
        rows, columns = (_parts(side, count) for side, count in zip(mask.shape, cells, strict=True))
        return rows @ mask @ columns.T
    blocks = mask.reshape(cells[0], height // cells[0], cells[1], width // cells[1])
    return blocks.mean(axis=(1, 3))


def _parts(side: int, count: int) -> np.ndarray:
    """The part (count, side) of each of ``count`` equal cells that each of ``side`` pixels makes up."""
    edges, pixels = np.arange(count + 1) * side / count, np.arange(side)
    within = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(within, 0) * count / side


def _numbers(raw: np.ndarray, share: np.ndarray, mask: np.ndarray, grown: np.ndarray) -> MapNumbers:
    magnitude = float((np.abs(raw) * share).sum(dtype=np.float64))
    negative = float((-np.minimum(raw, 0) * share).sum(dtype=np.float64))
    return MapNumbers(
        maximum=float(raw[share > 0].max()),
        inside=share_inside(raw, share, mask),
        inside_dilated=share_inside(raw, share, grown),
        negative_lost=negative / magnitude if magnitude > 0 else None,
    )
