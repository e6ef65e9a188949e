"""Arrays as pictures on the page: enlarged without smoothing, pixels in their physical shape."""

import numpy as np
import streamlit as st
from PIL import Image

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


def show(picture: np.ndarray, alt: str, spacing: tuple[float, float] | None = None, side: int = SIDE) -> None:
    """Draw a picture as wide as its column."""
    st.image(enlarged(picture, spacing, side), width="stretch", alt=alt)


def colour_bar(stops: list[tuple[float, str]], low: str, high: str, label: str) -> None:
    """Draw a colour bar as a strip with its two ends named."""
    bar = np.array([[int(part) for part in colour[4:-1].split(",")] for _, colour in stops], np.uint8)
    strip = np.asarray(Image.fromarray(bar[None]).resize((960, 12), Image.Resampling.BILINEAR))
    left, middle, right, words = st.columns([1, 12, 2, 9], gap="xsmall", vertical_alignment="center")
    left.markdown(f":small[{plain(low)}]", text_alignment="right")
    middle.image(strip, width="stretch", alt=f"Colour bar from {low} to {high}")
    right.markdown(f":small[{plain(high)}]")
    words.markdown(f":small[:gray[{plain(label)}]]")
