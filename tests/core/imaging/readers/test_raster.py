import hashlib
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.imaging.readers import read_image

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)
RGB8 = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)


def encode(array_or_picture, kind: str, **options) -> bytes:
    picture = array_or_picture if isinstance(array_or_picture, Image.Image) else Image.fromarray(array_or_picture)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that declares any size over a few bytes of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("array", [GREY8, GREY16, RGB8], ids=["grey8", "grey16", "rgb8"])
def test_stored_values_reach_the_model_unchanged(kind, array):
    data = encode(array, kind)
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels, array.astype(np.float32))
    assert image.format == kind and image.pixels.dtype == np.float32
    assert image.display.dtype == np.uint8 and image.display.shape == array.shape
    assert image.sha256 == hashlib.sha256(data).hexdigest() and image.spacing is None


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_colour_keeps_all_bits(kind):
    data = cv2.imencode(f".{kind}", RGB16[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(read_image(data).pixels, RGB16.astype(np.float32))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate"])
def test_compressed_tiff(compression):
    np.testing.assert_array_equal(read_image(encode(RGB8, "TIFF", compression=compression)).pixels, RGB8)


def test_tiff_pages_are_chosen():
    pages = [Image.fromarray(GREY8), Image.fromarray(GREY8.T.copy())]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    image = read_image(data, frame=1)
    np.testing.assert_array_equal(image.pixels, GREY8.T)
    assert image.available.frames == 2 and image.chosen["frame"] == 1
    for frame in (2, -1):
        with pytest.raises(InputError, match="page"):
            read_image(data, frame=frame)


def test_floating_point_tiff_and_values_that_are_no_numbers():
    values = RNG.normal(size=(9, 8)).astype(np.float32)
    np.testing.assert_array_equal(read_image(encode(values, "TIFF")).pixels, values)
    values[0, 0], values[1, 1], values[2, 2] = np.nan, np.inf, -np.inf
    image = read_image(encode(values, "TIFF"))
    good = values[np.isfinite(values)]
    assert image.pixels[0, 0] == image.pixels[2, 2] == good.min() and image.pixels[1, 1] == good.max()
    assert any("3 pixels were not numbers" in note for note in image.notes)
    with pytest.raises(InputError, match="no value"):
        read_image(encode(np.full((4, 4), np.nan, np.float32), "TIFF"))


def test_white_is_zero_tiff_is_turned_round():
    data = bytearray(encode(GREY16, "TIFF"))
    at = data.index(struct.pack("<HHII", 262, 3, 1, 1))
    data[at : at + 12] = struct.pack("<HHII", 262, 3, 1, 0)
    np.testing.assert_array_equal(read_image(bytes(data)).pixels, 65535 - GREY16.astype(np.float32))


def test_palette_is_looked_up():
    picture = Image.fromarray(RGB8).quantize(16)
    np.testing.assert_array_equal(read_image(encode(picture, "PNG")).pixels, np.asarray(picture.convert("RGB")))


def test_alpha_is_laid_on_black():
    alpha = RNG.integers(0, 256, (20, 30, 1), dtype=np.uint8)
    image = read_image(encode(np.concatenate([RGB8, alpha], 2), "PNG"))
    np.testing.assert_array_equal(image.pixels, np.rint(RGB8 * (alpha / 255.0)))
    opaque = np.dstack([RGB8, np.full((20, 30), 255, np.uint8)])
    image = read_image(encode(opaque, "PNG"))
    np.testing.assert_array_equal(image.pixels, RGB8)
    assert not any("Transparent" in note for note in image.notes)


def test_grey_stored_as_colour_is_one_channel():
    image = read_image(encode(np.repeat(GREY8[..., None], 3, 2), "PNG"))
    np.testing.assert_array_equal(image.pixels, GREY8)


def test_bilevel():
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(GREY8 > 99), "PNG")).pixels, (GREY8 > 99) * 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    smooth = np.add.outer(np.arange(32) * 3, np.arange(48) * 2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(encode(smooth, "JPEG", exif=exif, quality=100))
    turned = {1: smooth, 2: np.fliplr(smooth), 3: np.rot90(smooth, 2), 4: np.flipud(smooth), 5: smooth.T}
    turned |= {6: np.rot90(smooth, -1), 7: np.rot90(smooth, 2).T, 8: np.rot90(smooth)}
    assert image.pixels.shape == turned[orientation].shape
    np.testing.assert_allclose(image.pixels, turned[orientation], atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bit_colour(orientation):
    from core.imaging.readers.raster import _turn

    exif = Image.Exif()
    exif[0x0112] = orientation
    from PIL import ImageOps

    picture = Image.fromarray(GREY8)
    picture.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(_turn(GREY8, orientation), np.asarray(ImageOps.exif_transpose(picture)))


def test_cmyk_jpeg_becomes_rgb():
    picture = Image.fromarray(RGB8).convert("CMYK")
    assert read_image(encode(picture, "JPEG")).pixels.shape == (20, 30, 3)


def test_the_window_is_for_the_eye_only():
    data = encode(GREY16, "PNG")
    auto, full, narrow = (read_image(data, window=window) for window in (None, "full", (30000, 1000)))
    for image in (full, narrow):
        np.testing.assert_array_equal(image.pixels, auto.pixels)
    low, high = float(GREY16.min()), float(GREY16.max())
    np.testing.assert_array_equal(full.display, np.floor((GREY16 - low) / (high - low) * 255 + 0.5))
    assert narrow.display[GREY16 < 29000].max() == 0 and narrow.display[GREY16 > 31000].min() == 255
    assert "30000" in narrow.chosen["window"]


def test_a_wrong_name_is_noted():
    assert "The name says JPEG" in read_image(encode(GREY8, "PNG"), name="scan.jpg").notes[0]
    assert "name says" not in " ".join(read_image(encode(GREY8, "PNG"), name="scan.PNG").notes)


@pytest.mark.parametrize("value", [0, 255])
def test_even_pictures_and_single_pixels(value):
    for shape in ((1, 1), (1, 7), (64, 64)):
        for dtype in (np.uint8, np.uint16):
            image = read_image(encode(np.full(shape, value, dtype), "PNG"))
            assert image.size == shape and np.isfinite(image.display).all()


def test_all_black_is_shown_black():
    assert read_image(encode(np.zeros((9, 9), np.uint16), "PNG")).display.max() == 0


@pytest.mark.parametrize("size", [(20_000, 20_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (40_000, 10)])
def test_too_many_declared_pixels_are_refused_before_decoding(size):
    with pytest.raises(InputError, match="pixels"):
        read_image(png_of_size(*size))


def test_zero_sized_png():
    with pytest.raises(InputError):
        read_image(png_of_size(0, 10))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_truncated_files_are_refused(kind):
    data = encode(RNG.integers(0, 256, (200, 200), dtype=np.uint8), kind)
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(InputError):
            read_image(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not an image"),
        (bytes(1000), "not an image"),
        (b"GIF89a" + bytes(50), "GIF"),
        (b"%PDF-1.7" + bytes(50), "PDF"),
        (b"PK\x03\x04" + bytes(50), "zip"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "JPEG"),
        (b"II*\x00" + bytes(50), "TIFF"),
    ],
)
def test_what_is_no_picture_is_named(data, words):
    with pytest.raises(InputError, match=words):
        read_image(data)


def test_a_jpeg_of_endless_scans():
    data = encode(GREY8, "JPEG", progressive=True)
    at = data.index(b"\xff\xda")
    with pytest.raises(InputError, match="scans"):
        read_image(data[:at] + data[at:-2] * 300)


def test_large_pictures_are_scaled_in_blocks(monkeypatch):
    from core.imaging.readers import display

    values = RNG.uniform(0, 1000, (37, 11)).astype(np.float32)
    whole = display.scale(values, 100, 900)
    monkeypatch.setattr(display, "_BLOCK", 50)
    np.testing.assert_array_equal(display.scale(values, 100, 900), whole)


def test_the_upload_limit(monkeypatch):
    from core.imaging.readers import limits

    monkeypatch.setattr(limits.get_settings(), "upload_mb", 1)
    with pytest.raises(InputError, match=r"larger than 1 MB; .*CHARTLIGHT_UPLOAD_MB"):
        read_image(b"\x89PNG\r\n\x1a\n" + bytes(2**20))
    with pytest.raises(InputError, match="PNG"):  # what the page's uploader takes for 1.0 MB is only no picture
        read_image(b"\x89PNG\r\n\x1a\n" + bytes(1_000_001))


@pytest.mark.parametrize(
    "choices",
    [
        {"window": "bright"},
        {"window": (1, 0)},
        {"window": (np.nan, 1)},
        {"axis": "oblique"},
        {"frame": 1.5},
        {"frame": 1},
    ],
)
def test_impossible_choices(choices):
    with pytest.raises(InputError):
        read_image(encode(GREY8, "PNG"), **choices)
