"""DICOM: one frame with modality LUT, VOI LUT or window, palette, MONOCHROME1, and no identifier kept.

Order (PS3.4 N.2): stored values, modality transform, VOI transform (for the eye only), polarity last.
"""

import io
import math
import warnings
import zlib

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from core.errors import InputError
from core.imaging.readers.dicom_frames import pixel_module, stored_values
from core.imaging.readers.dicom_voi import list_presets, show_grey
from core.imaging.readers.display import clean, scale
from core.imaging.readers.image import Available, Choices, MedicalImage, pick
from core.imaging.readers.limits import MAX_VOLUME_BYTES

_BROKEN = "export it again from the archive"
_MODALITIES = """CR DX CT MR US MG XA RF NM PT PX IO OT SC XC ES GM SM OP OCT OPT IVUS IVOCT RG TG SEG BI
    RTIMAGE RTDOSE"""
MODALITIES = frozenset(_MODALITIES.split())
_MACROS = (  # functional group macros of enhanced objects that hold what we read
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)
_SPACINGS = (
    ("PixelSpacing", None),
    ("ImagerPixelSpacing", "Spacing is at the detector; the body is smaller by the magnification."),
    ("NominalScannedPixelSpacing", "Spacing is of the scanned film."),
)


def read_dicom(data: bytes, sha256: str, choices: Choices) -> MedicalImage:
    """Read one frame; ``frame`` and ``window`` of the choices are used.

    Raises:
        InputError: damaged, without pixels, in a syntax that is not read, or without that frame.
    """
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = _parse(data)
            module = pixel_module(dataset)
            frames = max(1, int(dataset.get("NumberOfFrames") or 1))
        except InputError:
            raise
        except Exception as error:  # the library's message may hold values of the file
            raise InputError(f"the DICOM file is damaged ({type(error).__name__})", _BROKEN) from None
        frame = pick("frame", choices.frame, frames)
        stored = stored_values(dataset, module, frame, frames)
        try:
            view = _frame_view(dataset, frame)
            photometric = module["PhotometricInterpretation"]
            if photometric.startswith("MONOCHROME") and stored.ndim == 2:
                pixels, display, shown = _grey(stored, view, photometric, choices, notes)
                windows = tuple(preset.name for preset in list_presets(view))
            else:
                pixels, display, shown = _colour(stored, view, photometric, notes)
                windows = ()
            spacing = _spacing(view, notes)
            burned_in = _burned_in(dataset, notes)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"the DICOM file's image attributes are damaged ({type(error).__name__})", _BROKEN
            ) from None
    modality = str(dataset.get("Modality", "")).strip()
    return MedicalImage(
        pixels=pixels,
        display=display,
        sha256=sha256,
        format="DICOM",
        spacing=spacing,
        notes=tuple(notes),
        chosen={"frame": frame, "window": shown},
        available=Available(frames=frames, windows=windows),
        modality=modality if modality in MODALITIES else None,
        burned_in=burned_in,
    )


def _parse(data: bytes) -> Dataset:
    """The data set; a deflated one only after its unpacked size was found to be bounded."""
    stream = io.BytesIO(data)
    read_preamble(stream, force=True)
    meta = _read_file_meta_info(stream)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        unpacker, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, data[stream.tell() :]
        while rest and not unpacker.eof:
            size += len(unpacker.decompress(rest, 1 << 20))
            rest = unpacker.unconsumed_tail
            if size > MAX_VOLUME_BYTES // 4:
                raise InputError("the deflated DICOM file unpacks to more than 250 MB", "export it uncompressed")
    dataset = dcmread(io.BytesIO(data), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _frame_view(dataset: Dataset, frame: int) -> Dataset:
    """The data set's own elements, overlaid with the shared and then the frame's functional groups."""
    view = Dataset()
    view.set_original_encoding(*dataset.original_encoding)  # in which the tables' bytes stand
    view.update({element.tag: element for element in dataset if element.tag.group == 0x0028})
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing", "PresentationLUTShape"):
        if keyword in dataset:
            view[keyword] = dataset[keyword]
    groups = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    groups += list(dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    for group in groups:
        for macro in _MACROS:
            for item in list(group.get(macro) or [])[:1]:
                view.update({element.tag: element for element in item})
    return view


def _grey(
    stored: np.ndarray, view: Dataset, photometric: str, choices: Choices, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, str]:
    """Values for the model, values for the eye, and what was applied to the latter."""
    values = clean(apply_modality_lut(stored, view), notes)
    padded = _padding(stored, view)
    if padded is not None and padded.any() and not padded.all():
        values = np.where(padded, values[~padded].min(), values)
        notes.append("Padding outside of the picture was set to the lowest value.")
    if "ModalityLUTSequence" in view:
        notes.append("The modality LUT was applied.")
    elif "RescaleSlope" in view and (float(view.RescaleSlope), float(view.RescaleIntercept)) != (1.0, 0.0):
        notes.append(f"Rescaled by {float(view.RescaleSlope):g} and {float(view.RescaleIntercept):g}.")
    display, shown = show_grey(values, view, choices.window)
    if photometric == "MONOCHROME1" or str(view.get("PresentationLUTShape", "")) == "INVERSE":
        display, values = 255 - display, (values.max() + values.min()) - values
        notes.append("Low values are white in this file: turned round for the eye and for the model.")
    notes.append(f"Shown {shown}; the model gets the values after the modality transform.")
    return np.ascontiguousarray(values, np.float32), np.ascontiguousarray(display), shown


def _colour(
    stored: np.ndarray, view: Dataset, photometric: str, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, str]:
    if photometric == "PALETTE COLOR":
        values = apply_color_lut(stored, view)[..., :3]
        highest = np.iinfo(values.dtype).max
        notes.append("Palette colours were looked up.")
    elif stored.ndim == 3:
        values, highest = stored, 2 ** int(view.get("BitsStored") or view.BitsAllocated) - 1
        if photometric.startswith("YBR"):
            notes.append(f"{photometric} was converted to RGB.")
    else:
        raise InputError("the DICOM file declares colour but has one sample per pixel", _BROKEN)
    pixels = clean(values, notes)
    shown = "as stored" if values.dtype == np.uint8 and highest == 255 else f"in its full range, 0 to {highest}"
    return pixels, scale(pixels, 0, highest), shown


def _padding(stored: np.ndarray, view: Dataset) -> np.ndarray | None:
    value = view.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = view.get("PixelPaddingRangeLimit")
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    return (stored >= low) & (stored <= high)


def _spacing(view: Dataset, notes: list[str]) -> tuple[float, float] | None:
    for keyword, note in _SPACINGS:
        values = view.get(keyword)
        if values is not None and not isinstance(values, str) and len(values) == 2:
            rows, columns = (float(value) for value in values)
            if math.isfinite(rows) and math.isfinite(columns) and rows > 0 and columns > 0:
                if note:
                    notes.append(note)
                return rows, columns
    ratio = view.get("PixelAspectRatio")
    if ratio is not None and len(ratio) == 2 and int(ratio[0]) > 0 and int(ratio[1]) > 0 and ratio[0] != ratio[1]:
        notes.append(f"Pixels are not square (aspect ratio {int(ratio[0])}:{int(ratio[1])}) and have no size in mm.")
    return None


def _burned_in(dataset: Dataset, notes: list[str]) -> bool | None:
    stated = str(dataset.get("BurnedInAnnotation", "")).strip().upper()
    if str(dataset.get("RecognizableVisualFeatures", "")).strip().upper() == "YES":
        notes.append("The file says that the picture may show a recognisable face.")
    if stated == "YES":
        notes.append("The file says that text is burned into the picture: check for names before you share it.")
        return True
    if stated == "NO":
        return False
    notes.append("The file does not say whether text is burned into the picture: look before you share it.")
    return None
