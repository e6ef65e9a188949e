"""From an image's pixels to a segmenter's input, and back.

A card's ``preprocessing`` block says how its segmenter wants to be fed::

    channels: 1            # 1: colour becomes luminance; 3: grey is repeated
    resize: stretch        # stretch to size x size; fit: longest side to size; native: pixels as they are
    size: 256
    stride: 32             # sides are padded to multiples of it (reflected; edge values where too small)
    intensity: percentile  # percentile: the image's own low..high percentiles to 0..1; window: low..high to 0..1
    low: 0.5
    high: 99.5
    mean: 0.5              # then (value - mean) / std; a number for all channels, or a list of one each
    std: 0.25
    tile: 512              # larger grids are cut into tiles of this side with overlap (0: never)

Everything is linear interpolation with antialiasing on float32, the same in training and use. What is outside of
the image is never part of a map: :meth:`Geometry.to_image` crops the padding before it scales back.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from core.errors import InputError

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")


UNSTATED = {
    "resize": "native",
    "intensity": "percentile",
    "low": 0.0,
    "high": 100.0,
    "mean": 0.0,
    "std": 1.0,
    "tile": 1024,
}
"""For a card that does not say: pixels as they are, the image's own range to 0..1, large images in tiles."""


@dataclass(frozen=True)
class Geometry:
    """How the image's pixels lie on the model's grid.

    Attributes:
        image_size: (height, width) of the image.
        content_size: (height, width) of the resized image on the grid.
        grid_size: (height, width) of the model's input, padding included.
        offset: (row, column) of the content's upper left corner on the grid.
    """

    image_size: tuple[int, int]
    content_size: tuple[int, int]
    grid_size: tuple[int, int]
    offset: tuple[int, int]

    @property
    def content(self) -> tuple[slice, slice]:
        """Rows and columns of the grid on which the image lies."""
        (row, column), (height, width) = self.offset, self.content_size
        return slice(row, row + height), slice(column, column + width)

    def crop(self, maps: torch.Tensor) -> torch.Tensor:
        """Cut the padding off maps (..., H, W) at grid size; returns (..., *content_size)."""
        self._require(maps, self.grid_size)
        return maps[(..., *self.content)]

    def content_share(self, cells: tuple[int, int]) -> np.ndarray:
        """The part, 0..1, of each cell (a, b) of a layer, which covers the whole grid, that lies on the image."""
        sides = []
        for count, whole, start, length in zip(cells, self.grid_size, self.offset, self.content_size, strict=True):
            edges = np.arange(count + 1) * whole / count
            within = np.minimum(edges[1:], start + length) - np.maximum(edges[:-1], start)
            sides.append(np.maximum(within, 0) * count / whole)
        return np.outer(*sides)

    def content_cells(self, cells: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a layer's cells (a, b) that lie on the image, if only in part."""
        rows, columns = (np.flatnonzero(self.content_share(cells).any(axis=axis)) for axis in (1, 0))
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)

    def to_image(self, maps: torch.Tensor, mode: Literal["bilinear", "nearest"] = "bilinear") -> torch.Tensor:
        """Bring maps (..., H, W) at grid size to the image's pixels (..., h, w); exact where nothing was resized."""
        return _interpolate(self.crop(maps), self.image_size, mode)

    def layer_to_image(self, maps: torch.Tensor, mode: Literal["bilinear", "nearest"] = "bilinear") -> torch.Tensor:
        """Bring maps (..., a, b) of any layer, which cover the whole grid, to the image's pixels (..., h, w)."""
        return self.to_image(_interpolate(maps, self.grid_size, mode), mode)

    def to_grid(self, mask: np.ndarray) -> np.ndarray:
        """Bring a mask or label image (h, w) to the grid (H, W) by nearest neighbour; the padding is 0."""
        self._require(mask, self.image_size)
        labels = torch.from_numpy(np.ascontiguousarray(mask).astype(np.float64))
        content = _interpolate(labels, self.content_size, "nearest").numpy().astype(mask.dtype)
        grid = np.zeros(self.grid_size, mask.dtype)
        grid[self.content] = content
        return grid

    def point_to_grid(self, x: float, y: float) -> tuple[int, int]:
        """Grid (x, y) of the pixel that holds the image's point (x, y)."""
        height, width = self.image_size
        column = min(int((x + 0.5) * self.content_size[1] / width), self.content_size[1] - 1)
        row = min(int((y + 0.5) * self.content_size[0] / height), self.content_size[0] - 1)
        return column + self.offset[1], row + self.offset[0]

    @staticmethod
    def _require(maps: Any, size: tuple[int, int]) -> None:
        if tuple(maps.shape[-2:]) != size:
            raise ValueError(f"maps of size {tuple(maps.shape[-2:])} do not lie on a grid of {size}")


@dataclass(frozen=True)
class Preprocessing:
    """A segmenter's wishes; see the module's docstring for the fields."""

    channels: int = 1
    resize: Literal["stretch", "fit", "native"] = "fit"
    size: int = 256
    stride: int = 32
    intensity: Literal["percentile", "window"] = "percentile"
    low: float = 0.5
    high: float = 99.5
    mean: float | tuple[float, ...] = 0.5
    std: float | tuple[float, ...] = 0.25
    tile: int = 0

    def __post_init__(self) -> None:
        fix = "mend the preprocessing block of the segmenter's card.yaml"
        if self.channels not in (1, 3):
            raise InputError(f"preprocessing gives {self.channels} channels, not 1 or 3", fix)
        if self.resize not in ("stretch", "fit", "native") or self.intensity not in ("percentile", "window"):
            raise InputError(f"preprocessing has resize {self.resize!r} and intensity {self.intensity!r}", fix)
        if not (self.size > 0 and self.stride > 0 and self.tile >= 0 and self.tile % self.stride == 0):
            raise InputError("preprocessing needs size and stride above 0 and a tile that the stride divides", fix)
        for name in ("mean", "std"):
            if np.ndim(values := getattr(self, name)) and len(values) != self.channels:
                raise InputError(
                    f"preprocessing gives {len(values)} numbers for {name} and has {self.channels} channels",
                    "give a number, or one for each channel",
                )
        finite = np.isfinite([self.low, self.high, *np.ravel(self.mean), *np.ravel(self.std)]).all()
        if not (finite and np.min(self.std) > 0 and self.low < self.high):
            raise InputError("preprocessing needs low below high and a std above 0", fix)
        if self.intensity == "percentile" and not 0 <= self.low < self.high <= 100:
            raise InputError("preprocessing has percentiles outside 0..100", fix)

    @classmethod
    def from_card(cls, block: Mapping[str, Any] | None, channels: int | None = None) -> "Preprocessing":
        """Read a card's ``preprocessing`` block; ``channels`` (a model's ``in_channels``) fills in where it is silent.

        No block at all is read as :data:`UNSTATED`.

        Raises:
            InputError: a field is unknown or has a value that cannot be.
        """
        values: dict[str, Any] = dict(block or UNSTATED)
        known = {field.name: field.type for field in fields(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise InputError(f"preprocessing has the unknown field {unknown[0]!r}", f"use only {', '.join(known)}")
        if channels is not None:
            values.setdefault("channels", channels)
        for name, value in values.items():
            if name in ("mean", "std") and isinstance(value, list | tuple):
                values[name] = tuple(_number(name, one) for one in value)
            elif name not in ("resize", "intensity"):
                number = _number(name, value)
                values[name] = int(number) if known[name] is int or known[name] == "int" else number
        return cls(**values)

    def to_card(self) -> dict[str, Any]:
        """The block as a card holds it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def geometry(self, height: int, width: int) -> Geometry:
        """Where an image of this size lies on the grid."""
        if self.resize == "stretch":
            content = (self.size, self.size)
        elif self.resize == "fit":
            scale = self.size / max(height, width)
            content = (max(1, round(height * scale)), max(1, round(width * scale)))
        else:
            content = (height, width)
        grid = tuple(-(-side // self.stride) * self.stride for side in content)
        offset = tuple((whole - side) // 2 for whole, side in zip(grid, content, strict=True))
        return Geometry((height, width), content, (grid[0], grid[1]), (offset[0], offset[1]))

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """Channels and intensity: pixels (h, w) or (h, w, 3) to float32 (channels, h, w). A flat image becomes even.

        Raises:
            InputError: the shape is no image, or a value is not finite.
        """
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or 0 in pixels.shape:
            raise InputError(
                f"pixels of shape {pixels.shape} are no image", "give (height, width) or (height, width, 3)"
            )
        values = np.asarray(pixels, np.float32)
        if not np.isfinite(values).all():
            raise InputError("the image has pixels that are not numbers", "replace NaN and infinite values first")
        if values.ndim == 3:
            values = values @ np.array(LUMINANCE, np.float32) if self.channels == 1 else values.transpose(2, 0, 1)
        if values.ndim == 2:
            values = np.broadcast_to(values, (self.channels, *values.shape))
        low, high = (self.low, self.high)
        if self.intensity == "percentile":
            low, high = np.percentile(values[0] if self.channels == 1 else values, [self.low, self.high])
        span = float(high) - float(low)
        scaled = np.clip((values - np.float32(low)) / np.float32(span), 0, 1) if span > 0 else np.zeros_like(values)
        mean, std = (np.reshape(np.asarray(values, np.float32), (-1, 1, 1)) for values in (self.mean, self.std))
        return ((scaled - mean) / std).astype(np.float32)

    def prepare(self, pixels: np.ndarray) -> tuple[torch.Tensor, Geometry]:
        """Pixels (h, w) or (h, w, 3), any range, to the model's input (1, channels, H, W) float32 and its geometry."""
        values = torch.from_numpy(np.ascontiguousarray(self.normalize(pixels)))
        geometry = self.geometry(*values.shape[-2:])
        content = resize_to(values, geometry.content_size)
        return pad_to(content, geometry)[None], geometry


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        more = ", or a list of one for each channel" if name in ("mean", "std") else ""
        raise InputError(f"preprocessing field {name!r} is {value!r}", f"give a number{more}")
    return float(value)


def resize_to(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize (channels, h, w) to (channels, *size): bilinear, antialiased; unchanged when the size is the same."""
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    return functional.interpolate(values[None], size=size, mode="bilinear", align_corners=False, antialias=True)[0]


def pad_to(content: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Pad (channels, h, w) to the grid: mirrored, or by edge values where the content is too small to mirror."""
    (row, column), (height, width) = geometry.offset, geometry.content_size
    below, right = geometry.grid_size[0] - height - row, geometry.grid_size[1] - width - column
    if not (row or column or below or right):
        return content
    mirrored = max(row, below) < height and max(column, right) < width
    pads = (column, right, row, below)
    return functional.pad(content[None], pads, mode="reflect" if mirrored else "replicate")[0]


def _interpolate(maps: torch.Tensor, size: tuple[int, int], mode: str) -> torch.Tensor:
    """Resize (..., a, b) to (..., *size) without antialiasing; the same tensor when the size is the same."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    options: dict[str, Any] = {"align_corners": False} if mode == "bilinear" else {}
    name = "nearest-exact" if mode == "nearest" else mode
    return functional.interpolate(flat, size=size, mode=name, **options).reshape(*maps.shape[:-2], *size)
