import gzip
import io
import struct

import nibabel
import numpy as np
import pytest

from core.errors import InputError
from core.imaging.readers import AXES, read_image
from core.imaging.readers import nifti_file as reader

RNG = np.random.default_rng(0)


def encode(array, affine=None, kind=nibabel.Nifti1Image, slope=None, zooms=None, units="mm", dtype=None) -> bytes:
    image = kind(array, np.eye(4) if affine is None else affine, dtype=dtype or array.dtype)
    if slope:
        image.header.set_slope_inter(*slope)
    if zooms:
        image.header.set_zooms(zooms)
    image.header.set_xyzt_units(units)
    return image.to_bytes()


def shown(canonical: np.ndarray, axis: str, index: int) -> np.ndarray:
    """The docstring's convention, written out."""
    if axis == "sagittal":
        rows = [
            [canonical[index, j, k] for j in reversed(range(canonical.shape[1]))]
            for k in reversed(range(canonical.shape[2]))
        ]
    elif axis == "coronal":
        rows = [
            [canonical[i, index, k] for i in reversed(range(canonical.shape[0]))]
            for k in reversed(range(canonical.shape[2]))
        ]
    else:
        rows = [
            [canonical[i, j, index] for i in reversed(range(canonical.shape[0]))]
            for j in reversed(range(canonical.shape[1]))
        ]
    return np.array(rows)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, 1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_slices_in_canonical_orientation(axis, flips, order):
    array = RNG.integers(-500, 500, (5, 6, 7)).astype(np.int16)
    affine = np.zeros((4, 4))
    for source, target in enumerate(order):
        affine[target, source] = flips[source] * (source + 1.0)
    affine[3, 3] = 1
    data = encode(array, affine)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(data))
    peer = canonical.get_fdata()
    where = AXES.index(axis)
    for index in (0, peer.shape[where] - 1):
        image = read_image(data, axis=axis, slice=index)
        np.testing.assert_array_equal(image.pixels, shown(peer, axis, index))
        zooms = canonical.header.get_zooms()
        across, down = (zooms[other] for other in range(3) if other != where)
        assert image.spacing == pytest.approx((down, across))
        assert image.available.slices == dict(zip(AXES, peer.shape))


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("packed", [False, True])
def test_types_versions_and_scaling(kind, dtype, packed):
    array = (RNG.uniform(0, 200, (4, 5, 6))).astype(dtype)
    data = encode(array, kind=kind)
    image = read_image(gzip.compress(data) if packed else data, axis="axial", slice=2)
    peer = nibabel.as_closest_canonical(kind.from_bytes(data)).get_fdata()
    np.testing.assert_allclose(image.pixels, shown(peer, "axial", 2), rtol=1e-6)
    assert image.format == "NIfTI" and image.available.volumes == 1


def test_slope_and_intercept():
    array = RNG.integers(0, 1000, (4, 5, 6)).astype(np.int16)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    image = nibabel.Nifti1Image(array, np.eye(4), header)
    data = bytearray(image.to_bytes())
    struct.pack_into("<ff", data, 112, 0.5, -100.0)
    picture = read_image(bytes(data), axis="axial", slice=0)
    np.testing.assert_allclose(picture.pixels, shown(array * 0.5 - 100, "axial", 0))
    assert any("Scaled by 0.5" in note for note in picture.notes)


@pytest.mark.parametrize("packed", [False, True])
def test_volumes_of_a_4d_file(packed):
    array = RNG.integers(0, 99, (4, 5, 6, 3)).astype(np.int16)
    data = encode(array)
    data = gzip.compress(data) if packed else data
    for volume in range(3):
        image = read_image(data, axis="axial", slice=1, volume=volume)
        np.testing.assert_array_equal(image.pixels, shown(array[..., volume], "axial", 1))
    assert image.available.volumes == 3
    with pytest.raises(InputError, match="volume 3"):
        read_image(data, volume=3)


def test_two_dimensions_colour_and_complex():
    flat = RNG.integers(0, 99, (5, 6)).astype(np.int16)
    assert read_image(encode(flat), axis="axial").size == (6, 5)
    colour = np.zeros((4, 5, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for name in "RGB":
        colour[name] = RNG.integers(0, 256, (4, 5, 3))
    image = read_image(encode(colour), axis="axial", slice=1)
    expected = np.stack([shown(colour[name], "axial", 1) for name in "RGB"], -1)
    np.testing.assert_array_equal(image.pixels, expected)
    np.testing.assert_array_equal(image.display, expected)
    wave = (RNG.normal(size=(4, 5, 3)) + 1j * RNG.normal(size=(4, 5, 3))).astype(np.complex64)
    np.testing.assert_allclose(
        read_image(encode(wave), axis="axial", slice=1).pixels, shown(abs(wave), "axial", 1), rtol=1e-6
    )


def test_the_default_view_is_the_finest():
    thick = encode(np.zeros((8, 9, 10), np.uint8), zooms=(1, 4, 1))
    assert read_image(thick).chosen["axis"] == "coronal" and read_image(thick).chosen["slice"] == 4
    assert read_image(encode(np.zeros((8, 9, 10), np.uint8))).chosen["axis"] == "axial"


def test_units_of_the_spacing():
    data = encode(np.zeros((4, 5, 6), np.uint8), units="micron", zooms=(500, 250, 1000))
    assert read_image(data, axis="axial").spacing == pytest.approx((0.25, 0.5))


def test_values_that_are_no_numbers():
    array = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    array[0, 0, 0] = np.nan
    image = read_image(encode(array), axis="axial", slice=0)
    assert np.isfinite(image.pixels).all() and image.pixels.min() == array[..., 0][np.isfinite(array[..., 0])].min()
    with pytest.raises(InputError, match="no value"):
        read_image(encode(np.full((4, 5, 6), np.nan, np.float32)))


def test_an_even_volume():
    assert read_image(encode(np.zeros((4, 5, 6), np.int16))).display.max() == 0


@pytest.mark.parametrize("code", [np.nan, np.inf])
def test_an_affine_that_cannot_be(code):
    data = bytearray(encode(RNG.integers(0, 9, (4, 5, 6)).astype(np.int16)))
    struct.pack_into("<f", data, 280, code)
    struct.pack_into("<h", data, 254, 1)
    assert any("cannot be" in note for note in read_image(bytes(data)).notes)


@pytest.mark.parametrize("axis", AXES)
def test_slices_that_are_not_there(axis):
    data = encode(np.zeros((4, 5, 6), np.uint8))
    for index in (-1, 6, 99):
        with pytest.raises(InputError, match="slice"):
            read_image(data, axis=axis, slice=index)


def with_shape(*sides: int) -> bytes:
    data = bytearray(encode(np.zeros((2, 2, 2), np.float64)))
    struct.pack_into(f"<{1 + len(sides)}h", data, 40, len(sides), *sides)
    return bytes(data)


@pytest.mark.parametrize(
    "sides", [(32000, 32000, 32000), (32000, 2, 2000), (0, 5, 5), (-3, 5, 5), (1000, 1000, 1000, 99)]
)
def test_a_declared_size_that_cannot_be(sides):
    for data in (with_shape(*sides), gzip.compress(with_shape(*sides))):
        with pytest.raises(InputError):
            read_image(data)


def test_gzip_bombs_are_not_unpacked(monkeypatch):
    monkeypatch.setattr(reader, "MAX_VOLUME_BYTES", 1_000_000)
    head = bytearray(encode(np.zeros((2, 2, 2), np.uint8)))
    struct.pack_into("<f", head, 108, 900_000_000.0)  # the data would start after 900 MB of zeros
    with pytest.raises(InputError, match="offset"):
        read_image(gzip.compress(bytes(head)))
    many = bytearray(encode(np.zeros((100, 100, 40), np.uint8)))
    struct.pack_into("<5h", many, 40, 4, 100, 100, 40, 30)
    with pytest.raises(InputError, match="unpacks to more"):
        read_image(gzip.compress(bytes(many) + bytes(12_000_000)), volume=29)


def test_only_what_is_needed_is_unpacked():
    array = RNG.integers(0, 99, (4, 5, 6)).astype(np.int16)
    data = gzip.compress(encode(array) + bytes(1_000_000))  # what follows is ignored
    assert read_image(data).size == (5, 4)
    parts = encode(array)
    strung = gzip.compress(parts[:300]) + gzip.compress(parts[300:])
    np.testing.assert_array_equal(read_image(strung).pixels, read_image(parts).pixels)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.99])
def test_truncated(share):
    data = encode(RNG.integers(0, 99, (20, 20, 20)).astype(np.int16))
    for whole in (data, gzip.compress(data)):
        cut = whole[: max(1, int(len(whole) * share))]
        with pytest.raises(InputError):
            read_image(cut)


def test_gzip_of_something_else():
    with pytest.raises(InputError, match="no NIfTI"):
        read_image(gzip.compress(b"x" * 5000))
    with pytest.raises(InputError, match="not an image"):
        read_image(gzip.compress(b"x"))
    with pytest.raises(InputError, match="pair"):
        pair = io.BytesIO()
        array = np.zeros((3, 3, 3), np.uint8)
        header = nibabel.Nifti1Pair(array, np.eye(4)).header
        header.write_to(pair)
        read_image(pair.getvalue())
