import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from core.errors import InputError
from core.imaging.phantoms import KINDS, draw_phantom
from core.imaging.phantoms.canvas import blur, fill, stroke

SMALL = {"radiograph": (128, 160), "ultrasound": (128, 134), "microscopy": (128, 128), "brain": (35, 50)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_fixes_every_pixel(kind):
    first, again, other = (draw_phantom(kind, seed, SMALL[kind]) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("kind", KINDS)
def test_image_and_truth_fit_together(kind):
    for seed in range(4):
        phantom = draw_phantom(kind, seed, SMALL[kind])
        assert phantom.image.dtype == np.uint8 and phantom.mask.dtype == np.uint8
        assert phantom.image.shape[:2] == phantom.mask.shape == SMALL[kind]
        assert set(np.unique(phantom.mask)) == set(range(len(phantom.classes)))
        assert phantom.image.std() > 5


def test_structures_look_as_they_should():
    lungs = draw_phantom("radiograph", 1, (256, 320))
    assert lungs.image[lungs.mask == 1].mean() < lungs.image[128:, 140:180].mean()
    frame = draw_phantom("ultrasound", 1, (256, 267))
    assert frame.image[frame.mask == 1].mean() > 2 * frame.image[frame.mask == 2].mean()


def test_large_drawings_say_that_they_are_drawn():
    labelled, plain = (draw_phantom("radiograph", 0, (256, 320), label=label) for label in (True, False))
    changed = labelled.image != plain.image
    assert changed.any() and changed[:200].sum() == 0  # only in the lower corner
    np.testing.assert_array_equal(labelled.mask, plain.mask)


def test_bad_requests_are_refused():
    with pytest.raises(InputError):
        draw_phantom("elephant", 0)
    with pytest.raises(InputError):
        draw_phantom("brain", 0, (8, 8))


def test_the_description_names_the_model_that_reads_it():
    description = draw_phantom("brain", 5).describe()
    assert description["model"] == "hippocampus" and description["seed"] == 5 and "drawn" in description["title"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0, 30.0, (3.0, 0.5)])
def test_the_blur_equals_scipys(dtype, sigma):
    image = np.random.default_rng(0).standard_normal((40, 60)).astype(dtype)
    found = blur(image, sigma)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, ndimage.gaussian_filter(image, sigma, mode="nearest"), atol=2e-6)


def test_coverage_is_the_area_of_each_pixel_that_is_painted(monkeypatch):
    drawn = []
    new = Image.new
    monkeypatch.setattr(Image, "new", lambda *options: drawn.append(new(*options)) or drawn[-1])
    curve = np.array([(5.3, 3.1), (20.7, 6.2), (15.2, 17.9)])
    for found in (fill(curve, (24, 30)), stroke(curve, 3.0, (24, 30)), fill(curve + 100, (24, 30))):
        painted = np.asarray(drawn.pop(0)) / 255.0
        np.testing.assert_array_equal(found, painted.reshape(24, 2, 30, 2).mean((1, 3)).astype(np.float32))
