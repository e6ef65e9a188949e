"""From raw maps to what is shown, with every step stated as data.

Published code differs in the order of ReLU, resizing and normalisation, which changes pixels, and none of it says
which order a figure used. Here the order is fixed (ReLU, resize, crop of the padding, division by the limit) and
each displayed map carries the steps that were taken, numbers included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from core.errors import InputError
from core.imaging.cams import LayerMaps
from core.imaging.palettes import DIVERGING, SEQUENTIAL
from core.imaging.preprocess import Geometry
from core.imaging.views import ZOOMS, View


@dataclass(frozen=True)
class DisplayOptions:
    """How maps are shown.

    Attributes:
        signed: keep negative evidence (then -1..1 on a diverging palette) instead of cutting it off by a ReLU.
        smooth: bilinear interpolation to the image's pixels; otherwise the layer's cells as they are.
        scale: ``shared``: all maps of a comparison are divided by one limit; ``own``: each by its own.
        percentile: the limit is this percentile of the absolute values (100: the maximum).
        palette: see :mod:`core.imaging.palettes`; a palette of the wrong kind for ``signed`` is replaced.
        opacity: of the map over the image, 0..1.
        contour: draw the outline of M.
        zoom: how many times the part of the image around M is magnified; 1: the whole image. Limits stay those of
            the whole image.
    """

    signed: bool = False
    smooth: bool = True
    scale: Literal["shared", "own"] = "shared"
    percentile: float = 100.0
    palette: str = "inferno"
    opacity: float = 0.55
    contour: bool = True
    zoom: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.opacity <= 1 and 50 <= self.percentile <= 100 and 1 <= self.zoom <= ZOOMS[-1]):
            raise InputError(
                "the display options are out of range",
                f"give opacity 0..1, percentile 50..100 and zoom 1..{ZOOMS[-1]:g}",
            )
        kinds = DIVERGING if self.signed else SEQUENTIAL
        if self.palette not in kinds:
            object.__setattr__(self, "palette", kinds[0])

    def describe(self) -> dict[str, Any]:
        """The options as a manifest states them."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class DisplayedMap:
    """A map as it is shown.

    Attributes:
        values: float32 (h, w) on the image's pixels: 0..1, or -1..1 when signed.
        limit: the raw value that 1 stands for; 0 for an all-zero map.
        maximum, minimum: of the raw map's cells on the image, before any step.
        steps: what was done, in order.
    """

    values: np.ndarray
    limit: float
    maximum: float
    minimum: float
    steps: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Nothing is left to show (a map without positive evidence after the ReLU)."""
        return not bool(self.values.any())

    def crop(self, view: View) -> "DisplayedMap":
        """The same map in a window of the image alone."""
        return replace(self, values=view.crop(self.values))


def display_maps(maps: Sequence[np.ndarray], geometry: Geometry, options: DisplayOptions) -> list[DisplayedMap]:
    """Show raw maps (a, b) of layers over an image; a shared scale is shared by these maps.

    Args:
        maps: raw signed maps, each covering the whole grid of ``geometry``.
        geometry: how the image lies on the grid.
        options: how to show them.
    """
    mode: Literal["bilinear", "nearest"] = "bilinear" if options.smooth else "nearest"
    resized = []
    for raw in maps:
        native = torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))
        if not options.signed:
            native = native.clamp(min=0)
        resized.append(geometry.layer_to_image(native, mode).numpy())
    limits = [_limit(values, options.percentile) for values in resized]
    shared = max(limits, default=0.0)
    shown = []
    for raw, values, own in zip(maps, resized, limits, strict=True):
        limit = shared if options.scale == "shared" else own
        low = -1.0 if options.signed else 0.0
        scaled = np.clip(values / limit, low, 1.0) if limit > 0 else np.zeros_like(values)
        which = "maximum" if options.percentile == 100 else f"{options.percentile:g}th percentile"
        steps = (
            *(() if options.signed else ("ReLU",)),
            f"resize {raw.shape[0]} x {raw.shape[1]} to {geometry.grid_size[0]} x {geometry.grid_size[1]} ({mode}), "
            f"crop the padding, resize to {geometry.image_size[0]} x {geometry.image_size[1]}",
            f"divide by {limit:.9g} ({options.scale} {which} of the absolute values)" if limit > 0 else "all zero",
        )
        seen = raw[geometry.content_share(raw.shape) > 0]
        shown.append(
            DisplayedMap(scaled.astype(np.float32), float(limit), float(seen.max()), float(seen.min()), steps)
        )
    return shown


def display_pair(maps: LayerMaps, geometry: Geometry, options: DisplayOptions) -> Mapping[str, DisplayedMap]:
    """Seg-Grad and Seg-HiRes of one layer, on one scale or each on its own."""
    first, second = display_maps([maps.seg_grad, maps.seg_hires_grad], geometry, options)
    return {"seg_grad": first, "seg_hires_grad": second}


def difference_map(maps: LayerMaps, geometry: Geometry, smooth: bool = True) -> DisplayedMap:
    """Seg-HiRes minus Seg-Grad, each first divided by its own maximum of absolute values; -1..1, 0 is agreement."""
    own = DisplayOptions(signed=True, smooth=smooth, scale="own")
    pair = display_pair(maps, geometry, own)
    difference = pair["seg_hires_grad"].values - pair["seg_grad"].values
    limit = float(np.abs(difference).max())
    steps = (*pair["seg_grad"].steps, "Seg-HiRes minus Seg-Grad", f"divide by {limit:.9g}" if limit else "all zero")
    values = difference / limit if limit else difference
    return DisplayedMap(values.astype(np.float32), limit, float(difference.max()), float(difference.min()), steps)


def _limit(values: np.ndarray, percentile: float) -> float:
    magnitude = np.abs(values)
    if percentile == 100:
        return float(magnitude.max())
    return float(np.percentile(magnitude, percentile)) or float(magnitude.max())
