"""Colour maps for heat maps: perceptually uniform, readable with colour-blindness, never jet.

A sequential palette shows evidence for the class (0 to 1), a diverging one signed maps (-1 to 1, 0 is neutral).
"""

from functools import lru_cache

import matplotlib
import numpy as np

from core.errors import InputError

SEQUENTIAL = ("inferno", "cividis", "viridis", "magma")
DIVERGING = ("RdBu_r", "PuOr_r")


@lru_cache
def lookup_table(palette: str) -> np.ndarray:
    """The 256 colours of a palette, uint8 (256, 3), from low to high.

    Raises:
        InputError: it is not one of :data:`SEQUENTIAL` or :data:`DIVERGING`.
    """
    if palette not in SEQUENTIAL + DIVERGING:
        raise InputError(f"there is no palette {palette!r}", f"choose one of {', '.join(SEQUENTIAL + DIVERGING)}")
    table = matplotlib.colormaps[palette](np.arange(256))[:, :3]
    return np.rint(table * 255).astype(np.uint8)


def color_index(values: np.ndarray, palette: str) -> np.ndarray:
    """Place uint8 (h, w) in the palette's table of values (h, w): 0..1 for a sequential one, -1..1 for a diverging."""
    unit = (values + 1) / 2 if palette in DIVERGING else values
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)


def color_stops(palette: str, n: int = 17) -> list[tuple[float, str]]:
    """(position 0..1, "rgb(r,g,b)") stops for a plotting library's colour bar."""
    table = lookup_table(palette)
    positions = np.linspace(0, 1, n)
    return [(float(p), "rgb({},{},{})".format(*table[round(p * 255)])) for p in positions]
