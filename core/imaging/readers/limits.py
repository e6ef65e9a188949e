"""Bounds checked before anything is decoded, and the formats told apart by their first bytes."""

from core.errors import InputError
from core.settings import get_settings

MAX_PIXELS = 50_000_000
"""Largest picture (rows x columns) that is decoded."""
MAX_SIDE = 30_000
MAX_VOLUME_BYTES = 1_000_000_000
"""Largest NIfTI or deflated content that is unpacked."""
MAX_FRAMES = 10_000

ACCEPTED = "PNG, JPEG, TIFF, DICOM or NIfTI"
_MAGIC = (  # (offset, bytes, name); DICOM first: its preamble may look like a TIFF
    (128, b"DICM", "DICOM"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (344, b"n+1\x00", "NIfTI"),
    (4, b"n+2\x00\r\n\x1a\n", "NIfTI"),
    (0, b"\x1f\x8b", "gzip"),
)
_OTHERS = (  # what people try, so that the message can name it
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x00\x00\x00\x0cjP  ", "a bare JPEG 2000 file"),
    (344, b"ni1\x00", "half of a NIfTI pair (.hdr and .img)"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML text"),
)
_SUFFIXES = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "tif": "TIFF",
    "tiff": "TIFF",
    "dcm": "DICOM",
    "nii": "NIfTI",
}


def sniff(data: bytes) -> str:
    """Format by content: PNG, JPEG, TIFF, DICOM, NIfTI or gzip.

    Raises:
        InputError: empty, too large, or none of these.
    """
    if not data:
        raise InputError("the file is empty", f"give a {ACCEPTED} file")
    limit = get_settings().upload_mb
    if len(data) > limit * 2**20:  # as the page's uploader counts
        raise InputError(f"the file is larger than {limit} MB", "give a smaller file or raise CHARTLIGHT_UPLOAD_MB")
    for offset, magic, name in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return name
    if data[:4] in (b"\x02\x00\x00\x00", b"\x02\x00\x01\x00", b"\x02\x00\x10\x00") or _looks_like_bare_dicom(data):
        return "DICOM"
    for offset, magic, name in _OTHERS:
        if data[offset : offset + len(magic)] == magic:
            raise InputError(f"the file is {name}", f"convert it to {ACCEPTED}")
    raise InputError("the file is not an image that can be read", f"give a {ACCEPTED} file")


def check_pixel_count(height: int, width: int, what: str = "picture") -> None:
    """Refuse a picture that declares no pixels or too many.

    Raises:
        InputError: it does.
    """
    if height < 1 or width < 1:
        raise InputError(f"the {what} declares {width} x {height} pixels", "give a file that has a picture in it")
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise InputError(
            f"the {what} declares {width} x {height} pixels, which is above {MAX_PIXELS // 1_000_000} million",
            "crop it or scale it down first",
        )


def name_disagrees(name: str | None, found: str) -> str | None:
    """A note when the name's ending says another format than the content."""
    suffix = (name or "").lower().removesuffix(".gz").rpartition(".")[2]
    said = _SUFFIXES.get(suffix)
    return f"The name says {said}, the content is {found}; it was read as {found}." if said and said != found else None


def _looks_like_bare_dicom(data: bytes) -> bool:
    """A data set without preamble: starts with an element of group 0008, length or value representation plausible."""
    group, element = data[:2], data[2:4]
    if group == b"\x08\x00" and len(data) > 8:
        return (data[4:6].isalpha() and data[4:6].isupper()) or data[6:8] == b"\x00\x00"
    return group == b"\x00\x08" and element[:1] == b"\x00" and data[4:6].isalpha()
