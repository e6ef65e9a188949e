"""Reading a ground truth: a mask image with a class index per pixel, or a label volume with one per voxel."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes, apply_orientation

from core.errors import InputError
from core.imaging.overlap import IGNORE, count_overlap, dice
from core.imaging.readers import MedicalImage, read_image
from core.imaging.readers.limits import sniff
from core.imaging.readers.nifti import Volume, open_volume

_ROUNDING = 0.1
"""Part of a voxel by which two affines may differ: one may be stored as a rotation, and both are rounded."""


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
    return _class_indices(pixels, n_classes)


def read_truth_volume(data: bytes, volume: Volume, n_classes: int) -> np.ndarray:
    """Read a label volume as class indices, uint8, on the turned voxels of ``volume`` (right, anterior, superior).

    Values count as in :func:`read_ground_truth`. A file of one volume is the truth of every volume of a series.

    Args:
        data: the whole NIfTI file.
        volume: the volume whose truth it is.
        n_classes: number of classes.

    Raises:
        InputError: it is no NIfTI file, lies on other voxels (shape, axes or place), has colours or values that are
            no class.
    """
    if sniff(data) not in ("NIfTI", "gzip"):
        raise InputError("the ground truth is no volume", "give a NIfTI file (.nii, .nii.gz) of the image's voxels")
    truth = open_volume(data)
    if truth.volumes > 1:
        truth = open_volume(data, volume.number)
    _require_voxels(truth, volume)
    if truth.values.ndim == 4:
        raise InputError("the ground truth is a colour volume", "give class indices")
    slope, intercept = truth.scaling or (1.0, 0.0)
    values = truth.in_file_order(truth.values) * slope + intercept
    return apply_orientation(_class_indices(values, n_classes), volume.orientation)


def _require_voxels(truth: Volume, volume: Volume) -> None:
    """Refuse a truth on other voxels than its image's: it would be compared with what lies elsewhere."""
    resample = "resample it to the image's voxels with nearest neighbour"
    found, wanted = truth.file_shape, volume.file_shape
    if found != wanted:
        raise InputError(f"the ground truth has the shape {found}, the volume {wanted}", resample)
    axes = ["".join(str(code) for code in aff2axcodes(one.affine)) for one in (truth, volume)]
    if axes[0] != axes[1]:
        raise InputError(f"the axes of the ground truth lie {axes[0]}, those of the volume {axes[1]}", resample)
    corners = np.array(list(itertools.product(*((0, side - 1) for side in wanted))))
    apart = corners @ (truth.affine - volume.affine)[:3, :3].T + (truth.affine - volume.affine)[:3, 3]
    distance = float(np.linalg.norm(apart, axis=1).max())
    if distance > _ROUNDING * np.linalg.norm(volume.affine[:3, :3], axis=0).min():
        raise InputError(
            f"the ground truth lies up to {distance:.3g} away from the volume (another affine)",
            resample,
        )


def _class_indices(pixels: np.ndarray, n_classes: int) -> np.ndarray:
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
