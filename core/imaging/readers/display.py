"""Intensities for the eye: from values in the file's units to 0..255, and values that are not numbers."""

from typing import Literal

import numpy as np

from core.errors import InputError
from core.imaging.readers.image import Window

_BLOCK = 4_000_000
Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


class NoNumbersError(InputError):
    """A picture has no value that is a number."""

    def __init__(self) -> None:
        super().__init__("the picture has no value that is a number", "choose another slice or mend the file")


def clean(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """float32, finite: values that are not numbers become the lowest one that is, infinite ones the ends; noted.

    Raises:
        NoNumbersError: no value is a number.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = np.ascontiguousarray(values, dtype=np.float32)
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels
    if not finite.any():
        raise NoNumbersError
    low, high = float(pixels[finite].min()), float(pixels[finite].max())
    notes.append(f"{int((~finite).sum())} pixels were not numbers; they were set to the lowest or highest value.")
    return np.nan_to_num(pixels, nan=low, posinf=high, neginf=low)


def scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """low..high to 0..255, clipped, rounded; an even picture at or below ``low`` becomes black."""
    if not high > low:
        return np.where(values > low, 255, 0).astype(np.uint8)
    shown = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK // max(1, values[0].size)) if values.ndim > 1 else max(1, len(values))
    for start in range(0, len(values), rows):  # in blocks, as double precision of a whole large picture is much memory
        block = values[start : start + rows].astype(np.float64)
        shown[start : start + rows] = (np.clip((block - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)
    return shown


def window(values: np.ndarray, centre: float, width: float, function: Function = "LINEAR") -> np.ndarray:
    """DICOM's window functions (PS3.3 C.11.2.1) with an output of 0..255."""
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values.astype(np.float64) - centre) / width, -700, 700)
        return (255 / (1 + np.exp(exponent)) + 0.5).astype(np.uint8)
    if function == "LINEAR_EXACT":
        return scale(values, centre - width / 2, centre + width / 2)
    if width <= 1:
        return np.where(values > centre - 0.5, 255, 0).astype(np.uint8)
    return scale(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def show(values: np.ndarray, choice: Window) -> tuple[np.ndarray, str]:
    """Apply a choice that needs no preset; returns the display uint8 and a description of what was applied."""
    if isinstance(choice, tuple | list):
        centre, width = (float(value) for value in choice)
        return window(values, centre, width), f"with window centre {centre:g} width {width:g}"
    if choice == "full":
        low, high = float(values.min()), float(values.max())
    else:
        low, high = (float(value) for value in np.percentile(values, [0.5, 99.5]))
        if not high > low:
            low, high = float(values.min()), float(values.max())
    name = "in its full range" if choice == "full" else "from its 0.5th to its 99.5th percentile"
    return scale(values, low, high), f"{name}, {low:.4g} to {high:.4g}"
