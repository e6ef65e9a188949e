"""Reading a ground truth: a mask image with a class index per pixel."""

from typing import Any

import numpy as np

from core.errors import InputError
from core.imaging.readers import read_image


def read_ground_truth(data: bytes, n_classes: int, **place: Any) -> np.ndarray:
    """Read a mask image as class indices, uint8 (h, w); of a volume the slice at ``place`` (axis, slice, volume).

    Values are class indices. A mask of two values of which one is 0 stands for classes 0 and 1 where the other is
    no class index (255 is common).

    Raises:
        InputError: it has colours, or values that are no class.
    """
    if place.get("volume") and read_image(data).available.volumes == 1:
        place["volume"] = 0  # one truth for all volumes of a series
    pixels = read_image(data, **place).pixels
    if pixels.ndim == 3:
        if np.ptp(pixels, axis=2).any():
            raise InputError("the ground truth is a colour image", "give a grey mask with class indices")
        pixels = pixels[..., 0]
    values = np.unique(pixels)
    if values.size > 256 or not np.array_equal(values, np.rint(values)):
        raise InputError("the ground truth is no mask", "give an image whose pixel values are class indices")
    if values.size <= 2 and values.max() >= n_classes and values.min() == 0:
        return (pixels > 0).astype(np.uint8)
    if values.min() < 0 or values.max() >= n_classes:
        raise InputError(
            f"the ground truth has the value {values.max():g}", f"use class indices from 0 to {n_classes - 1}"
        )
    return pixels.astype(np.uint8)
