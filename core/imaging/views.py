"""The part of an image that is looked at: a window of the image's proportions around the region M.

A finding of 20 pixels in a radiograph of 3,000 is a dot on a page. What is cut out is for the eye alone: maps, limits
and numbers stay those of the whole image.
"""

from dataclasses import dataclass

import numpy as np

ZOOMS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Magnifications on offer; 1 is the whole image."""

LEAST = 16
"""Pixels that a window's shorter side has at least, unless the image has fewer."""


@dataclass(frozen=True)
class View:
    """A window of an image in pixels, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def crop(self, values: np.ndarray) -> np.ndarray:
        """The part of an array (h, w, ...) of the image's size."""
        return values[self.top : self.bottom, self.left : self.right]


def possible_zooms(size: tuple[int, int]) -> tuple[float, ...]:
    """The magnifications of ``ZOOMS`` at which an image (h, w) still fills a window of ``LEAST`` pixels."""
    return tuple(zoom for zoom in ZOOMS if zoom == 1 or min(size) / zoom >= LEAST)


def view_around(region: np.ndarray, zoom: float) -> View:
    """The window around a region, in the middle of its box where the image's edges allow it.

    Args:
        region: M on the image's pixels, boolean (h, w); the middle of the image counts where it is empty.
        zoom: from 1; the window has the image's sides divided by it, rounded, and ``LEAST`` pixels at least.
    """
    spans = []
    for axis, length in enumerate(region.shape):
        side = max(round(length / zoom), min(length, LEAST))
        marked = np.flatnonzero(region.any(axis=1 - axis))
        middle = (int(marked[0]) + int(marked[-1]) + 1) / 2 if len(marked) else length / 2
        start = min(max(round(middle - side / 2), 0), length - side)
        spans.append((start, start + side))
    (top, bottom), (left, right) = spans
    return View(top, bottom, left, right)
