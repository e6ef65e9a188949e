"""Stored values of one DICOM frame, with bounds checked first and compressed data decoded in another process."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import UID, RLELossless

from core.errors import InputError
from core.imaging.readers.codestream import declared_size
from core.imaging.readers.decoding import DECODER
from core.imaging.readers.limits import check_pixel_count

_NUMBERS = ("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_BROKEN = "export it again from the archive"
_PHOTOMETRIC = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB"} | {
    f"YBR_{kind}" for kind in ("FULL", "FULL_422", "PARTIAL_422", "PARTIAL_420", "RCT", "ICT")
}


def pixel_module(dataset: Dataset) -> dict[str, Any]:
    """The numbers that describe the stored values, checked against each other.

    Raises:
        InputError: there are no pixels, or the numbers cannot be.
    """
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(
            "the DICOM file has no pixels (a report, plan, waveform or directory)", "choose an image file"
        )
    module: dict[str, Any] = {}
    for keyword in _NUMBERS:
        value = dataset.get(keyword)
        if value is None and "PixelData" not in dataset:
            continue  # float pixel data has fewer elements
        if value is None and keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
            value = {"BitsStored": module["BitsAllocated"], "PixelRepresentation": 0}.get(
                keyword, module.get("BitsStored", 1) - 1
            )
        if not isinstance(value, int):
            raise InputError(f"the DICOM file does not say {keyword}", _BROKEN)
        module[keyword] = int(value)
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip()
    if photometric not in _PHOTOMETRIC:
        raise InputError(
            "the DICOM file has an unknown photometric interpretation", "convert it to RGB or MONOCHROME2"
        )
    module["PhotometricInterpretation"] = photometric
    check_pixel_count(module.get("Rows", 0), module.get("Columns", 0), "DICOM file")
    if module.get("SamplesPerPixel", 1) not in (1, 3) or module.get("BitsAllocated", 32) not in (1, 8, 16, 32, 64):
        raise InputError("the DICOM file has samples or bits per pixel that are not read", "convert it first")
    if module.get("SamplesPerPixel", 1) == 3:
        module["PlanarConfiguration"] = int(dataset.get("PlanarConfiguration") or 0)
    return module


def stored_values(dataset: Dataset, module: dict[str, Any], frame: int, frames: int) -> np.ndarray:
    """Stored values (rows, columns) or (rows, columns, 3); YBR is converted to RGB.

    Raises:
        InputError: the pixel data are damaged, shorter than declared, or in a syntax that is not read.
    """
    syntax = UID(str(getattr(dataset.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2")))
    compressed = syntax.is_encapsulated if syntax.is_transfer_syntax and not syntax.is_private else False
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise InputError("the DICOM file has an unknown transfer syntax", "export it as explicit VR little endian")
    try:
        values = (
            _compressed(dataset, module, syntax, frame, frames)
            if compressed
            else _native(dataset, module, frame, frames)
        )
    except InputError:
        raise
    except MemoryError:
        raise InputError("the picture does not fit into memory", "scale it down first") from None
    except Exception as error:  # the message of the library may hold values of the file
        raise InputError(f"the DICOM file's pixel data are damaged ({type(error).__name__})", _BROKEN) from None
    shape = (module["Rows"], module["Columns"], *((3,) if module.get("SamplesPerPixel", 1) == 3 else ()))
    if values.shape != shape:
        raise InputError("the DICOM file's pixel data have another size than it declares", _BROKEN)
    return values


def _native(dataset: Dataset, module: dict[str, Any], frame: int, frames: int) -> np.ndarray:
    plain = Dataset()
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    for keyword, value in module.items():
        setattr(plain, keyword, value)
    plain.NumberOfFrames = frames
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset:
            plain[keyword] = dataset[keyword]
    return pixel_array(plain, index=frame)


def _compressed(dataset: Dataset, module: dict[str, Any], syntax: UID, frame: int, frames: int) -> np.ndarray:
    tables: dict[str, Any] = {}
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        tables["extended_offsets"] = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    body = get_frame(dataset.PixelData, frame, number_of_frames=frames, **tables)
    if syntax != RLELossless:
        size = declared_size(body)
        if size is not None and size != (module["Rows"], module["Columns"]):
            raise InputError(
                f"the compressed picture is {size[1]} x {size[0]} pixels but the DICOM file declares"
                f" {module['Columns']} x {module['Rows']}",
                _BROKEN,
            )
        if size is None:
            raise InputError("the DICOM file's compressed picture is damaged", _BROKEN)
    head = {**module, "NumberOfFrames": 1, "syntax": str(syntax)}
    return DECODER.decode(head, body, syntax.name)
