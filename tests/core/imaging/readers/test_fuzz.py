"""Broken files never crash the reader: an image with finite values, or one sentence."""

import gzip
import io

import cv2
import nibabel
import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.imaging.readers import read_image
from tests.core.imaging.readers.dicom_files import BUNDLED
from tests.core.imaging.readers.mutate import mutate

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (40, 50), dtype=np.uint16)
RGB8 = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (40, 50, 3), dtype=np.uint16)


def raster(array, kind, **options) -> bytes:
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def volumes() -> dict[str, bytes]:
    plain = nibabel.Nifti1Image(RNG.integers(0, 99, (9, 10, 11)).astype(np.int16), np.eye(4)).to_bytes()
    newer = nibabel.Nifti2Image(RNG.normal(size=(9, 10, 11, 2)), np.eye(4)).to_bytes()
    return {"nifti1": plain, "nifti1 gz": gzip.compress(plain), "nifti2": newer}


SEEDS = {
    "png grey": raster(GREY8, "PNG"),
    "png 16": raster(GREY16, "PNG"),
    "png palette": raster(Image.fromarray(RGB8).quantize(8), "PNG"),
    "png alpha": raster(np.dstack([RGB8, GREY8]), "PNG"),
    "png colour 16": cv2.imencode(".png", RGB16)[1].tobytes(),
    "jpeg": raster(RGB8, "JPEG"),
    "jpeg progressive": raster(RGB8, "JPEG", progressive=True),
    "tiff 16": raster(GREY16, "TIFF"),
    "tiff lzw": raster(RGB8, "TIFF", compression="tiff_lzw"),
    "tiff jpeg": raster(RGB8, "TIFF", compression="jpeg"),
    "tiff colour 16": cv2.imencode(".tiff", RGB16)[1].tobytes(),
    "tiff pages": raster(Image.fromarray(GREY8), "TIFF", save_all=True, append_images=[Image.fromarray(GREY8)] * 3),
    **volumes(),
}
DICOM = [
    "CT_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "examples_overlay.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "image_dfl.dcm",
    "liver_expb_1frame.dcm",
]


def survives(data: bytes) -> bool:
    try:
        image = read_image(data)
    except InputError as error:
        assert "\n" not in str(error) and ";" in str(error)
        return False
    assert np.isfinite(image.pixels).all() and image.pixels.dtype == np.float32
    assert image.display.dtype == np.uint8 and image.display.shape == image.pixels.shape
    return True


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SEEDS)
def test_broken_pictures_and_volumes(name):
    assert survives(SEEDS[name])
    outcomes = [survives(mutate(SEEDS[name], seed)) for seed in range(60)]
    assert not all(outcomes)  # the mutations do break files


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", DICOM)
def test_broken_dicom_files(name):
    data = (BUNDLED / name).read_bytes()
    assert survives(data)
    outcomes = [survives(mutate(data, seed)) for seed in range(20)]
    assert not all(outcomes)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLED.glob("*.dcm")))
def test_every_dicom_file_of_pydicom_broken_in_many_ways(name):
    data = (BUNDLED / name).read_bytes()
    for seed in range(1000, 1040):
        survives(mutate(data, seed))


@pytest.mark.parametrize("size", [0, 1, 3, 131, 132, 347, 348, 352, 1000])
def test_noise_and_bare_magic_numbers(size):
    heads = (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"\x1f\x8b", bytes(128) + b"DICM")
    heads += (b"\x5c\x01\x00\x00" + bytes(340) + b"n+1\x00", b"\x08\x00\x05\x00CS")
    for head in heads:
        for seed in range(3):
            assert not survives(head + np.random.default_rng(seed).bytes(size))
