"""Reading a ground truth: a mask image with a class index per pixel."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.errors import InputError
from core.imaging.overlap import IGNORE, count_overlap, dice
from core.imaging.readers import MedicalImage, read_image


def place_of(image: MedicalImage) -> dict[str, Any]:
    """Which slice, volume or frame an image is, as :func:`read_ground_truth` takes it."""
    return {name: image.chosen[name] for name in ("axis", "slice", "volume", "frame") if name in image.chosen}


def read_ground_truth(data: bytes, n_classes: int, **place: Any) -> np.ndarray:
    """Read a mask image as class indices, uint8 (h, w), of the ``place`` of its image.

    Values, or the indices of a palette, are class indices; IGNORE marks pixels that do not count. A mask of two values
    of which one is 0 stands for classes 0 and 1 where the other is no class index (255 is common).

    Args:
        data: the whole file.
        n_classes: number of classes.
        place: axis, slice, volume and frame to read, see :func:`place_of`.

    Raises:
        InputError: it has colours, or values that are no class.
    """
    for name, count in (("volume", "volumes"), ("frame", "frames")):
        if place.get(name) and getattr(read_image(data).available, count) == 1:
            place[name] = 0  # one truth for all volumes or frames of a series
    pixels = read_image(data, indices=True, **place).pixels
    if pixels.ndim == 3:
        if np.ptp(pixels, axis=2).any():
            raise InputError("the ground truth is a colour image", "give a grey mask with class indices")
        pixels = pixels[..., 0]
    values = np.unique(pixels)
    if values.size > 256 or not np.array_equal(values, np.rint(values)):
        raise InputError("the ground truth is no mask", "give an image whose pixel values are class indices")
    if values.size <= 2 and values.max() >= n_classes and values.min() == 0:
        return (pixels > 0).astype(np.uint8)
    classes = values[values != IGNORE]
    if values.min() < 0 or classes.size == 0 or classes.max() >= n_classes:
        wrong = values.min() if values.min() < 0 else max(classes, default=IGNORE)
        raise InputError(
            f"the ground truth has the value {wrong:g}",
            f"use class indices from 0 to {n_classes - 1}, and {IGNORE} for pixels that do not count",
        )
    return pixels.astype(np.uint8)


def require_size(truth: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse a ground truth that is not of its image's size (h, w).

    Raises:
        InputError: it is not.
    """
    if truth.shape != size:
        height, width = size
        raise InputError(
            f"the ground truth has the size {truth.shape}", f"give a single-channel mask of {height} x {width} pixels"
        )


def dice_by_class(mask: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> dict[str, float | None]:
    """Class -> Dice of a mask (h, w) with a ground truth of its size; None where neither has the class.

    Raises:
        InputError: the sizes differ.
    """
    require_size(truth, mask.shape)
    found = dice(count_overlap(mask, truth, len(classes)))
    return {name: None if np.isnan(value) else float(value) for name, value in zip(classes, found, strict=True)}
