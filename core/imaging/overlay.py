"""Drawing maps over an image: colours, opacity, the outline of the explained region."""

import cv2
import numpy as np

from core.imaging.display import DisplayedMap, DisplayOptions
from core.imaging.palettes import color_index, lookup_table

LINE, HALO = (255, 255, 255), (0, 0, 0)
SMALL = 1 / 32
"""Share of a picture's shorter side under which a region has a ring around it and not its outline."""
FADE = 0.04
"""Below this share of the limit a map's colour fades out."""


def grey(display: np.ndarray) -> np.ndarray:
    """An image for the eye, uint8 (h, w) or (h, w, 3), as uint8 (h, w) without colour.

    Colour is the map's alone: a stained section under a colour map could not be read.
    """
    if display.ndim == 3:
        display = np.rint(display.astype(np.float32) @ np.array((0.299, 0.587, 0.114), np.float32))
    return display.astype(np.uint8)


def overlay(
    display: np.ndarray, shown: DisplayedMap, options: DisplayOptions, mask: np.ndarray | None = None
) -> np.ndarray:
    """Blend a displayed map over an image.

    Args:
        display: uint8 (h, w) or (h, w, 3), the image for the eye.
        shown: the map on the image's pixels.
        options: palette, opacity and contour.
        mask: boolean (h, w), the region whose outline is drawn.

    Returns:
        uint8 (h, w, 3).
    """
    table = lookup_table(options.palette).astype(np.float32)
    # where there is next to no evidence the image stays as it is: anatomy under a dark veil cannot be read
    alpha = options.opacity * np.clip(np.abs(shown.values) / FADE, 0, 1)
    picture = _mix((1 - alpha) * grey(display), alpha, table, color_index(shown.values, options.palette))
    return draw_contour(picture, mask) if options.contour and mask is not None else picture


def draw_contour(
    picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = LINE, closed: bool = True
) -> np.ndarray:
    """Draw the outline of a region (h, w) in a light line with a dark edge, which shows on any background.

    ``closed``: also along the picture's edge, where the region ends with the image and not with a window of it.
    """
    width = max(1, round(min(mask.shape) / 400))
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    within = np.ascontiguousarray(mask, np.uint8)
    beyond = {"iterations": width, "borderType": cv2.BORDER_CONSTANT}
    inner = cv2.erode(within, cross, borderValue=int(not closed), **beyond)
    outer = cv2.dilate(within, cross, borderValue=0, **beyond)
    drawn = picture.copy()
    drawn[outer > within] = HALO
    drawn[within > inner] = colour
    return drawn


def color_classes(mask: np.ndarray, colours: np.ndarray, display: np.ndarray, opacity: float = 0.45) -> np.ndarray:
    """Colour each class of a mask over an image; class 0 stays as the image is.

    Args:
        mask: (h, w) class indices.
        colours: uint8 (n, 3), used in turn for class 1, 2, ...
        display: uint8 (h, w) or (h, w, 3).
        opacity: of the colour, 0..1.
    """
    table = colours[(np.arange(256) - 1) % len(colours)].astype(np.float32)
    alpha = np.where(mask > 0, np.float32(opacity), np.float32(0))
    return _mix((1 - alpha) * grey(display), alpha, table, mask)


def _mix(below: np.ndarray, alpha: np.ndarray, table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Below + alpha * table[index], uint8 (h, w, 3); channel by channel, which takes a quarter of the time."""
    picture = np.empty((*index.shape, 3), np.uint8)
    for channel in range(3):
        picture[..., channel] = np.rint(below + alpha * np.take(table[:, channel], index))
    return picture
