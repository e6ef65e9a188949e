"""Ground truth: values as classes, masks of 0 and 255, the slice of a volume, and what is refused."""

import io

import nibabel
import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.imaging.ground_truth import dice_by_class, place_of, read_ground_truth
from core.imaging.readers import read_image

rng = np.random.default_rng(0)


def png(values):
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def nifti(values):
    return nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 1.0, 1.0])).to_bytes()


def test_values_are_classes():
    truth = rng.integers(0, 3, (6, 9)).astype(np.uint8)
    np.testing.assert_array_equal(read_ground_truth(png(truth), 3), truth)


def test_two_values_may_stand_for_background_and_the_class():
    truth = rng.integers(0, 2, (6, 9)).astype(np.uint8)
    np.testing.assert_array_equal(read_ground_truth(png(255 * truth), 2), truth)


@pytest.mark.parametrize("axis", ["sagittal", "coronal", "axial"])
def test_of_a_volume_it_is_the_slice_of_the_image(axis):
    values = rng.normal(size=(5, 6, 7)).astype(np.float32)
    labels = (values > 0).astype(np.int16) + (values > 1)
    image = read_image(nifti(values), axis=axis, slice=2)
    truth = read_ground_truth(nifti(labels), 3, axis=axis, slice=2, volume=0)
    np.testing.assert_array_equal(truth, (image.pixels > 0).astype(int) + (image.pixels > 1))


def test_the_indices_of_a_palette_are_classes():
    truth = rng.integers(0, 3, (6, 9)).astype(np.uint8)
    picture = Image.fromarray(truth, "P")
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])  # as the masks of Pascal VOC
    file = io.BytesIO()
    picture.save(file, "PNG")
    np.testing.assert_array_equal(read_ground_truth(file.getvalue(), 3), truth)
    assert read_image(file.getvalue()).pixels.shape == (6, 9, 3), "a picture has the palette's colours"


def test_pixels_may_be_left_out():
    truth = np.array([[0, 1, 255], [2, 1, 0]], np.uint8)
    read = read_ground_truth(png(truth), 3)
    np.testing.assert_array_equal(read, truth)
    mask = np.array([[0, 1, 1], [2, 0, 0]], np.uint8)
    assert dice_by_class(mask, read, "abc") == {"a": pytest.approx(4 / 5), "b": pytest.approx(2 / 3), "c": 1.0}
    with pytest.raises(InputError, match="has the value 7"):
        read_ground_truth(png(np.array([[0, 7, 255]], np.uint8)), 3)
    with pytest.raises(InputError, match="has the value 255"):
        read_ground_truth(png(np.full((2, 2), 255, np.uint8)), 3)


def test_a_class_that_is_nowhere_has_no_dice():
    nothing = np.zeros((3, 4), np.uint8)
    assert dice_by_class(nothing, nothing, "ab") == {"a": 1.0, "b": None}
    with pytest.raises(InputError, match=r"has the size \(3, 3\)"):
        dice_by_class(nothing, nothing[:, 1:], "ab")


@pytest.mark.parametrize(("page", "pages"), [(2, 3), (0, 1)])
def test_of_a_stack_it_is_the_page_of_the_image(page, pages):
    stack = [Image.fromarray(rng.integers(0, 2, (6, 9)).astype(np.uint8)) for _ in range(pages)]
    file = io.BytesIO()
    stack[0].save(file, "TIFF", save_all=True, append_images=stack[1:])
    image = read_image(file.getvalue(), frame=page)
    np.testing.assert_array_equal(read_ground_truth(file.getvalue(), 2, **place_of(image)), np.asarray(stack[page]))
    one = read_ground_truth(png(np.asarray(stack[0])), 2, **place_of(image))  # one truth for all pages
    np.testing.assert_array_equal(one, np.asarray(stack[0]))


def test_one_truth_serves_all_volumes_of_a_series():
    labels = rng.integers(0, 2, (5, 6, 7)).astype(np.int16)
    ours = read_ground_truth(nifti(labels), 2, axis="axial", slice=3, volume=4)
    np.testing.assert_array_equal(ours, read_ground_truth(nifti(labels), 2, axis="axial", slice=3, volume=0))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(rng.integers(0, 255, (6, 9, 3)).astype(np.uint8)), "colour"),
        (png(np.arange(54, dtype=np.uint8).reshape(6, 9)), "value 53"),
        (nifti(rng.normal(size=(5, 6, 7)).astype(np.float32)), "no mask"),
        (b"no image at all", "not"),
    ],
)
def test_what_is_no_mask_is_refused(data, words):
    with pytest.raises(InputError, match=words):
        read_ground_truth(data, 2)


def test_a_slice_that_the_truth_lacks_is_refused():
    with pytest.raises(InputError, match="slice"):
        read_ground_truth(nifti(np.zeros((5, 6, 7), np.int16)), 2, axis="axial", slice=30, volume=0)
