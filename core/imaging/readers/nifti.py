"""NIfTI-1 and -2 (.nii, .nii.gz): one slice along a chosen axis, in the orientation in which people read it.

The volume is turned to the closest canonical orientation (RAS). Shown are, rows downwards and columns to the right:
sagittal: superior to inferior, anterior to posterior; coronal: superior to inferior, patient's right to left;
axial: anterior to posterior, patient's right to left (the radiological convention).
"""

import math
from dataclasses import dataclass

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

from core.errors import InputError
from core.imaging.readers.display import clean, show
from core.imaging.readers.image import AXES, Available, Axis, Choices, MedicalImage, pick
from core.imaging.readers.nifti_file import BROKEN, open_stream, read_layout, read_values

_MM = {1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units: metre, millimetre, micrometre


@dataclass(frozen=True, eq=False)
class Volume:
    """One volume of a file, turned to RAS.

    Attributes:
        values: stored values (right, anterior, superior), or with a last axis of 3 for colour.
        zooms: size of a voxel in millimetres along these axes; None where the header has none that can be.
        scaling: slope and intercept of the header, or None.
        volumes: how many the file has; ``number`` is this one's.
        notes: remarks for the reader.
        affine: of the file's own order of voxels (4, 4).
        orientation: how the file's axes were turned, as nibabel states it.
        units: the header's code of the units in which the affine is (xyzt_units).
    """

    values: np.ndarray
    zooms: tuple[float, float, float] | None
    scaling: tuple[float, float] | None
    volumes: int
    number: int
    notes: tuple[str, ...]
    affine: np.ndarray
    orientation: np.ndarray
    units: int

    @property
    def slices(self) -> dict[Axis, int]:
        """Number of slices along each axis."""
        return {axis: self.values.shape[index] for index, axis in enumerate(AXES)}

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Voxels along the file's own axes (i, j, k)."""
        return tuple(self.values.shape[int(target)] for target, _ in self.orientation)

    def image(self, sha256: str, choices: Choices) -> MedicalImage:
        """One slice as a picture; ``axis``, ``slice`` and ``window`` of the choices are used."""
        notes = list(self.notes)
        axis = choices.axis or self.finest_axis()
        count = self.slices[axis]
        index = pick("slice", count // 2 if choices.slice is None else choices.slice, count)
        picture, spacing = _slice(self.values, self.zooms, axis, index)
        if picture.dtype.kind != "u" or picture.ndim == 2:
            picture = picture.astype(np.float64)
        if self.scaling and picture.ndim == 2 and self.scaling != (1.0, 0.0):
            slope, intercept = self.scaling
            picture = picture * slope + intercept
            notes.append(f"Scaled by {slope:g} and {intercept:g}, as the header says.")
        pixels = clean(picture, notes)
        if isinstance(choices.window, str) and choices.window.startswith("preset"):
            raise InputError("a NIfTI file has no window presets", "choose full, percentile or two numbers")
        if picture.ndim == 3 and choices.window is None:
            display, shown = np.ascontiguousarray(picture.astype(np.uint8)), "as stored"
        else:
            display, shown = show(pixels, choices.window)
        notes.append(f"Shown {shown}; the model gets the scaled values.")
        return MedicalImage(
            pixels=pixels,
            display=display,
            sha256=sha256,
            format="NIfTI",
            spacing=spacing,
            notes=tuple(notes),
            chosen={"axis": axis, "slice": index, "volume": self.number, "window": shown},
            available=Available(slices=self.slices, volumes=self.volumes),
        )

    def finest_axis(self) -> Axis:
        """The axis across which pictures are finest: that with the thickest (else the fewest) slices; ties: axial."""
        thickness = self.zooms or tuple(1 / side for side in self.values.shape[:3])
        return max(reversed(AXES), key=lambda axis: round(thickness[AXES.index(axis)], 4))

    def place(self, turned: np.ndarray, axis: Axis, index: int, picture: np.ndarray) -> None:
        """Write a picture (rows, columns) of a slice, as :meth:`image` has it, into an array on the turned voxels."""
        np.moveaxis(turned, AXES.index(axis), 0)[index] = picture[::-1, ::-1].T

    def picture(self, turned: np.ndarray, axis: Axis, index: int) -> np.ndarray:
        """Cut a slice's picture (rows, columns) out of an array on the turned voxels, as :meth:`image` has it."""
        return np.ascontiguousarray(np.moveaxis(turned, AXES.index(axis), 0)[index].T[::-1, ::-1])

    def in_file_order(self, turned: np.ndarray) -> np.ndarray:
        """An array on the turned voxels (right, anterior, superior) on the file's own (i, j, k)."""
        back = ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), self.orientation)
        return apply_orientation(turned, back)


def open_volume(data: bytes, number: int = 0) -> Volume:
    """Read a volume of a NIfTI file, ``number`` from 0.

    Raises:
        InputError: damaged, too large, not NIfTI inside of gzip, or without that volume.
    """
    notes: list[str] = []
    try:
        with open_stream(data) as stream:
            layout = read_layout(stream, notes)
            volume = pick("volume", number, layout.volumes)
            values = read_values(stream, layout, volume)
        orientation = _orientation(layout.header, notes)
        zooms = _voxel_size(layout.header, orientation, notes)
        slope, intercept = layout.header.get_slope_inter()
        affine = layout.header.get_best_affine()
        return Volume(
            values=apply_orientation(values, orientation),
            zooms=zooms,
            scaling=None if slope is None else (slope, intercept),
            volumes=layout.volumes,
            number=volume,
            notes=tuple(notes),
            affine=affine if np.isfinite(affine).all() else np.eye(4),
            orientation=orientation,
            units=int(layout.header["xyzt_units"]) & 0xFF,
        )
    except InputError:
        raise
    except MemoryError:
        raise InputError("the volume does not fit into memory", "crop it or scale it down first") from None
    except Exception as error:  # nibabel and zlib raise many kinds on broken files
        raise InputError(f"the NIfTI file is damaged ({type(error).__name__})", BROKEN) from None


def read_nifti(data: bytes, sha256: str, choices: Choices) -> MedicalImage:
    """Read one slice; ``axis``, ``slice``, ``volume`` and ``window`` of the choices are used.

    Raises:
        InputError: as :func:`open_volume`, or without that slice.
    """
    return open_volume(data, choices.volume).image(sha256, choices)


def _orientation(header: nibabel.Nifti1Header, notes: list[str]) -> np.ndarray:
    """How the file's axes lie to right, anterior and superior, as nibabel states it."""
    affine = header.get_best_affine()
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        notes.append("The header has no orientation: the axes are taken as right, anterior, superior.")
        affine = np.eye(4)
    found = None
    if np.isfinite(affine).all():
        try:
            with np.errstate(all="ignore"):
                found = io_orientation(affine)
        except np.linalg.LinAlgError:
            found = None
    if found is None or np.isnan(found).any():
        notes.append("The header's orientation cannot be: the axes are taken as right, anterior, superior.")
        return np.array([[0, 1], [1, 1], [2, 1]])
    return found


def _voxel_size(
    header: nibabel.Nifti1Header, orientation: np.ndarray, notes: list[str]
) -> tuple[float, float, float] | None:
    """Millimetres along right, anterior and superior; None where the header has none that can be."""
    zooms = [float(value) for value in (*header.get_zooms()[:3], 1.0, 1.0)[:3]]
    if not all(math.isfinite(value) and value > 0 for value in zooms):
        notes.append("The header has no voxel size.")
        return None
    unit = _MM.get(int(header["xyzt_units"]) & 7, 1.0)
    turned = [1.0] * 3
    for source, (target, _) in enumerate(orientation):
        turned[int(target)] = zooms[source] * unit
    return turned[0], turned[1], turned[2]


def _slice(
    values: np.ndarray, zooms: tuple[float, float, float] | None, axis: Axis, index: int
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Picture (rows, columns[, 3]) as the module's docstring says, and its spacing."""
    where = AXES.index(axis)
    plane = np.take(values, index, axis=where)  # the two other axes in order
    across, down = (other for other in range(3) if other != where)
    picture = np.swapaxes(plane, 0, 1)[::-1, ::-1]
    return np.ascontiguousarray(picture), (zooms[down], zooms[across]) if zooms else None
