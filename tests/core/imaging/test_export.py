import io
import json
import os
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.cli import build_parser, main
from core.errors import InputError
from core.imaging.cams import explain
from core.imaging.display import DisplayOptions
from core.imaging.export import explanation_files, write_folder, zip_files
from core.imaging.figures import draw_figure
from core.imaging.layers import default_layer, describe_layer, reading_advice
from core.imaging.readers import read_image
from core.imaging.regions import Region
from core.safety import NOTICE
from tests.core.imaging.nets import save_folder, small_segmenter, small_unet

FILES = {"maps.npz", "mask.png", "overlay_seg_grad.png", "overlay_seg_hires_grad.png", "manifest.json"}


def png(seed=0, size=(50, 70), mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def case():
    segmenter, image = small_segmenter(), read_image(png())
    return segmenter, image, explain(segmenter, image, Region("image"), 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    card = "classes: [a, b, c]\npreprocessing: {channels: 3, resize: native}\n"
    return save_folder(tmp_path_factory.mktemp("models") / "mine", small_unet(), card=card)


def test_files_of_an_explanation(case):
    segmenter, image, result = case
    files = explanation_files(segmenter, image, result, "decoder.blocks.2", figures=("svg",))
    assert set(files) == FILES | {"figure.svg"} and list(files)[-1] == "manifest.json"
    maps = np.load(io.BytesIO(files["maps.npz"]))
    assert len(maps.files) == 2 * len(result.maps)
    for name, layer in result.maps.items():
        np.testing.assert_array_equal(maps[f"{name}/seg_grad"], layer.seg_grad)
        np.testing.assert_array_equal(maps[f"{name}/seg_hires_grad"], layer.seg_hires_grad)
    mask = Image.open(io.BytesIO(files["mask.png"]))
    assert mask.mode == "L" and np.array_equal(np.asarray(mask), result.segmentation.mask)
    assert Image.open(io.BytesIO(files["overlay_seg_grad.png"])).size == (70, 50)
    manifest = json.loads(files["manifest.json"])
    assert manifest["score"] == result.score and manifest["n_pixels"] == 50 * 70
    assert list(manifest["layers"]) == list(result.maps) and NOTICE in manifest["notice"]
    assert manifest["image"]["sha256"] == image.sha256 and manifest["display"]["maps"]["seg_grad"]["steps"]
    assert manifest["versions"]["torch"] and manifest["region"]["region"] == "image"


def test_the_same_explanation_gives_the_same_bytes(case):
    files = [zip_files(explanation_files(*case, "decoder.blocks.2", figures=("svg",))) for _ in range(2)]
    names = zipfile.ZipFile(io.BytesIO(files[0])).namelist()
    for name in names:
        first, second = (zipfile.ZipFile(io.BytesIO(data)).read(name) for data in files)
        assert first == second, name


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures(case, kind, magic):
    segmenter, image, result = case
    import dataclasses

    image = dataclasses.replace(image, spacing=(0.5, 0.25))
    data = draw_figure(segmenter, image, result, "encoder.layer4", DisplayOptions(signed=True), kind, dpi=50)
    assert data.startswith(magic)
    if kind == "svg":
        assert b"mm" in data or b"path" in data
    with pytest.raises(InputError, match="no figure format"):
        draw_figure(segmenter, image, result, "encoder.layer4", DisplayOptions(), "gif")


@pytest.mark.parametrize("region,rings", [(Region("pixel", point=(40, 12)), 3), (Region("image"), 0)])
def test_a_figure_rings_a_pixel_that_no_outline_could_show(case, region, rings):
    segmenter, image, _ = case
    result = explain(segmenter, image, region, 1)
    data = draw_figure(segmenter, image, result, "encoder.layer4", DisplayOptions(), "svg").decode()
    white = re.findall(r'<path d="([^"]*)"[^>]*stroke: #ffffff', data)
    assert sum(" C" in path or "\nC" in path for path in white) == rings  # curves: of a circle


def test_an_interrupted_write_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    replaced = []
    real = os.replace

    def fail_second(source, target):
        if replaced:
            raise OSError(28, "No space left on device")
        replaced.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", fail_second)
    with pytest.raises(InputError, match="cannot be written"):
        write_folder({"a": b"1", "b": b"2", "manifest.json": b"{}"}, tmp_path / "new" / "out")
    assert not (tmp_path / "new" / "out").exists()


def test_what_an_earlier_run_made_alone_goes(tmp_path):
    out = tmp_path / "out"
    first = {"figure.png": b"1", "mask.png": b"1"}
    others = ["../kept", "..", 3, "notes.txt"]
    (tmp_path / "kept").write_bytes(b"")
    write_folder(first | {"manifest.json": json.dumps({"files": [*first, "manifest.json", *others]}).encode()}, out)
    (out / "mine.txt").write_bytes(b"")
    write_folder({"mask.png": b"2", "manifest.json": b"[]"}, out)
    assert {path.name for path in out.iterdir()} == {"mask.png", "manifest.json", "mine.txt"}
    assert (tmp_path / "kept").exists()
    write_folder({"mask.png": b"3", "manifest.json": b"{"}, out)
    write_folder({"manifest.json": b"{}"}, out)
    assert {path.name for path in out.iterdir()} == {"mask.png", "manifest.json", "mine.txt"}, "no list, nothing goes"


def test_a_second_run_leaves_no_figure_of_the_first(tmp_path, folder):
    source, out = tmp_path / "scan.png", tmp_path / "out"
    source.write_bytes(png())
    line = ["explain", str(source), "--model", str(folder), "--region", "image", "--out", str(out)]
    assert main([*line, "--figure", "png"]) == 0 and (out / "figure.png").exists()
    assert main(line) == 0
    assert {path.name for path in out.iterdir()} == FILES


def test_windows_that_begin_with_a_minus_are_no_options():
    line = ["explain", "scan.png", "--model", "m", "--out", "o", "--window"]
    for window in ("-600,1500", "-.5,2", "-1024,4096"):
        assert build_parser().parse_args([*line, window]).window == window
    with pytest.raises(SystemExit):
        build_parser().parse_args([*line, "--signed"])


def test_command_writes_what_the_design_says(tmp_path, folder, capsys):
    source = tmp_path / "scan.png"
    source.write_bytes(png())
    out = tmp_path / "out"
    line = ["explain", str(source), "--model", str(folder), "--class", "2", "--region", "image", "--out", str(out)]
    assert main(line) == 0
    printed = json.loads(capsys.readouterr().out)
    manifest = json.loads((out / "manifest.json").read_text())
    assert {path.name for path in out.iterdir()} == FILES
    assert printed["score"] == manifest["score"] and manifest["class_index"] == 2
    assert np.asarray(Image.open(out / "mask.png")).shape == (50, 70)
    assert "scan" not in (out / "manifest.json").read_text(), "a file's name may hold a person's"
    assert main([*line[:-1], str(tmp_path / "few"), "--layers", "encoder.layer4,decoder.blocks.0"]) == 0
    assert len(np.load(tmp_path / "few" / "maps.npz").files) == 4


def test_command_takes_a_window_for_the_eye_and_a_zoom_for_the_figure(tmp_path, folder, capsys):
    source = tmp_path / "scan.png"
    source.write_bytes(png())
    line = ["explain", str(source), "--model", str(folder), "--region", "box:30,20,40,26", "--figure", "svg,png"]
    made = {}
    for name, more in {"plain": [], "seen": ["--window", "-5,80", "--zoom", "3"]}.items():
        assert main([*line, "--out", str(tmp_path / name), *more]) == 0
        made[name] = tmp_path / name
    plain, seen = (json.loads((made[name] / "manifest.json").read_text()) for name in made)
    assert seen["image"]["chosen"]["window"] == "with window centre -5 width 80"
    assert main([*line, "--out", str(tmp_path / "ct"), "--window", "brain"]) == 0
    named = json.loads((tmp_path / "ct" / "manifest.json").read_text())
    assert named["image"]["chosen"]["window"] == "with window centre 40 width 80"
    assert (plain["display"]["zoom"], seen["display"]["zoom"]) == (1.0, 3.0)
    assert plain["score"] == seen["score"]  # both are for the eye alone
    for file in ("maps.npz", "mask.png"):
        assert (made["plain"] / file).read_bytes() == (made["seen"] / file).read_bytes()
    assert (made["plain"] / "overlay_seg_grad.png").read_bytes() != (
        made["seen"] / "overlay_seg_grad.png"
    ).read_bytes()
    assert b"3 times as large" not in (made["plain"] / "figure.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--region", "pixel:999,0"], "outside of the image"),
        (["--region", "nonsense"], "is not understood"),
        (["--class", "9"], "no class 9"),
        (["--layers", "encoder.bn1"], "no layer 'encoder.bn1'"),
        (["--region", "false_positives"], "ground truth"),
        (["--palette", "jet"], "no palette 'jet'"),
        (["--palette", "inferno", "--signed"], "no palette 'inferno' for these maps"),
        (["--figure", "gif"], "no figure format"),
        (["--show", "nonsense"], "no layer 'nonsense'"),
        (["--show", "decoder.blocks.1", "--layers", "decoder.blocks.0"], "is not among --layers"),
        (["--zoom", "0.5"], "out of range"),
        (["--window", "40,wide"], "the window '40,wide' is none"),
        (["--window", "40,0"], "a width above 0"),
        (["--window", "bones"], "there is no window 'bones'"),
    ],
)
def test_command_with_bad_input(tmp_path, folder, capsys, arguments, message):
    source = tmp_path / "scan.png"
    source.write_bytes(png())
    out = tmp_path / "out"
    status = main(["explain", str(source), "--model", str(folder), "--region", "image", "--out", str(out), *arguments])
    error = capsys.readouterr().err
    assert status == 2 and message in error and error.count("\n") == 1
    assert not out.exists()


def test_command_with_bad_files(tmp_path, folder, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    for source, model in ((bad, folder), (tmp_path / "missing.png", folder), (bad, tmp_path / "no-model")):
        assert main(["explain", str(source), "--model", str(model), "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()
    assert main(["explain", "--model", str(folder), "--out", str(tmp_path / "out")]) == 2


def test_words_on_layers(case):
    segmenter, _, result = case
    names = list(result.maps)
    assert default_layer(names) == "decoder.blocks.2" and default_layer(["a"]) == "a"
    for name in names:
        assert "channels" in describe_layer(name, names, *segmenter.layers[name][::-1])
        assert reading_advice(name, result, segmenter.layers[name][1]).endswith(".")
