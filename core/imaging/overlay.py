"""Drawing maps over an image: colours, opacity, the outline of the explained region."""

import numpy as np
from scipy import ndimage

from core.imaging.display import DisplayedMap, DisplayOptions
from core.imaging.palettes import colorize

LINE, HALO = (255, 255, 255), (0, 0, 0)
FADE = 0.04
"""Below this share of the limit a map's colour fades out."""


def grey_rgb(display: np.ndarray) -> np.ndarray:
    """An image for the eye, uint8 (h, w) or (h, w, 3), as uint8 (h, w, 3) without colour.

    Colour is the map's alone: a stained section under a colour map could not be read.
    """
    if display.ndim == 3:
        display = np.rint(display.astype(np.float32) @ np.array((0.299, 0.587, 0.114), np.float32))
    return np.repeat(display.astype(np.uint8)[..., None], 3, axis=2)


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
    colours = colorize(shown.values, options.palette).astype(np.float32)
    # where there is next to no evidence the image stays as it is: anatomy under a dark veil cannot be read
    alpha = options.opacity * np.clip(np.abs(shown.values) / FADE, 0, 1)[..., None]
    blended = (1 - alpha) * grey_rgb(display).astype(np.float32) + alpha * colours
    picture = np.rint(blended).astype(np.uint8)
    return draw_contour(picture, mask) if options.contour and mask is not None else picture


def draw_contour(
    picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = LINE, closed: bool = True
) -> np.ndarray:
    """Draw the outline of a region (h, w) in a light line with a dark edge, which shows on any background.

    ``closed``: also along the picture's edge, where the region ends with the image and not with a window of it.
    """
    width = max(1, round(min(mask.shape) / 400))
    cross = ndimage.generate_binary_structure(2, 1)
    inner = ndimage.binary_erosion(mask, cross, iterations=width, border_value=int(not closed))
    outer = ndimage.binary_dilation(mask, cross, iterations=width)
    drawn = picture.copy()
    drawn[outer & ~mask] = HALO
    drawn[mask & ~inner] = colour
    return drawn


def color_classes(mask: np.ndarray, colours: np.ndarray, display: np.ndarray, opacity: float = 0.45) -> np.ndarray:
    """Colour each class of a mask over an image; class 0 stays as the image is.

    Args:
        mask: (h, w) class indices.
        colours: uint8 (n, 3), used in turn for class 1, 2, ...
        display: uint8 (h, w) or (h, w, 3).
        opacity: of the colour, 0..1.
    """
    picture = grey_rgb(display).astype(np.float32)
    inside = mask > 0
    chosen = colours[(mask[inside].astype(int) - 1) % len(colours)].astype(np.float32)
    picture[inside] = (1 - opacity) * picture[inside] + opacity * chosen
    return np.rint(picture).astype(np.uint8)
