"""Decode compressed DICOM frames in a process of their own, with a bound on memory.

Run as a script by decoding.py: a broken frame can make a C++ decoder crash or spin, and must not take the app with it.
It gets frames and the numbers that describe them, nothing about a person. It says b"R" when it is ready; then, for
each request (lengths of 8 bytes, big endian: head, body; head as JSON, body the frame), it answers one status byte
(0 decoded, 3 no decoder does this kind, 4 damaged), a length, and the array in NumPy's format. It ends with its input.
"""

import io
import json
import struct
import sys
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder, pixel_array

PLUGINS = ("pydicom", "pillow", "pyjpegls", "pylibjpeg", "gdcm")
DECODED, UNKNOWN, DAMAGED = 0, 3, 4
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


def limit_memory(gigabytes: int) -> None:
    """Bound the address space and write no core files, where the system can."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (gigabytes << 30, gigabytes << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass


def decode(head: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    """Status and the array's bytes; every decoder that knows the syntax is tried."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax = head.pop("syntax")
    for name, value in head.items():
        setattr(dataset, name, value)
    dataset.PixelData = encapsulate([body])
    dataset["PixelData"].VR = "OB"
    try:
        available = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return UNKNOWN, b""
    status = UNKNOWN
    for plugin in PLUGINS:
        if plugin not in available:
            continue
        try:
            frame = pixel_array(dataset, index=0, decoding_plugin=plugin)
        except Exception as error:
            text = f"{error} {error.__cause__}"
            if not any(words in text for words in ("not support", "12-bit", "precision")):
                status = DAMAGED
            continue
        return DECODED, _to_bytes(frame)
    if syntax == JPEG_EXTENDED:
        try:
            return DECODED, _to_bytes(decode_12_bit_jpeg(body, head["BitsStored"], head["PixelRepresentation"]))
        except Exception:
            return DAMAGED, b""
    return status, b""


def decode_12_bit_jpeg(body: bytes, bits: int, signed: int) -> np.ndarray:
    """JPEG Extended with 12-bit samples, which none of pydicom's permissive plugins reads."""
    import imagecodecs

    frame = imagecodecs.jpeg8_decode(body)
    if signed:
        shift = 8 * frame.itemsize - bits
        frame = (frame << shift).view(f"i{frame.itemsize}") >> shift
    return frame


def _to_bytes(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(frame), allow_pickle=False)
    return buffer.getvalue()


def main() -> None:
    """Answer requests until the input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    limit_memory(int(sys.argv[1]))
    sink.write(b"R")
    sink.flush()
    while len(lengths := source.read(16)) == 16:
        head_length, body_length = struct.unpack(">QQ", lengths)
        head, body = source.read(head_length), source.read(body_length)
        try:
            status, answer = decode(json.loads(head), body)
        except Exception:
            status, answer = DAMAGED, b""
        sink.write(struct.pack(">BQ", status, len(answer)) + answer)
        sink.flush()


if __name__ == "__main__":
    main()
