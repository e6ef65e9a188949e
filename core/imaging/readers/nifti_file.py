"""The bytes of a NIfTI-1 or -2 file: bounded unpacking, a header that is checked before anything is read by it."""

import io
import math
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import nibabel
import numpy as np

from core.errors import InputError
from core.imaging.readers.limits import ACCEPTED, MAX_VOLUME_BYTES, check_pixel_count

BROKEN = "export it again from where it came from"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Layout:
    """What the header says: shape of one volume (i, j, k), number of volumes, bytes to skip, and so on."""

    header: nibabel.Nifti1Header
    shape: tuple[int, int, int]
    volumes: int
    offset: int


def open_stream(data: bytes) -> "Stream":
    """The file's bytes, unpacked if they are packed, as a context."""
    return Stream(data, packed=data[:2] == b"\x1f\x8b")


class Stream:
    """Read forward through bytes or gzip; unpacking stops at MAX_VOLUME_BYTES, whatever the file claims."""

    def __init__(self, data: bytes, packed: bool):
        self._plain: BinaryIO | None = None if packed else io.BytesIO(data)
        self._rest = memoryview(data)
        self._unpacker = zlib.decompressobj(31)
        self._total = 0

    def __enter__(self) -> "Stream":
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


def read_layout(stream: Stream, notes: list[str]) -> Layout:
    """Read the header and move to the first volume; remarks go to ``notes``."""
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
        raise InputError("the NIfTI file's data offset cannot be", BROKEN)
    stream.skip(offset - used)
    return Layout(header, shape, volumes, offset)  # type: ignore[arg-type]


def read_values(stream: Stream, layout: Layout, index: int) -> np.ndarray:
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
