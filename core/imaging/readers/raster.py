"""PNG, JPEG and TIFF at 8 and 16 bit (and TIFF in floating point), with palettes, alpha and EXIF rotation."""

import io
import warnings
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from core.errors import InputError
from core.imaging.readers.display import clean, show
from core.imaging.readers.image import Available, Choices, MedicalImage, pick
from core.imaging.readers.limits import MAX_FRAMES, check_pixel_count

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our own sentence says what is wrong

MAX_SCANS = 200
"""Scans of a progressive JPEG; usual are 10. Each is a pass over all pixels, so thousands would hang us."""
_BROKEN = "export it again from where it came from"


def read_raster(data: bytes, sha256: str, found: str, choices: Choices) -> MedicalImage:
    """Read one picture.

    Args:
        data: the file.
        sha256: of it.
        found: PNG, JPEG or TIFF, as the first bytes say.
        choices: ``frame``, ``window`` and ``indices`` are used.

    Raises:
        InputError: broken, too large, of an unknown kind, or without that frame.
    """
    notes: list[str] = []
    if found == "JPEG" and data.count(b"\xff\xda") > MAX_SCANS:
        raise InputError("the JPEG file has far too many scans", "save it again as an ordinary JPEG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, frames = _decode(data, found, choices, notes)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError("the picture declares far too many pixels", "crop it or scale it down first") from None
    except UnidentifiedImageError:
        raise InputError(f"the file starts like a {found} but is none", _BROKEN) from None
    except MemoryError:
        raise InputError("the picture does not fit into memory", "scale it down first") from None
    except Exception as error:  # decoders raise nearly every kind on broken files
        raise InputError(f"the {found} file is damaged ({type(error).__name__})", _BROKEN) from None

    if values.ndim == 3 and (values[..., 0] == values[..., 1]).all() and (values[..., 0] == values[..., 2]).all():
        values = values[..., 0]
        notes.append("The colours are all grey: read as one channel.")
    pixels = clean(values, notes)
    if values.dtype == np.uint8 and choices.window is None:
        display, shown = np.ascontiguousarray(values), "as stored"
    else:
        if isinstance(choices.window, str) and choices.window.startswith("preset"):
            raise InputError(f"a {found} file has no window presets", "choose full, percentile or two numbers")
        display, shown = show(pixels, choices.window)
    chosen = {"frame": choices.frame, "window": shown}
    notes.append(f"Shown {shown}; the model gets the stored values.")
    return MedicalImage(pixels, display, sha256, found, None, tuple(notes), chosen, Available(frames=frames))


def _decode(data: bytes, found: str, choices: Choices, notes: list[str]) -> tuple[np.ndarray, int]:
    """Values uint8, uint16, int32 or float32, (h, w) or (h, w, 3), and the number of frames."""
    frame = choices.frame
    with Image.open(io.BytesIO(data), formats=[found]) as picture:
        check_pixel_count(picture.height, picture.width)
        frames = 1
        if found == "TIFF":
            frames = _count_pages(picture)
            picture.seek(pick("page", frame, frames))
            check_pixel_count(picture.height, picture.width)
        else:
            pick("frame", frame, 1)
            if getattr(picture, "n_frames", 1) > 1:
                notes.append("The file is animated; its first frame was read.")
        orientation = picture.getexif().get(0x0112, 1)
        deep = _colour_at_16_bit(picture, data, found)
        if deep:
            values = _decode_deep_colour(data, found, frame)
            values = _turn(values, orientation)
        else:
            picture.load()
            inverted = _tiff_tag(picture, 262) == 0 and picture.mode.startswith("I;16")
            turned = ImageOps.exif_transpose(picture)
            values = np.array(turned) if turned.mode == "P" and choices.indices else _to_array(turned, notes)
            if inverted:
                values = np.iinfo(np.uint16).max - values
        if orientation not in (None, 1):
            notes.append("Turned as the EXIF orientation says.")
    return _without_alpha(values, notes), frames


def _count_pages(picture: Image.Image) -> int:
    """Number of TIFF pages, counted no further than MAX_FRAMES."""
    count = 0
    try:
        while count < MAX_FRAMES:
            picture.seek(count)
            count += 1
    except EOFError:
        pass
    picture.seek(0)
    return count


def _tiff_tag(picture: Image.Image, number: int) -> Any:
    """A tag's value; None where it is absent or the picture is no TIFF."""
    return picture.tag_v2.get(number) if isinstance(picture, TiffImagePlugin.TiffImageFile) else None


def _colour_at_16_bit(picture: Image.Image, data: bytes, found: str) -> bool:
    """Pillow reads 16-bit colour at 8 bit; those files go through OpenCV."""
    if found == "PNG":
        return data[24] == 16 and data[25] in (2, 4, 6)
    bits = _tiff_tag(picture, 258)
    return bits is not None and len(bits) >= 2 and bits[0] == 16


def _decode_deep_colour(data: bytes, found: str, frame: int) -> np.ndarray:
    buffer = np.frombuffer(data, np.uint8)
    if found == "TIFF":
        _, pages = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED, range=(frame, frame + 1))
        values = pages[0] if pages else None
    else:
        values = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise InputError(f"the {found} file is damaged or of a rare kind", "save it as 16-bit grey or 8-bit colour")
    if values.ndim == 3 and values.shape[2] in (3, 4):  # OpenCV has blue first
        values = values[..., [2, 1, 0, 3][: values.shape[2]]]
    return values


def _turn(values: np.ndarray, orientation: int | None) -> np.ndarray:
    """EXIF orientation 1..8 for an array."""
    turns = {2: lambda v: v[:, ::-1], 3: lambda v: v[::-1, ::-1], 4: lambda v: v[::-1]}
    turns |= {5: lambda v: v.swapaxes(0, 1), 6: lambda v: np.rot90(v, -1), 7: lambda v: v[::-1, ::-1].swapaxes(0, 1)}
    turns |= {8: np.rot90}
    return turns[orientation](values) if orientation in turns else values


def _to_array(picture: Image.Image, notes: list[str]) -> np.ndarray:
    mode = picture.mode
    if mode in ("P", "PA"):
        notes.append("Palette colours were looked up.")
        has_alpha = mode == "PA" or "transparency" in picture.info
        picture = picture.convert("RGBA" if has_alpha else "RGB")
    elif mode in ("CMYK", "YCbCr", "RGBX", "RGBa", "HSV"):
        notes.append(f"{mode} was converted to RGB.")
        picture = picture.convert("RGBA" if mode == "RGBa" else "RGB")
    elif mode == "La":
        picture = picture.convert("LA")
    elif mode == "1":
        picture = picture.convert("L")
    elif mode not in ("L", "LA", "RGB", "RGBA", "I", "F") and not mode.startswith("I;16"):
        raise InputError(f"the picture has the colour mode {mode}", "save it as grey or RGB")
    elif mode in ("L", "RGB") and "transparency" in picture.info:
        picture = picture.convert("LA" if mode == "L" else "RGBA")
    return np.array(picture)


def _without_alpha(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Blend (h, w, 2) or (h, w, 4) with black."""
    if values.ndim == 2 or values.shape[2] == 3:
        return values
    if values.shape[2] not in (2, 4):
        raise InputError(f"the picture has {values.shape[2]} channels", "save it as grey or RGB")
    colour, alpha = values[..., :-1], values[..., -1:]
    highest = np.iinfo(values.dtype).max
    if (alpha != highest).any():
        notes.append("Transparent parts were laid on black.")
        colour = np.rint(colour.astype(np.float64) * alpha / highest).astype(values.dtype)
    return np.ascontiguousarray(colour if colour.shape[2] == 3 else colour[..., 0])
