"""NIfTI-1 and -2 (.nii, .nii.gz): one slice along a chosen axis, in the orientation in which people read it.

The volume is turned to the closest canonical orientation (RAS). Shown are, rows downwards and columns to the right:
sagittal: superior to inferior, anterior to posterior; coronal: superior to inferior, patient's right to left;
axial: anterior to posterior, patient's right to left (the radiological convention).
"""

import io
import math
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from core.errors import InputError
from core.imaging.readers.display import clean, show
from core.imaging.readers.image import AXES, Available, Axis, Choices, MedicalImage, pick
from core.imaging.readers.limits import ACCEPTED, MAX_VOLUME_BYTES, check_pixel_count

_BROKEN = "export it again from where it came from"
_CHUNK = 1 << 20
_MM = {1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units: metre, millimetre, micrometre


@dataclass(frozen=True)
class _Layout:
    """What the header says: shape of one volume (i, j, k), number of volumes, bytes to skip, and so on."""

    header: nibabel.Nifti1Header
    shape: tuple[int, int, int]
    volumes: int
    offset: int


def read_nifti(data: bytes, sha256: str, choices: Choices) -> MedicalImage:
    """Read one slice; ``axis``, ``slice``, ``volume`` and ``window`` of the choices are used.

    Raises:
        InputError: damaged, too large, not NIfTI inside of gzip, or without that slice or volume.
    """
    notes: list[str] = []
    try:
        with _open(data) as stream:
            layout = _layout(stream, notes)
            volume = pick("volume", choices.volume, layout.volumes)
            values = _volume(stream, layout, volume)
        values, zooms = _canonical(values, layout.header, notes)
    except InputError:
        raise
    except MemoryError:
        raise InputError("the volume does not fit into memory", "crop it or scale it down first") from None
    except Exception as error:  # nibabel and zlib raise many kinds on broken files
        raise InputError(f"the NIfTI file is damaged ({type(error).__name__})", _BROKEN) from None

    slices = {axis: values.shape[index] for index, axis in enumerate(AXES)}
    axis = choices.axis or _best_axis(values.shape, zooms)
    index = pick("slice", slices[axis] // 2 if choices.slice is None else choices.slice, slices[axis])
    picture, spacing = _slice(values, zooms, axis, index)
    slope, intercept = layout.header.get_slope_inter()
    if picture.dtype.kind != "u" or picture.ndim == 2:
        picture = picture.astype(np.float64)
    if slope is not None and picture.ndim == 2 and (slope, intercept) != (1.0, 0.0):
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
        chosen={"axis": axis, "slice": index, "volume": volume, "window": shown},
        available=Available(slices=slices, volumes=layout.volumes),
    )


def _open(data: bytes) -> "_Bounded":
    return _Bounded(data, packed=data[:2] == b"\x1f\x8b")


class _Bounded:
    """Read forward through bytes or gzip; unpacking stops at MAX_VOLUME_BYTES, whatever the file claims."""

    def __init__(self, data: bytes, packed: bool):
        self._plain: BinaryIO | None = None if packed else io.BytesIO(data)
        self._rest = memoryview(data)
        self._unpacker = zlib.decompressobj(31)
        self._total = 0

    def __enter__(self) -> "_Bounded":
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.release()

    def read(self, size: int) -> bytes | bytearray:
        """Exactly ``size`` bytes, or fewer at the end."""
        if self._plain is not None:
            return self._plain.read(size)
        read, missing = bytearray(), size
        while missing > 0:
            if self._unpacker.eof:
                if self._rest[:2] != b"\x1f\x8b":
                    break
                self._unpacker = zlib.decompressobj(31)  # gzip files may be strung together
            part = self._unpacker.decompress(self._rest[:_CHUNK], min(missing, _CHUNK))
            used = len(self._rest[:_CHUNK]) - len(self._unpacker.unconsumed_tail) - len(self._unpacker.unused_data)
            self._rest = self._rest[used:]
            read += part
            missing -= len(part)
            self._total += len(part)
            if self._total > MAX_VOLUME_BYTES:
                raise InputError(f"the file unpacks to more than {MAX_VOLUME_BYTES // 10**6} MB", "crop it first")
            if not part and not used:
                break
        return bytes(read) if size <= _CHUNK else read

    def skip(self, size: int) -> None:
        """Move on without keeping anything."""
        while size > 0 and (part := self.read(min(size, _CHUNK))):
            size -= len(part)


def _layout(stream: _Bounded, notes: list[str]) -> _Layout:
    head = stream.read(348)
    if len(head) < 348:
        raise InputError("the file is not an image that can be read", f"give a {ACCEPTED} file")
    newer = head[4:8] == b"n+2\x00"
    if not newer and head[344:348] != b"n+1\x00":
        raise InputError("the gzip file holds no NIfTI volume", "give a .nii.gz file or unpack it first")
    kind = nibabel.Nifti2Header if newer else nibabel.Nifti1Header
    used = kind.template_dtype.itemsize
    rest = stream.read(used - 348)
    with nibabel.imageglobals.LoggingOutputSuppressor():
        header = kind.from_fileobj(io.BytesIO(head + rest), check=True)
    if header.get_data_dtype().kind not in "biufcV":
        raise InputError("the NIfTI file holds values that are no numbers", "convert it first")
    sides = [int(side) for side in header.get_data_shape()]
    if not sides or min(sides) < 1:
        raise InputError(f"the NIfTI file declares the shape {tuple(sides)}", "give a file that has a volume in it")
    if len(sides) == 1:
        raise InputError("the NIfTI file has only one dimension", "give a 2-D, 3-D or 4-D file")
    shape = (*sides[:3], *(1,) * (3 - len(sides[:3])))
    volumes = math.prod(sides[3:])
    declared = math.prod(shape) * header.get_data_dtype().itemsize
    if declared > MAX_VOLUME_BYTES // 2 or declared * volumes > 100 * MAX_VOLUME_BYTES:
        raise InputError(
            f"the NIfTI file declares a volume of {declared / 1e6:.0f} MB", "crop it or scale it down first"
        )
    for pair in ((0, 1), (0, 2), (1, 2)):
        check_pixel_count(shape[pair[0]], shape[pair[1]], "NIfTI file")
    offset = int(header["vox_offset"])
    if offset < used:
        notes.append("The header's data offset is too small; the data were read right after it.")
        offset = used + (4 if not newer else 0)
    if offset > MAX_VOLUME_BYTES:
        raise InputError("the NIfTI file's data offset cannot be", _BROKEN)
    stream.skip(offset - used)
    return _Layout(header, shape, volumes, offset)  # type: ignore[arg-type]


def _volume(stream: _Bounded, layout: _Layout, index: int) -> np.ndarray:
    """Stored values (i, j, k), or (i, j, k, 3) for colour; complex ones as magnitude."""
    dtype = layout.header.get_data_dtype()
    size = math.prod(layout.shape) * dtype.itemsize
    stream.skip(size * index)
    body = stream.read(size)
    if len(body) < size:
        raise InputError(
            f"the NIfTI file ends after {len(body) / 1e6:.1f} of {size / 1e6:.1f} MB of the volume", "copy it again"
        )
    values = np.frombuffer(body, dtype).reshape(layout.shape, order="F")
    if dtype.names:  # RGB24 and RGBA32
        values = np.stack([values[name] for name in dtype.names[:3]], -1)
    return np.abs(values) if values.dtype.kind == "c" else values


def _canonical(
    values: np.ndarray, header: nibabel.Nifti1Header, notes: list[str]
) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    """The volume turned to RAS, and its voxel size in millimetres (None where the header has none that can be)."""
    zooms = [float(value) for value in (*header.get_zooms()[:3], 1.0, 1.0)[:3]]
    good = all(math.isfinite(value) and value > 0 for value in zooms)
    unit = _MM.get(int(header["xyzt_units"]) & 7, 1.0)
    affine = header.get_best_affine()
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        notes.append("The header has no orientation: the axes are taken as right, anterior, superior.")
        affine = np.eye(4)
    orientation = None
    if np.isfinite(affine).all():
        try:
            with np.errstate(all="ignore"):
                orientation = io_orientation(affine)
        except np.linalg.LinAlgError:
            orientation = None
    if orientation is None or np.isnan(orientation).any():
        notes.append("The header's orientation cannot be: the axes are taken as right, anterior, superior.")
    else:
        values = apply_orientation(values, orientation)
        turned = [1.0] * 3
        for source, (target, _) in enumerate(orientation):
            turned[int(target)] = zooms[source]
        zooms = turned
    if not good:
        notes.append("The header has no voxel size.")
        return values, None
    return values, (zooms[0] * unit, zooms[1] * unit, zooms[2] * unit)


def _best_axis(shape: tuple[int, ...], zooms: tuple[float, float, float] | None) -> Axis:
    """The axis across which the picture is finest: the one with the thickest (else the fewest) slices; ties: axial."""
    thickness = zooms or tuple(1 / side for side in shape[:3])
    return max(reversed(AXES), key=lambda axis: round(thickness[AXES.index(axis)], 4))


def _slice(
    values: np.ndarray, zooms: tuple[float, float, float] | None, axis: Axis, index: int
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Picture (rows, columns[, 3]) as the module's docstring says, and its spacing."""
    where = AXES.index(axis)
    plane = np.take(values, index, axis=where)  # the two other axes in order
    across, down = (other for other in range(3) if other != where)
    picture = np.swapaxes(plane, 0, 1)[::-1, ::-1]
    return np.ascontiguousarray(picture), (zooms[down], zooms[across]) if zooms else None
