"""Ground truth: values as classes, masks of 0 and 255, the slice of a volume, and what is refused."""

import io

import nibabel
import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from core.imaging.ground_truth import read_ground_truth
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
