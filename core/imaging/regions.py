"""Regions: the set M of output pixels that a map explains.

M is a constant: it is read off the logits (or drawn by the user) and no gradient flows through it. Coordinates are
the image's pixels, x to the right and y down, from 0. M itself lies on the network's output grid, without padding.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy import ndimage

from core.errors import InputError
from core.imaging.ground_truth import require_size
from core.imaging.overlap import IGNORE
from core.imaging.preprocess import Geometry
from core.imaging.probability import rival_margin
from core.imaging.segmenters import class_mask

Kind = Literal["mask", "image", "pixel", "box", "component", "uncertain", "false_positives", "false_negatives"]

UNDECIDED = 0.2
"""A pixel is uncertain where its class and the strongest rival are less than this probability apart."""

MEANING: dict[str, str] = {
    "mask": "all pixels whose largest logit is this class",
    "image": "all pixels of the image, whatever their class",
    "pixel": "one pixel, whatever its class",
    "box": "the pixels of the class's mask inside the box",
    "component": "the connected part of the class's mask at the point",
    "uncertain": f"pixels where this class and its strongest rival are less than {UNDECIDED:g} of probability apart",
    "false_positives": "pixels given this class that the ground truth does not give it",
    "false_negatives": "pixels of this class in the ground truth that were given another",
}
"""What M is, in words, for each kind of region."""


class EmptyRegionError(InputError):
    """There is nothing to explain: no pixel is in ``region`` of class ``class_index``."""

    def __init__(self, region: "Region", class_index: int, where: str = ""):
        self.region, self.class_index = region, class_index
        which = f"the region {region} of class {class_index}"
        super().__init__(f"no pixel is in {which}{f' {where}' if where else ''}", "choose another region or class")


@dataclass(frozen=True)
class Region:
    """A region to explain.

    Attributes:
        kind: see :data:`MEANING`.
        point: (x, y) in the image's pixels, for ``pixel`` and ``component``.
        box: (x0, y0, x1, y1) in the image's pixels, half open, for ``box``.
        ground_truth: (h, w) class index per pixel of the image, for ``false_positives`` and ``false_negatives``.
    """

    kind: Kind = "mask"
    point: tuple[int, int] | None = None
    box: tuple[int, int, int, int] | None = None
    ground_truth: np.ndarray | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        """The region as the command line takes it."""
        numbers = self.point or self.box
        return self.kind + (":" + ",".join(str(number) for number in numbers) if numbers else "")

    def describe(self) -> dict[str, Any]:
        """The region as a manifest states it."""
        described: dict[str, Any] = {"region": str(self), "meaning": MEANING[self.kind]}
        if self.ground_truth is not None:
            described["ground_truth_sha256"] = hashlib.sha256(self.ground_truth.tobytes()).hexdigest()
        return described


def parse_region(text: str, ground_truth: np.ndarray | None = None) -> Region:
    """Read ``mask``, ``image``, ``uncertain``, ``pixel:X,Y``, ``box:X0,Y0,X1,Y1`` and the others of :data:`MEANING`.

    Raises:
        InputError: the text is none of these, or a ground truth is needed and not given.
    """
    forms = "mask, image, uncertain, pixel:X,Y, box:X0,Y0,X1,Y1, component:X,Y, false_positives or false_negatives"
    kind, _, rest = text.strip().partition(":")
    kind = kind.strip().lower().replace("-", "_")
    wanted = {"pixel": 2, "component": 2, "box": 4}.get(kind, 0)
    try:
        numbers = tuple(int(part) for part in rest.split(",")) if rest.strip() else ()
    except ValueError:
        numbers = (0,) * 99
    if kind not in get_args(Kind) or len(numbers) != wanted:
        raise InputError(f"the region {text!r} is not understood", f"give {forms}, in whole pixels")
    if kind in ("false_positives", "false_negatives"):
        if ground_truth is None:
            raise InputError(f"{kind} need a ground truth", "give a mask image with class indices as ground truth")
        return Region(kind, ground_truth=ground_truth)  # type: ignore[arg-type]
    if kind == "box":
        return Region("box", box=(numbers[0], numbers[1], numbers[2], numbers[3]))
    return Region(kind, point=(numbers[0], numbers[1]) if wanted == 2 else None)  # type: ignore[arg-type]


def region_mask(
    region: Region, logits: np.ndarray | torch.Tensor, class_index: int, geometry: Geometry | None = None
) -> np.ndarray:
    """The set M of a region.

    Args:
        region: the region, in the image's pixels.
        logits: (C, H, W) on the network's grid.
        class_index: the class that every kind but ``image`` and ``pixel`` is about.
        geometry: how the image lies on the grid; by default the grid is the image.

    Returns:
        Boolean (H, W), never empty, False in the padding.

    Raises:
        InputError: the point or box is outside of the image, or no pixel is in the region.
    """
    tensor = torch.as_tensor(logits)
    size = (int(tensor.shape[-2]), int(tensor.shape[-1]))
    geometry = geometry or Geometry(size, size, size, (0, 0))
    content = np.zeros(size, bool)
    content[geometry.content] = True
    predicted = (class_mask(tensor) == class_index).cpu().numpy() & content

    if region.kind == "image":
        chosen = content
    elif region.kind == "mask":
        chosen = predicted
    elif region.kind == "pixel":
        x, y = _point(region, geometry)
        chosen = np.zeros(size, bool)
        chosen[y, x] = True
    elif region.kind == "component":
        x, y = _point(region, geometry)
        if not predicted[y, x]:
            raise InputError(
                f"the point {region.point} is not in the mask of class {class_index}",
                "choose a point inside of the mask, or the region `pixel`",
            )
        labels, _ = ndimage.label(predicted)  # joined by edges, not by corners
        chosen = labels == labels[y, x]
    elif region.kind == "box":
        chosen = predicted & _box(region, geometry)
    elif region.kind == "uncertain":
        margin = rival_margin(tensor.detach().cpu().numpy(), class_index)
        chosen = (np.abs(margin) < UNDECIDED) & content
    else:
        truth = _truth(region, geometry)
        if region.kind == "false_positives":
            chosen = predicted & (truth != class_index) & (truth != IGNORE)
        else:
            chosen = (truth == class_index) & ~predicted & content
    if not chosen.any():
        raise EmptyRegionError(region, class_index)
    return chosen


def _point(region: Region, geometry: Geometry) -> tuple[int, int]:
    height, width = geometry.image_size
    if region.point is None:
        raise InputError(f"the region {region.kind} needs a point", "give its x and y in pixels")
    x, y = region.point
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(
            f"the point {region.point} is outside of the image", f"give x below {width} and y below {height}"
        )
    return geometry.point_to_grid(x, y)


def _box(region: Region, geometry: Geometry) -> np.ndarray:
    height, width = geometry.image_size
    if region.box is None:
        raise InputError("the region box needs two corners", "give x0, y0, x1 and y1 in pixels")
    x0, x1 = sorted((region.box[0], region.box[2]))
    y0, y1 = sorted((region.box[1], region.box[3]))
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        raise InputError(
            f"the box {region.box} holds no pixel of the image", f"give corners within {width} x {height} pixels"
        )
    (left, top), (right, bottom) = geometry.point_to_grid(x0, y0), geometry.point_to_grid(x1 - 1, y1 - 1)
    inside = np.zeros(geometry.grid_size, bool)
    inside[top : bottom + 1, left : right + 1] = True  # never empty, however much the image is scaled down
    return inside


def _truth(region: Region, geometry: Geometry) -> np.ndarray:
    truth = region.ground_truth
    if truth is None:
        raise InputError(f"{region.kind} need a ground truth", "give a mask image with class indices as ground truth")
    require_size(truth, geometry.image_size)
    return geometry.to_grid(truth)
