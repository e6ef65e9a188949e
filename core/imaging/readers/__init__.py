"""Read PNG, JPEG, TIFF, DICOM and NIfTI from bytes, with every bound checked before decoding."""

import hashlib
from dataclasses import replace
from typing import Any

from core.errors import InputError
from core.imaging.readers.image import AXES, Available, Choices, MedicalImage
from core.imaging.readers.limits import name_disagrees, sniff

__all__ = ["AXES", "Available", "Choices", "MedicalImage", "read_image"]


def read_image(data: bytes, **choices: Any) -> MedicalImage:
    """Read an image file from memory; nothing is written and no identifier is kept.

    Args:
        data: the whole file.
        choices: fields of :class:`Choices`: frame, axis, slice, volume, window, indices, name.

    Raises:
        InputError: too large, damaged, of another format, without a picture, or a choice that the file does not have.
    """
    wanted = Choices(**choices)
    found = sniff(data)
    digest = hashlib.sha256(data).hexdigest()
    if found in ("PNG", "JPEG", "TIFF"):
        from core.imaging.readers.raster import read_raster

        image = read_raster(data, digest, found, wanted)
    elif found == "DICOM":
        from core.imaging.readers.dicom import read_dicom

        image = read_dicom(data, digest, wanted)
    elif found in ("NIfTI", "gzip"):
        from core.imaging.readers.nifti import read_nifti

        image = read_nifti(data, digest, wanted)
    else:
        raise InputError(f"the format {found} is not read", "give a PNG, JPEG, TIFF, DICOM or NIfTI file")
    note = name_disagrees(wanted.name, image.format)
    return replace(image, notes=(note, *image.notes)) if note else image
