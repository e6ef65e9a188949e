"""A whole NIfTI volume explained slice by slice: mask and maps on the file's own voxels, for any viewer.

The network sees slices, so each slice has a region M and a score S of its own, and a map's value in a voxel is that of
its slice: raw and signed, interpolated from the layer's cells. Slices without a pixel in M are 0, and so are those
without a value that is a number, which the network does not see.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import nibabel
import numpy as np
import torch

from core.errors import InputError
from core.imaging.cams import METHODS, explain
from core.imaging.ground_truth import dice_by_class
from core.imaging.layers import default_layer
from core.imaging.matching import slice_axis
from core.imaging.provenance import empty_remark, shared_entries
from core.imaging.readers.display import NoNumbersError
from core.imaging.readers.image import AXES, Axis, Choices
from core.imaging.readers.limits import sniff
from core.imaging.readers.nifti import Volume, open_volume
from core.imaging.regions import EmptyRegionError, Region
from core.imaging.segmenters import Segmenter, segment
from core.progress import Progress, silent
from core.safety import EXPORT_NOTICE

KINDS = ("mask", "image", "uncertain")
"""Regions that every slice has one of; the others have their place in one slice, or are against a ground truth."""


@dataclass(frozen=True)
class SliceScore:
    """What a slice's manifest entry says: S, the pixels of M, and the class's mean probability over M."""

    score: float
    n_pixels: int
    mean_probability: float


@dataclass(frozen=True, eq=False)
class VolumeMaps:
    """An explained volume.

    Attributes:
        sha256: of the file.
        volume: the volume as it was read.
        axis: along which the slices lie.
        layer: the layer that the maps are of.
        region, class_index: what was asked.
        mask: class index uint8 on the file's voxels (i, j, k).
        maps: method -> float32 (i, j, k), raw and signed.
        slices: slice -> its score, for those that have a pixel in M.
        blank: slices without a value that is a number.
        dice: class -> Dice with the ground truth over the whole volume, None where neither has the class; empty
            without a truth. A blank slice counts with its empty mask.
        slice_dice: the same of each slice.
    """

    sha256: str
    volume: Volume
    axis: Axis
    layer: str
    region: Region
    class_index: int
    mask: np.ndarray
    maps: dict[str, np.ndarray]
    slices: dict[int, SliceScore]
    blank: tuple[int, ...] = ()
    dice: dict[str, float | None] = field(default_factory=dict)
    slice_dice: dict[int, dict[str, float | None]] = field(default_factory=dict)

    @property
    def empty(self) -> EmptyRegionError | None:
        """What is wrong where no slice has a pixel in M: there is a mask and nothing else."""
        return None if self.slices else EmptyRegionError(self.region, self.class_index, "in any slice")

    @property
    def score(self) -> float:
        """The sum of S over the slices."""
        return sum(one.score for one in self.slices.values())

    @property
    def n_pixels(self) -> int:
        """The pixels of M in all slices."""
        return sum(one.n_pixels for one in self.slices.values())


def explain_volume(
    segmenter: Segmenter,
    data: bytes,
    region: Region | None = None,
    class_index: int = 1,
    layer: str | None = None,
    axis: Axis | None = None,
    number: int = 0,
    progress: Progress = silent,
    truth: np.ndarray | None = None,
) -> VolumeMaps:
    """Explain every slice of a volume that has a pixel in the region; see :attr:`VolumeMaps.empty` where none has.

    Args:
        segmenter: the segmenter.
        data: the NIfTI file.
        region: of the kinds ``KINDS``, or with its ground truth of the whole volume; by default the class's mask.
        class_index: the class.
        layer: by default the middle of the decoder.
        axis: by default that of the segmenter's card, else the finest.
        number: of the volume in the file.
        progress: called before each slice.
        truth: class indices on the turned voxels, see :func:`core.imaging.ground_truth.read_truth_volume`.

    Raises:
        InputError: no NIfTI file or one without a number, a region with a place, an unknown class or layer.
        ValueError: a truth of another shape.
    """
    region = region or Region()
    if sniff(data) not in ("NIfTI", "gzip"):
        raise InputError("the file is no volume", "give a NIfTI file (.nii, .nii.gz)")
    if region.kind not in KINDS and region.ground_truth is None:
        raise InputError(
            f"the region {region} has its place in one slice", f"explain a volume over {', '.join(KINDS)}"
        )
    volume = open_volume(data, number)
    axis = slice_axis(segmenter.card, axis) or volume.finest_axis()
    layer = layer or default_layer(list(segmenter.layers))
    sha256 = hashlib.sha256(data).hexdigest()
    shape = volume.values.shape[:3]
    for labels in (truth, region.ground_truth):
        if labels is not None and labels.shape != shape:
            raise ValueError(f"a truth of {labels.shape} for a volume of {shape}")
    mask = np.zeros(shape, np.uint8)
    maps = {method: np.zeros(shape, np.float32) for method in METHODS}
    slices: dict[int, SliceScore] = {}
    blank: list[int] = []
    for index in range(volume.slices[axis]):
        progress(index, volume.slices[axis], "")
        try:
            image = volume.image(sha256, Choices(axis=axis, slice=index))
        except NoNumbersError:
            blank.append(index)
            continue
        of_slice = region
        if region.ground_truth is not None:
            of_slice = replace(region, ground_truth=volume.picture(region.ground_truth, axis, index))
        try:
            result = explain(segmenter, image, of_slice, class_index, [layer])
        except EmptyRegionError:
            volume.place(mask, axis, index, segment(segmenter, image).mask)
            continue
        volume.place(mask, axis, index, result.segmentation.mask)
        slices[index] = SliceScore(result.score, result.n_pixels, result.mean_probability)
        for method, values in maps.items():
            raw = torch.from_numpy(np.ascontiguousarray(getattr(result.maps[layer], method)))
            volume.place(values, axis, index, result.geometry.layer_to_image(raw).numpy())
    progress(volume.slices[axis], volume.slices[axis], "")
    if len(blank) == volume.slices[axis]:
        raise NoNumbersError
    slice_dice: dict[int, dict[str, float | None]] = {}
    if truth is not None:
        seen, given = (np.moveaxis(array, AXES.index(axis), 0) for array in (mask, truth))
        slice_dice = {index: dice_by_class(seen[index], given[index], segmenter.classes) for index in range(len(seen))}
    return VolumeMaps(
        sha256,
        volume,
        axis,
        layer,
        region,
        class_index,
        volume.in_file_order(mask),
        {method: volume.in_file_order(values) for method, values in maps.items()},
        slices,
        tuple(blank),
        {} if truth is None else dice_by_class(mask, truth, segmenter.classes),
        slice_dice,
    )


def volume_files(segmenter: Segmenter, found: VolumeMaps, extra: dict[str, Any] | None = None) -> dict[str, bytes]:
    """The files of an explained volume: ``mask.nii.gz``, a map a method if any slice has one, last the manifest."""
    files = {"mask.nii.gz": _nifti(found.mask, found.volume)}
    for method, values in found.maps.items() if found.slices else ():
        files[f"{method}.nii.gz"] = _nifti(values, found.volume)
    described = describe(segmenter, found) | {"files": [*files, "manifest.json"]} | (extra or {})
    files["manifest.json"] = (json.dumps(described, indent=2) + "\n").encode()
    return files


def describe(segmenter: Segmenter, found: VolumeMaps) -> dict[str, Any]:
    """An explained volume as its manifest states it; sums and means are over the pixels of all slices."""
    score, probability, remark = None, None, {}
    if found.empty is None:
        score = found.score
        probability = sum(one.mean_probability * one.n_pixels for one in found.slices.values()) / found.n_pixels
    else:
        remark = {"remark": empty_remark(found.empty)}
    blank = [f"Slices without a value that is a number, left empty: {', '.join(map(str, found.blank))}."]
    entries = shared_entries(segmenter, found.region, found.class_index, score, found.n_pixels, probability)
    return (
        entries
        | remark
        | {
            "image": {
                "sha256": found.sha256,
                "format": "NIfTI",
                "size": list(found.mask.shape),
                "chosen": {"axis": found.axis, "volume": found.volume.number},
                "notes": [*found.volume.notes, *(blank if found.blank else ())],
            },
            "class_areas_pixels": dict(
                zip(segmenter.classes, np.bincount(found.mask.ravel(), minlength=len(segmenter.classes)).tolist())
            ),
            "display": {"layer": found.layer, "note": "maps are raw and signed, interpolated to the voxels"},
            "slices": {str(index): vars(one) for index, one in found.slices.items()},
        }
        | ({"ground_truth": {"dice": found.dice, "slices": found.slice_dice}} if found.dice else {})
    )


def _nifti(values: np.ndarray, volume: Volume) -> bytes:
    """A packed NIfTI file on a volume's voxels; the same values give the same bytes."""
    image = nibabel.Nifti1Image(values, volume.affine)
    image.header["xyzt_units"] = volume.units
    image.header["descrip"] = EXPORT_NOTICE[:79]
    return gzip.compress(image.to_bytes(), mtime=0)
