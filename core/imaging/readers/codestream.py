"""The size that a compressed frame itself declares, read before a decoder allocates it."""

import struct

_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xDA)}) - {0xD9}


def declared_size(frame: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG, JPEG-LS or JPEG 2000 codestream (bare or in a JP2 box); None when there is none."""
    if frame[:2] == b"\xff\xd8":
        return _jpeg(frame)
    start = frame.find(b"\xff\x4f\xff\x51")  # SOC followed at once by SIZ
    if start >= 0 and len(frame) >= start + 24:
        width, height, left, top = struct.unpack(">4I", frame[start + 8 : start + 24])
        return max(0, height - top), max(0, width - left)
    return None


def _jpeg(frame: bytes) -> tuple[int, int] | None:
    """The start-of-frame marker (JPEG, and SOF55 of JPEG-LS)."""
    position = 2
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            position += 1
            continue
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE or marker == 0:
            position += 2
        elif marker in _JPEG_FRAMES and position + 9 <= len(frame):
            return struct.unpack(">HH", frame[position + 5 : position + 9])
        elif marker in (0xD9, 0xDA):  # end of image, or entropy-coded data before any frame header
            return None
        else:
            position += 2 + struct.unpack(">H", frame[position + 2 : position + 4])[0]
    return None
