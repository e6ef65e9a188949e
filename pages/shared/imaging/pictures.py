"""Arrays as pictures on the page: enlarged without smoothing, pixels in their physical shape."""

import numpy as np
import streamlit as st
from PIL import Image

from core.imaging.overlay import HALO, LINE, SMALL, draw_contour
from core.imaging.views import View
from pages.shared.errors import plain

SIDE = 640
"""Longest side, in pixels, up to which a small image is enlarged."""


def enlarged(picture: np.ndarray, spacing: tuple[float, float] | None = None, side: int = SIDE) -> np.ndarray:
    """Return a picture uint8 (h, w, 3) at ``side`` pixels: cells sharp, pixels as tall and wide as in space."""
    height, width = picture.shape[:2]
    tall = spacing[0] / spacing[1] if spacing and min(spacing) > 0 else 1.0
    tall = min(max(tall, 0.2), 5.0)
    scale = side / max(height * tall, width)
    size = (max(1, round(width * scale)), max(1, round(height * tall * scale)))
    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize(size, method))


def outlined(
    picture: np.ndarray,
    outline: np.ndarray | None,
    spacing: tuple[float, float] | None = None,
    side: int = SIDE,
    view: View | None = None,
) -> np.ndarray:
    """Return a picture at ``side`` pixels with the outline of a region (h, w) on it, a fine line at any size.

    A region that is too small to see, such as a pixel, gets a ring around it. The picture is that of the view already;
    the outline is the whole image's.
    """
    large = enlarged(picture, spacing, side)
    if outline is None:
        return large
    part = outline if view is None else view.crop(outline)
    if part.any() and part.sum() == outline.sum():
        box = _box(part, large.shape[:2])
        if max(end - start for start, end in box) < SMALL * min(large.shape[:2]):
            return _ring(large, box)
    region = Image.fromarray(part).resize(large.shape[1::-1], Image.Resampling.NEAREST)
    return draw_contour(large, np.asarray(region), closed=part.shape == outline.shape)


def _box(region: np.ndarray, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Return where the rows and the columns of a region begin and end in a picture of ``size`` (h, w)."""
    spans = [np.flatnonzero(region.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
    scales = [new / old for new, old in zip(size, region.shape, strict=True)]
    return [(float(first * by), float((last + 1) * by)) for (first, last), by in zip(spans, scales, strict=True)]


def _ring(picture: np.ndarray, box: list[tuple[float, float]]) -> np.ndarray:
    """Draw a ring around the middle of a box: a light line with a dark edge, as an outline is."""
    height, width = picture.shape[:2]
    row, column = ((start + end) / 2 for start, end in box)
    rows, columns = np.ogrid[:height, :width]
    radius = 1.5 * SMALL * min(height, width)
    away = np.abs(np.hypot(rows + 0.5 - row, columns + 0.5 - column) - radius) / radius
    drawn = picture.copy()
    drawn[away < 0.17] = HALO
    drawn[away < 0.08] = LINE
    return drawn


def show(
    picture: np.ndarray,
    alt: str,
    spacing: tuple[float, float] | None = None,
    side: int = SIDE,
    outline: np.ndarray | None = None,
    view: View | None = None,
) -> None:
    """Draw a picture as wide as its column, with the outline of a region (h, w) if there is one."""
    st.image(outlined(picture, outline, spacing, side, view), width="stretch", alt=alt)


def colour_bar(stops: list[tuple[float, str]], low: str, high: str, label: str, width: int = 960) -> None:
    """Draw a colour bar as a strip as wide as its column, with its two ends and what it is about below it.

    ``width``: for one height of all bars, about as many pixels as the column has; the strip has 10 in height.
    """
    bar = np.array([[int(part) for part in colour[4:-1].split(",")] for _, colour in stops], np.uint8)
    strip = np.asarray(Image.fromarray(bar[None]).resize((width, 10), Image.Resampling.BILINEAR))
    st.image(strip, width="stretch", alt=f"Colour bar from {low} to {high}")
    with st.container(horizontal=True, horizontal_alignment="distribute", gap="small", key=f"tight-bar-{label[:8]}"):
        st.markdown(f":small[{plain(low)}]", width="content")
        st.markdown(f":small[:gray[{plain(label)}]]", width="content")
        st.markdown(f":small[{plain(high)}]", width="content")
