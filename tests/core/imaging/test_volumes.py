"""Volumes: every slice explained, and its maps back on the file's own voxels, however the file's axes lie."""

import gzip
import io
import itertools
import json

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.cli import main
from core.errors import InputError
from core.imaging.cams import explain
from core.imaging.readers import read_image
from core.imaging.readers.image import Choices
from core.imaging.readers.nifti import open_volume
from core.imaging.regions import EmptyRegionError, Region
from core.imaging.segmenters import load_segmenter, segment
from core.imaging.volumes import explain_volume, volume_files
from core.safety import NOTICE
from tests.core.imaging.nets import save_folder, small_unet

LAYER = "decoder.blocks.1"
CARD = "classes: [a, b, c]\npreprocessing: {channels: 3, resize: native}\nview: coronal\n"


def affine_of(order, signs):
    """An affine whose file axes lie along these world axes, with voxels of 1, 2 and 3 mm and a shifted origin."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * (axis + 1)
    affine[:3, 3] = (7, -5, 3)
    return affine


def nifti(values, affine=None):
    return nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine).to_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("models") / "mine", small_unet(), card=CARD)


@pytest.fixture(scope="module")
def segmenter(folder):
    return load_segmenter(str(folder))


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).normal(size=(6, 5, 7)).astype(np.float32)


def on_file(volume, axis, pictures):
    turned = np.zeros(volume.values.shape, next(iter(pictures.values())).dtype)
    for index, picture in pictures.items():
        volume.place(turned, axis, index, picture)
    return volume.in_file_order(turned)


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1), (1, -1, 1)])
def test_pictures_of_slices_go_back_to_the_voxels_that_they_came_from(values, order, signs):
    volume = open_volume(nifti(values, affine_of(order, signs)))
    for axis, count in volume.slices.items():
        pictures = {i: volume.image("", Choices(axis=axis, slice=i)).pixels for i in range(count)}
        np.testing.assert_array_equal(on_file(volume, axis, pictures), values)
        one = on_file(volume, axis, {count - 1: pictures[count - 1]})
        assert np.count_nonzero(one) == pictures[0].size, "other slices are 0"
        np.testing.assert_array_equal(one[one != 0], values[one != 0])


@pytest.mark.parametrize("kind", ["image", "uncertain", "mask"])
def test_maps_are_those_of_each_slice(segmenter, values, kind):
    data = nifti(values, affine_of((2, 0, 1), (-1, 1, 1)))
    volume = open_volume(data)
    seen = [segment(segmenter, volume.image("", Choices(axis="axial", slice=i))).mask for i in range(6)]
    counts = np.bincount(np.stack(seen).ravel(), minlength=3)
    rare = int(np.where(counts, counts, counts.max() + 1).argmin())  # a class that not every slice has
    found = explain_volume(segmenter, data, Region(kind), rare, LAYER, "axial")
    pictures = {"mask": {}, "seg_grad": {}, "seg_hires_grad": {}}
    for index in range(volume.slices["axial"]):
        image = read_image(data, axis="axial", slice=index)
        pictures["mask"][index] = segment(segmenter, image).mask
        try:
            result = explain(segmenter, image, Region(kind), rare, [LAYER])
        except EmptyRegionError:
            assert index not in found.slices
            continue
        assert found.slices[index].score == pytest.approx(result.score, rel=1e-6)
        assert found.slices[index].n_pixels == result.n_pixels
        for method in ("seg_grad", "seg_hires_grad"):
            raw = getattr(result.maps[LAYER], method)
            pictures[method][index] = _bilinear(raw, result.geometry)
    np.testing.assert_array_equal(found.mask, on_file(volume, "axial", pictures["mask"]))
    for method, maps in found.maps.items():
        expected = on_file(volume, "axial", pictures[method])
        np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())


def _bilinear(raw, geometry):
    """A layer's cells at the image's pixels, by coordinates: half-pixel centres, the edge goes on."""
    from scipy.ndimage import map_coordinates

    (height, width), (row, column), size = geometry.grid_size, geometry.offset, geometry.image_size
    assert geometry.content_size == size
    y = (np.arange(size[0]) + row + 0.5) * raw.shape[0] / height - 0.5
    x = (np.arange(size[1]) + column + 0.5) * raw.shape[1] / width - 0.5
    return map_coordinates(raw, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest").astype(np.float32)


def test_files_lie_on_the_volume_and_are_the_same_each_time(segmenter, values):
    affine = affine_of((1, 2, 0), (1, -1, -1))
    data = nifti(values, affine)
    found = explain_volume(segmenter, data, Region("image"), 1, LAYER)
    assert found.axis == "coronal", "the card's"
    files = volume_files(segmenter, found)
    assert list(files) == ["mask.nii.gz", "seg_grad.nii.gz", "seg_hires_grad.nii.gz", "manifest.json"]
    assert files == volume_files(segmenter, explain_volume(segmenter, data, Region("image"), 1, LAYER))
    for name, expected in (("mask", found.mask), ("seg_hires_grad", found.maps["seg_hires_grad"])):
        read = nibabel.Nifti1Image.from_bytes(gzip.decompress(files[f"{name}.nii.gz"]))
        np.testing.assert_allclose(read.affine, affine)
        np.testing.assert_array_equal(np.asarray(read.dataobj), expected)
        assert read.shape == values.shape and "Research" in str(read.header["descrip"])
    manifest = json.loads(files["manifest.json"])
    assert (NOTICE in manifest["notice"] and len(manifest["slices"]) == 5) or len(manifest["slices"]) > 0
    assert manifest["n_pixels"] == values.size
    assert manifest["score"] == pytest.approx(sum(one["score"] for one in manifest["slices"].values()))
    assert sum(manifest["class_areas_pixels"].values()) == values.size


def test_what_cannot_be_explained_is_one_sentence(segmenter, values, folder):
    data = nifti(values)
    for region in (Region("pixel", point=(1, 1)), Region("box", box=(0, 0, 2, 2))):
        with pytest.raises(InputError, match="has its place in one slice"):
            explain_volume(segmenter, data, region)
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
    with pytest.raises(InputError, match="is no volume"):
        explain_volume(segmenter, file.getvalue())
    with pytest.raises(InputError, match="no volume 3"):
        explain_volume(segmenter, data, number=3)
    with pytest.raises(InputError, match="no layer 'nothing'"):
        explain_volume(segmenter, data, Region("image"), layer="nothing")


def test_a_volume_without_the_region_says_so(tmp_path, values, capsys):
    model = small_unet()
    with torch.no_grad():
        model.segmentation_head[0].bias[1] -= 1e4  # the network never says class b
    folder = save_folder(tmp_path / "never", model, card=CARD)
    found = explain_volume(load_segmenter(str(folder)), nifti(values))
    assert not found.slices and "class 1 in any slice" in str(found.empty)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "one.nii").write_bytes(nifti(values))
    line = ["explain", str(tmp_path / "scans" / "one.nii"), "--all-slices", "--model", str(folder)]
    assert main([*line, "--out", str(tmp_path / "out")]) == 2
    assert "no pixel is in the region mask of class 1 in any slice" in capsys.readouterr().err
    batch = ["explain", "--batch", str(tmp_path / "scans"), *line[2:], "--out", str(tmp_path / "all")]
    for explained in (1, 0):
        assert main(batch) == 0
        assert json.loads(capsys.readouterr().out)["explained"] == explained
    row = pd.read_csv(tmp_path / "all" / "summary.csv", skiprows=1).iloc[0]
    assert row["n_pixels"] == 0 and np.isnan(row["score"]) and "nothing to explain" in row["remark"]
    assert row["area_pixels.a"] + row["area_pixels.c"] == values.size
    assert {path.name for path in (tmp_path / "all" / "one.nii").iterdir()} == {"mask.nii.gz", "manifest.json"}


def test_slices_without_a_number_are_empty_and_named(segmenter, values):
    holed = values.copy()
    holed[[0, 5]] = np.nan
    found = explain_volume(segmenter, nifti(holed), Region("image"), 1, LAYER, "sagittal")
    whole = explain_volume(segmenter, nifti(values), Region("image"), 1, LAYER, "sagittal")
    assert found.blank == (0, 5) and list(found.slices) == [1, 2, 3, 4]
    for method, maps in found.maps.items():
        np.testing.assert_array_equal(maps[1:5], whole.maps[method][1:5])
        assert not maps[[0, 5]].any() and not found.mask[[0, 5]].any()
    notes = json.loads(volume_files(segmenter, found)["manifest.json"])["image"]["notes"]
    assert "Slices without a value that is a number, left empty: 0, 5." in notes
    with pytest.raises(InputError, match="no value that is a number"):
        explain_volume(segmenter, nifti(np.full_like(values, np.nan)))


@pytest.mark.parametrize("unit", ["mm", "micron", "meter", "unknown"])
def test_files_are_in_the_volume_s_unit(segmenter, values, unit):
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header.set_xyzt_units(unit, "sec")
    found = explain_volume(segmenter, image.to_bytes(), Region("image"), 1, LAYER)
    for name, data in volume_files(segmenter, found).items():
        if name.endswith(".gz"):
            read = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
            assert read.header.get_xyzt_units() == (unit, "sec")


def test_command_explains_a_volume_and_a_folder_of_them(tmp_path, folder, values, capsys):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("one", "two"):
        (scans / f"{name}.nii").write_bytes(nifti(values * (1 if name == "one" else 2)))
    line = ["explain", str(scans / "one.nii"), "--model", str(folder), "--region", "image", "--show", LAYER]
    line += ["--out", str(tmp_path / "out"), "--all-slices"]
    assert main([*line, "--axis", "sagittal"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["slices"], printed["axis"]) == (6, "sagittal")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(printed["files"])
    for more, words in (
        (["--slice", "2"], "--slice is about one slice"),
        (["--figure", "png"], "--figure is about one slice"),
        (["--own-scale"], "--own-scale is about one slice"),
        (["--region", "pixel:1,1"], "has its place in one slice"),
    ):
        assert main([*line, *more]) == 2
        assert words in capsys.readouterr().err
    batch = ["explain", "--batch", str(scans), *line[2:-3], "--out", str(tmp_path / "all"), "--all-slices"]
    for explained in (2, 0):
        assert main(batch) == 0
        assert json.loads(capsys.readouterr().out)["explained"] == explained
    table = pd.read_csv(tmp_path / "all" / "summary.csv", skiprows=1).set_index("image")
    manifest = json.loads((tmp_path / "all" / "two.nii" / "manifest.json").read_text())
    assert table.loc["two.nii", "score"] == pytest.approx(manifest["score"])
    assert table.loc["two.nii", "n_pixels"] == values.size


def naive_dice(mask, truth, index):
    known = truth != 255
    both = ((mask == index) & (truth == index) & known).sum()
    total = ((mask == index) & known).sum() + ((truth == index) & known).sum()
    return 2 * both / total if total else None


@pytest.fixture(scope="module")
def labels():
    drawn = np.random.default_rng(4).integers(0, 3, (6, 5, 7)).astype(np.uint8)
    drawn[2, 2:4] = 255  # does not count
    drawn[drawn == 2] = np.where(np.random.default_rng(5).random((drawn == 2).sum()) < 0.5, 2, 0)
    drawn[4] = 0
    return drawn


@pytest.mark.parametrize(
    ("order", "signs"), [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, 1)), ((1, 2, 0), (1, -1, -1))]
)
@pytest.mark.parametrize("axis", ["sagittal", "axial"])
def test_dice_of_each_slice_and_class_is_recorded(tmp_path, folder, values, labels, capsys, order, signs, axis):
    affine = affine_of(order, signs)
    (tmp_path / "scan.nii").write_bytes(nifti(values, affine))
    scaled = nibabel.Nifti1Image(labels, affine)
    scaled.header.set_slope_inter(1, 0)
    (tmp_path / "labels.nii.gz").write_bytes(gzip.compress(scaled.to_bytes()))
    line = ["explain", str(tmp_path / "scan.nii"), "--all-slices", "--model", str(folder), "--region", "image"]
    line += ["--show", LAYER, "--axis", axis, "--ground-truth", str(tmp_path / "labels.nii.gz")]
    assert main([*line, "--out", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    mask = np.asarray(nibabel.load(tmp_path / "out" / "mask.nii.gz").dataobj)
    assert manifest["ground_truth"]["dice"] == json.loads(capsys.readouterr().out)["dice"]
    world = {"sagittal": 0, "axial": 2}[axis]
    along = order.index(world)
    slices = [np.take(array, range(array.shape[along]), along) for array in (mask, labels)]
    slices = [np.moveaxis(array, along, 0)[:: signs[along]] for array in slices]
    assert list(manifest["ground_truth"]["slices"]) == [str(i) for i in range(labels.shape[along])]
    for index, name in enumerate("abc"):
        assert manifest["ground_truth"]["dice"][name] == pytest.approx(naive_dice(mask, labels, index))
        for i, found in manifest["ground_truth"]["slices"].items():
            expected = naive_dice(slices[0][int(i)], slices[1][int(i)], index)
            assert found[name] == (None if expected is None else pytest.approx(expected)), (i, name)


def test_labels_on_other_voxels_are_refused_with_what_is_wrong(tmp_path, folder, values, labels, capsys):
    affine = affine_of((2, 0, 1), (-1, 1, 1))
    (tmp_path / "scan.nii").write_bytes(nifti(values, affine))
    moved, turned, near = affine.copy(), affine.copy(), affine.copy()
    moved[0, 3] += 2
    turned[:, 0] *= -1
    near[:3] += 0.003
    png = io.BytesIO()
    Image.fromarray(labels[0]).save(png, "PNG")
    colour = np.zeros(labels.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for data, words in (
        (nifti(labels[:5], affine), "the ground truth has the shape (5, 5, 7), the volume (6, 5, 7)"),
        (nifti(labels.transpose(2, 0, 1).copy(), affine_of((1, 2, 0), (1, -1, 1))), "has the shape (7, 6, 5)"),
        (nifti(labels, turned), "the axes of the ground truth lie SRA, those of the volume IRA"),
        (nifti(labels, moved), "the ground truth lies up to 2 away from the volume"),
        (nifti(labels * 0 + 7, affine), "the ground truth has the value 7"),
        (nifti(labels * np.float32(0.5), affine), "is no mask"),
        (nifti(np.full(labels.shape, np.nan, np.float32), affine), "is no mask"),
        (nifti(colour, affine), "a colour volume"),
        (png.getvalue(), "the ground truth is no volume"),
    ):
        (tmp_path / "labels").write_bytes(data)
        line = ["explain", str(tmp_path / "scan.nii"), "--all-slices", "--model", str(folder), "--region", "image"]
        line += ["--show", LAYER, "--ground-truth", str(tmp_path / "labels"), "--out", str(tmp_path / "out")]
        assert main(line) == 2, words
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1, error
    assert not (tmp_path / "out").exists()
    (tmp_path / "labels").write_bytes(nifti(labels, near))
    assert main(line) == 0, "an affine that was rounded otherwise is the same place"


def test_errors_of_each_slice_can_be_explained_and_a_folder_has_its_dice(tmp_path, folder, values, labels, capsys):
    scans, masks = tmp_path / "scans", tmp_path / "masks"
    scans.mkdir(), masks.mkdir()
    (scans / "one.nii").write_bytes(nifti(values))
    (masks / "one.nii.gz").write_bytes(gzip.compress(nifti(labels)))
    line = ["explain", "--batch", str(scans), "--all-slices", "--model", str(folder), "--class", "1"]
    line += ["--show", LAYER, "--axis", "sagittal", "--out", str(tmp_path / "out")]
    assert main([*line, "--region", "false_negatives"]) == 2
    assert "false_negatives need a ground truth" in capsys.readouterr().err
    assert main([*line, "--region", "false_negatives", "--ground-truth", str(masks)]) == 0
    out = tmp_path / "out" / "one.nii"
    manifest = json.loads((out / "manifest.json").read_text())
    mask = np.asarray(nibabel.load(out / "mask.nii.gz").dataobj)
    missed = ((labels == 1) & (mask != 1)).reshape(6, -1).sum(1)
    assert {int(i): one["n_pixels"] for i, one in manifest["slices"].items()} == {
        i: n for i, n in enumerate(missed) if n
    }
    table = pd.read_csv(tmp_path / "out" / "summary.csv", skiprows=1)
    assert table["dice.b"][0] == pytest.approx(naive_dice(mask, labels, 1))
