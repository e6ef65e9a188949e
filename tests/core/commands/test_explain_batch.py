"""`explain --batch`: resumes, pairs images with masks by name, and sums up in one table."""

import io
import json

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.cli import main
from core.imaging.agreement import agreement
from core.imaging.cams import explain
from core.imaging.faithfulness import deletion_insertion
from core.imaging.readers import read_image
from core.imaging.regions import Region
from core.imaging.segmenters import load_segmenter
from core.safety import NOTICE
from core.settings import PROJECT_ROOT
from tests.core.imaging.nets import save_folder, small_unet


def png(seed=0, size=(50, 70)):
    return encoded(np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8))


def encoded(values):
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    card = "classes: [a, b, c]\npreprocessing: {channels: 3, resize: native}\n"
    return save_folder(tmp_path_factory.mktemp("models") / "mine", small_unet(), card=card)


@pytest.fixture
def images(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(3):
        (images / f"{seed}.png").write_bytes(png(seed))
    return images


def table(out):
    text = (out / "summary.csv").read_text()
    assert NOTICE in text.splitlines()[0]
    return pd.read_csv(io.StringIO(text), skiprows=1).set_index("image")


def test_batch_goes_on_where_it_stopped(tmp_path, images, folder, capsys):
    (images / "broken.png").write_bytes(b"nothing")
    (images / "notes.txt").write_text("not an image")
    out = tmp_path / "out"
    line = ["explain", "--batch", str(images), "--model", str(folder), "--region", "image", "--out", str(out)]
    assert main(line) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["explained"], first["already_done"], len(first["failed"])) == (3, 0, 1)
    (out / "1.png" / "maps.npz").unlink()  # as if it had been interrupted
    (out / "2.png" / "manifest.json").write_text("null")  # as a full disk, or another program, may leave it
    before = (out / "0.png" / "manifest.json").stat().st_mtime_ns
    assert main(line) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["explained"], second["already_done"]) == (2, 1)
    assert (out / "0.png" / "manifest.json").stat().st_mtime_ns == before
    assert main([*line, "--class", "2"]) == 0, "another request is another answer"
    assert json.loads(capsys.readouterr().out)["explained"] == 3
    assert main([*line[:-1], str(images / "inside")]) == 2
    assert main(["explain", "--batch", str(tmp_path / "no"), "--model", str(folder), "--out", str(out)]) == 2


def test_the_table_has_a_row_an_image_with_what_was_measured(tmp_path, images, folder):
    (images / "=1+1.png").write_bytes(b"nothing")
    out = tmp_path / "out"
    line = ["explain", "--batch", str(images), "--model", str(folder), "--region", "image", "--out", str(out)]
    assert main([*line, "--evidence", "--show", "decoder.blocks.2"]) == 0
    found = table(out)
    assert sorted(found.index) == ["'=1+1.png", "0.png", "1.png", "2.png"], "a spreadsheet would run the name"
    assert "not an image" in found.loc["'=1+1.png", "error"]
    segmenter, image = load_segmenter(str(folder)), read_image(png(1))
    result = explain(segmenter, image, Region("image"), 1)
    row = found.loc["1.png"]
    assert (row["n_pixels"], row["region"], row["class_name"], row["layer"]) == (
        50 * 70,
        "image",
        "b",
        "decoder.blocks.2",
    )
    assert row["score"] == pytest.approx(result.score, rel=1e-5)
    assert [row[f"area_pixels.{name}"] for name in "abc"] == result.segmentation.areas(3)
    numbers = agreement(result.maps["decoder.blocks.2"], result.mask, result.geometry)
    assert row["agreement.spearman"] == pytest.approx(numbers.spearman, abs=1e-5)
    assert row["agreement.seg_grad.negative_lost"] == pytest.approx(numbers.seg_grad.negative_lost, abs=1e-5)
    curves = deletion_insertion(segmenter, image, result, "decoder.blocks.2")
    assert row["deletion_area.seg_grad"] == pytest.approx(curves.curve("seg_grad", "deletion").area, abs=1e-5)
    assert row["insertion_area.random"] == pytest.approx(curves.curve("random", "insertion").area, abs=1e-5)
    before = (out / "summary.csv").read_bytes()
    assert main([*line, "--evidence", "--show", "decoder.blocks.2"]) == 0, "nothing is made again"
    assert (out / "summary.csv").read_bytes() == before


def test_masks_belong_to_images_by_name(tmp_path, images, folder, capsys):
    truths = tmp_path / "truths"
    truths.mkdir()
    rng = np.random.default_rng(5)
    expected = rng.integers(0, 3, (50, 70)).astype(np.uint8)
    (truths / "0.png").write_bytes(encoded(expected))
    (truths / "1.tif").write_bytes(encoded(expected[:-1]))
    out = tmp_path / "out"
    line = ["explain", "--batch", str(images), "--model", str(folder), "--region", "image", "--out", str(out)]
    line += ["--ground-truth", str(truths)]
    assert main(line) == 0
    found = table(out)
    mask = np.asarray(Image.open(out / "0.png" / "mask.png"))
    for index, name in enumerate("abc"):
        both = 2 * ((mask == index) & (expected == index)).sum()
        assert found.loc["0.png", f"dice.{name}"] == pytest.approx(
            both / ((mask == index).sum() + (expected == index).sum())
        )
    assert "has the size (49, 70)" in found.loc["1.png", "error"]
    assert np.isnan(found.loc["2.png", "dice.a"]), "an image without a mask has no Dice"
    capsys.readouterr()
    assert main([*line, "--region", "false_negatives"]) == 0  # the last of two counts
    summary = json.loads(capsys.readouterr().out)
    assert {failure["image"] for failure in summary["failed"]} == {"1.png", "2.png"}
    assert summary["without_ground_truth"] == ["2.png"]
    (truths / "0.tif").write_bytes(encoded(expected))
    for wrong, words in ((truths, "2 masks named 0"), (truths / "0.png", "is no folder"), (folder, "has the name of")):
        assert main([*line[:-1], str(wrong)]) == 2
        assert words in capsys.readouterr().err


def test_the_truth_of_a_volume_is_read_at_the_image_s_slice(tmp_path, folder):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(40, 48, 44)).astype(np.float32)
    labels = rng.integers(0, 3, values.shape).astype(np.int16)
    for name, array in (("scan", values), ("truth", labels)):
        nibabel.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / f"{name}.nii.gz")
    out = tmp_path / "out"
    line = ["explain", str(tmp_path / "scan.nii.gz"), "--model", str(folder), "--region", "image", "--out", str(out)]
    line += ["--axis", "sagittal", "--slice", "7", "--ground-truth", str(tmp_path / "truth.nii.gz")]
    assert main(line) == 0
    mask = np.asarray(Image.open(out / "mask.png"))
    # the sagittal view: posterior to the right (axis 1 turned round), superior up
    expected = labels[7, ::-1, ::-1].T
    assert mask.shape == expected.shape
    dice = json.loads((out / "manifest.json").read_text())["ground_truth"]["dice"]
    for index, name in enumerate("abc"):
        both = 2 * ((mask == index) & (expected == index)).sum()
        assert dice[name] == pytest.approx(both / ((mask == index).sum() + (expected == index).sum()))


def test_a_volume_is_cut_as_the_card_says_unless_the_command_says_otherwise(tmp_path):
    values = np.random.default_rng(3).normal(size=(24, 30, 34)).astype(np.float32)
    nibabel.Nifti1Image(values, np.eye(4)).to_filename(tmp_path / "scan.nii.gz")
    card = "classes: [a, b, c]\nview: coronal\npreprocessing: {channels: 3, resize: native}\n"
    model = save_folder(tmp_path / "mine", small_unet(), card=card)
    for given, size in ((["--axis", "sagittal"], (34, 30)), ([], (34, 24))):
        out = tmp_path / "-".join(["out", *given[1:]])
        line = ["explain", str(tmp_path / "scan.nii.gz"), "--model", str(model), "--region", "image"]
        assert main([*line, *given, "--out", str(out)]) == 0
        assert np.asarray(Image.open(out / "mask.png")).shape == size


def test_another_card_is_another_request(tmp_path, images, capsys):
    out, line = tmp_path / "out", []
    for mean, fresh in ((0.5, 3), (0.5, 0), (0.4, 3)):
        card = f"classes: [a, b, c]\npreprocessing: {{channels: 3, resize: native, mean: {mean}}}\n"
        model = save_folder(tmp_path / "mine", small_unet(), card=card)
        line = ["explain", "--batch", str(images), "--model", str(model), "--region", "image", "--out", str(out)]
        assert main(line) == 0
        assert json.loads(capsys.readouterr().out)["explained"] == fresh


def test_images_in_which_nothing_is_found_have_a_row_with_their_dice(tmp_path, images, capsys):
    model = small_unet()
    with torch.no_grad():
        model.segmentation_head[0].bias[1] -= 1e4  # the network never says class b
    card = "classes: [a, b, c]\npreprocessing: {channels: 3, resize: native}\n"
    folder, truths, out = save_folder(tmp_path / "never", model, card=card), tmp_path / "truths", tmp_path / "out"
    truths.mkdir()
    for seed in range(2):
        (truths / f"{seed}.png").write_bytes(encoded(np.full((50, 70), seed, np.uint8)))
    line = ["explain", "--batch", str(images), "--model", str(folder), "--out", str(out)]
    line += ["--ground-truth", str(truths)]
    assert main(line) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["explained"], summary["failed"]) == (3, [])
    found = table(out)
    assert (found["n_pixels"] == 0).all() and "error" not in found and "score" not in found.dropna(axis=1)
    assert found["remark"].str.startswith("There is nothing to explain: no pixel is in the region mask of cl").all()
    assert found.loc["1.png", "dice.b"] == 0 and np.isnan(found.loc["0.png", "dice.b"])
    mask = np.asarray(Image.open(out / "1.png" / "mask.png"))
    assert [found.loc["1.png", f"area_pixels.{name}"] for name in "abc"] == [(mask == i).sum() for i in range(3)]
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out)["already_done"] == 3
    assert main(["explain", str(images / "0.png"), "--model", str(folder), "--out", str(tmp_path / "one")]) == 2
    assert "no pixel is in the region" in capsys.readouterr().err
    assert main([*line, "--region", "image"]) == 0  # with maps now
    assert {path.name for path in (out / "1.png").iterdir()} > {"maps.npz", "overlay_seg_grad.png"}
    assert main([*line, "--class", "1"]) == 0  # and without again
    assert {path.name for path in (out / "1.png").iterdir()} == {"mask.png", "manifest.json"}


def test_a_folder_given_as_the_image_is_pointed_to_batch(tmp_path, images, folder, capsys):
    assert main(["explain", str(images), "--model", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.strip().endswith("is a folder; give an image, or --batch with a folder of images")


def test_a_figure_that_cannot_be_made_is_said_before_the_work(tmp_path, capsys):
    sample = PROJECT_ROOT / "assets" / "samples" / "radiograph-3.png"
    line = ["explain", str(sample), "--model", "no-such-model", "--figure", "png,gif", "--out", str(tmp_path / "out")]
    assert main(line) == 2  # and not for the model, which is loaded later
    assert "there is no figure format 'gif'; choose from png, svg, pdf" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
