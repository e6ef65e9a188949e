"""The Imaging page: a drawn sample, no segmenter, uploads good and bad, every region and tab, and the cache's keys."""

import io
import json
import shlex
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pydicom.data
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.special import softmax
from scipy.stats import entropy
from streamlit.runtime import caching
from streamlit.testing.v1 import AppTest

from core.cli import main
from core.imaging import segmenters
from core.imaging.cams import explain
from core.imaging.display import DisplayOptions
from core.imaging.overlay import FADE
from core.imaging.palettes import lookup_table
from core.imaging.readers import read_image
from core.imaging.regions import Region
from core.imaging.views import ZOOMS, View, view_around
from core.jobs import JobQueue
from core.wording import part
from pages.shared.imaging import case as cases
from pages.shared.imaging import decision, results, source
from pages.shared.imaging.numbers import percent, short
from pages.shared.imaging.pictures import enlarged, outlined
from pages.shared.imaging.region import clicked
from pages.shared.imaging.source import Source
from tests.core.imaging.nets import save_folder, small_unet
from tests.pages.conftest import shown

PAGE = "pages/imaging.py"
SESSION = "test session id"
"""AppTest's name of every session."""
TABS = ("Compare", "Layers", "Evidence", "Export", "How to read this")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two tiny random segmenters."""
    folder = tmp_path_factory.mktemp("models")
    card = "title: Test\nclasses: [background, left, right]\npreprocessing: {channels: 3, resize: stretch, size: 64}\n"
    save_folder(folder / "first", small_unet(), card=card)
    save_folder(folder / "second", small_unet(seed=1), card=card.replace("Test", "Other"))
    return folder


@pytest.fixture
def open_imaging(open_page, models, tmp_path, monkeypatch):
    monkeypatch.setattr(segmenters, "SHIPPED_MODELS", tmp_path / "none")

    def open_(query=None, folder=models):
        return open_page(PAGE, query=query, models=folder)

    return open_


def png(seed=0, size=(40, 56)):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sound(app: AppTest) -> str:
    assert not app.exception
    text = shown(app)
    assert "Something went wrong" not in text and "Not a medical device" in text
    return text


def upload(app: AppTest, data: bytes, name="x.png", mime="image/png") -> AppTest:
    return app.get("file_uploader")[0].set_value((name, data, mime)).run()


def test_a_drawn_sample_shows_both_overlays(open_imaging):
    app = open_imaging()
    text = sound(app)
    assert "Seg-Grad CAM" in text and "Seg-HiRes-Grad CAM" in text
    assert "drawn" in text and "no person" in text
    assert len(app.get("image")) + len(app.get("imgs")) >= 3


def test_no_segmenter_says_how_to_get_one(open_imaging, tmp_path):
    app = open_imaging(folder=tmp_path / "nothing")
    text = sound(app)
    assert "No segmenter is here" in text and "train-segmenter" in text


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"not an image", "x.png"),
        (b"", "x.png"),
        (png()[:60], "x.png"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 90, "x.png"),
        (b"DICM" * 99, "x.dcm"),
    ],
)
def test_a_bad_upload_is_one_sentence(open_imaging, data, name):
    app = open_imaging({"source": "upload"})
    assert "No image yet" in sound(app)
    app = upload(app, data, name)
    assert ":material/error:" in sound(app)
    assert not app.get("tab")


def test_an_upload_is_explained_and_never_named(open_imaging):
    app = upload(open_imaging({"source": "upload"}), png(), "Jane_Doe.png")
    text = sound(app)
    assert "Seg-HiRes-Grad CAM" in text and "Jane" not in text


def test_a_file_that_does_not_say_what_it_shows_is_not_taken_for_what_the_segmenter_knows(open_imaging, tmp_path):
    card = "title: Test\nclasses: [background, left, right]\nmodality: ultrasound\n"
    card += "preprocessing: {channels: 3, resize: stretch, size: 64}\n"
    save_folder(tmp_path / "models" / "first", small_unet(), card=card)
    page = open_imaging({"source": "upload"}, tmp_path / "models")
    assert "This segmenter is made for ultrasound" in sound(upload(page, png(), "x.png"))
    assert "does not say what it shows" not in sound(open_imaging(None, tmp_path / "models"))  # a drawing is known
    scan = Path(pydicom.data.get_testdata_file("CT_small.dcm")).read_bytes()
    page = upload(open_imaging({"source": "upload"}, tmp_path / "models"), scan, "x.dcm")
    assert "The file says CT" in sound(page)
    assert "does not say what it shows" not in sound(page)


@pytest.mark.parametrize("tab", TABS)
def test_every_tab(open_imaging, tab):
    sound(open_imaging({"view": tab}))


@pytest.mark.parametrize(
    "region", ["component", "pixel", "box", "image", "uncertain", "false_positives", "false_negatives"]
)
def test_every_region_by_numbers(open_imaging, region):
    app = open_imaging()
    app.selectbox(key="im-region").set_value(region).run()
    text = sound(app)
    assert "Score S" in text or "no pixel" in text.lower()
    if region == "pixel":
        app.number_input(key="im-x").set_value(5).run()
        app.number_input(key="im-y").set_value(7).run()
        assert "**1 px" in sound(app)


def test_an_empty_region_is_one_sentence_beside_the_image(open_imaging):
    app = open_imaging()
    app.selectbox(key="im-region").set_value("box").run()
    app.number_input(key="im-x0").set_value(0).run()
    app.number_input(key="im-x1").set_value(0).run()
    assert "holds no pixel of the image" in sound(app)
    assert len(app.get("image")) + len(app.get("imgs")) == 1, "the image stays in sight"


def test_changing_what_is_shown_never_computes_again(open_imaging, monkeypatch):
    app = open_imaging()
    monkeypatch.setattr(results.queue, "run", lambda name, work: pytest.fail(f"{name} ran again"))
    app.toggle(key="im-signed").set_value(True).run()
    app.toggle(key="im-smooth").set_value(False).run()
    next(s for s in app.select_slider if s.label.startswith("Layer")).set_value("encoder.layer3").run()
    app.slider(key="im-opacity").set_value(0.2).run()
    sound(app)


@pytest.mark.parametrize(("what", "title"), [("probability", "Probability of left"), ("uncertainty", "Uncertainty")])
def test_the_left_picture_is_what_one_chooses_and_makes_no_map_again(open_imaging, monkeypatch, what, title):
    app = open_imaging()
    assert {"left", "right"} <= {text.value.removeprefix(":small[").rstrip("]") for text in app.markdown}, "no legend"
    monkeypatch.setattr(results.queue, "run", lambda name, work: pytest.fail(f"{name} ran again"))
    text = sound(app.selectbox(key="im-decision").set_value(what).run())
    assert f"**{title}**" in text and "**Segmentation**" not in text


def test_the_left_picture_s_colours_stand_for_numbers(models):
    segmenter = segmenters.load_segmenter(str(models / "first"))
    image = read_image(png())
    case = cases.Case(
        Source(image, (image.sha256,), "x", False), segmenter, 1, Region("image"), explain(segmenter, image), ()
    )
    solid = DisplayOptions(opacity=1.0)
    logits = case.result.segmentation.logits
    for what, values in (("probability", softmax(logits, 0)[1]), ("uncertainty", entropy(softmax(logits, 0), base=3))):
        seen = decision.picture(case, what, solid)
        expected = case.result.geometry.to_image(torch.from_numpy(values)).numpy()
        assert expected.min() > FADE and seen.shape == (*image.size, 3)
        np.testing.assert_array_equal(seen, lookup_table(decision.PALETTE)[np.rint(expected * 255).astype(int)])


def test_another_class_or_model_is_another_result(open_imaging):
    app = open_imaging()
    first = next(value for value in app.markdown if "Score S" in value.value).value
    app.selectbox(key="im-class-first").set_value(2).run()
    second = next(value for value in app.markdown if "Score S" in value.value).value
    assert first != second
    sound(app)


def test_the_export_draws_as_the_comparison_did_and_the_choices_stay(open_imaging, monkeypatch):
    from pages.shared.imaging import exports

    drawn: list[DisplayOptions] = []
    real = exports.draw_figure
    monkeypatch.setattr(exports, "draw_figure", lambda *a, **k: (drawn.append(a[4]), real(*a, **k))[1])
    app = open_imaging()
    app.toggle(key="im-signed").set_value(True).run()
    app.toggle(key="im-smooth").set_value(False)
    app.slider(key="im-opacity").set_value(0.2)
    app.selectbox(key="im-palette-True").set_value("PuOr_r").run()
    layer = next(s for s in app.select_slider if s.label.startswith("Layer"))
    layer.set_value("encoder.layer3").run()
    for _ in range(2):  # also where the tab is drawn again
        app.session_state["view"] = "Export"
        sound(app.run())
        assert drawn[-1] == DisplayOptions(True, False, "own", 100.0, "PuOr_r", 0.2, True)
    app.session_state["view"] = "Compare"
    sound(app.run())
    assert app.toggle(key="im-signed").value and app.slider(key="im-opacity").value == 0.2
    assert next(s for s in app.select_slider if s.label.startswith("Layer")).value == "encoder.layer3"


def test_a_truth_is_of_its_image_alone(open_imaging):
    app = open_imaging({"source": "upload"})
    sound(upload(app, png(8)))
    file = io.BytesIO()
    Image.fromarray(np.ones((40, 56), np.uint8)).save(file, "PNG")
    app.get("file_uploader")[1].set_value(("truth.png", file.getvalue(), "image/png")).run()
    assert "Dice of" in sound(app)
    app.switch_page("pages/model_facts.py").run()
    app.switch_page(PAGE).run()
    assert "Dice of" in sound(app)  # both are kept
    sound(upload(app, png(9)))
    assert "Dice of" not in sound(app)
    app.get("file_uploader")[0].set_value(None).run()
    sound(upload(app, png(10)))
    assert "Dice of" not in sound(app)


def test_the_window_for_the_eye_is_the_users_and_makes_no_map_again(open_imaging, monkeypatch):
    app = open_imaging({"source": "upload"})
    path = pydicom.data.get_testdata_file("CT_small.dcm")
    sound(upload(app, Path(path).read_bytes(), "x.dcm", "application/dicom"))
    app.selectbox(key="im-region").set_value("image").run()
    window = next(box for box in app.selectbox if box.label == "Window for the eye")
    with monkeypatch.context() as patched:
        patched.setattr(results.queue, "run", lambda name, work: pytest.fail(f"{name} ran again"))
        window.set_value("lung").run()
        assert "window centre -600 width 1500" in sound(app).replace("\\", "")
        window.set_value("own").run()
        next(number for number in app.number_input if number.label == "Centre").set_value(33.0)
        next(number for number in app.number_input if number.label == "Width").set_value(500.0).run()
        assert "window centre 33 width 500" in sound(app)
    file = io.BytesIO()
    Image.fromarray(np.arange(4000, dtype=np.uint16).reshape(50, 80)).save(file, "PNG")
    text = sound(upload(app, file.getvalue()))  # another file begins with its own
    assert "0.5th to its 99.5th percentile" in text.replace("\\", "") and "CT lung" not in text


def test_an_upload_and_what_is_made_of_it_go_with_the_session(open_imaging, monkeypatch):
    """Streamlit drops the caches of a session when it ends; ours are these, and no other holds an upload."""
    made = []
    read, run = source.read_image, results.queue.run
    monkeypatch.setattr(source, "read_image", lambda data, **more: made.append("image") or read(data, **more))
    monkeypatch.setattr(results.queue, "run", lambda name, work: made.append(name) or run(name, work))
    app = open_imaging({"source": "upload"})
    made.clear()
    sound(upload(app, png(6)))
    first = made.copy()
    assert first[0] == "image" and len(first) > 1
    sound(app.run())
    assert made == first, "within the session nothing is made twice"
    caching.clear_session_data_cache(SESSION)
    caching.clear_session_resource_cache(SESSION)
    sound(app.run())
    assert made == first * 2


def test_an_image_and_its_region_stay_while_another_page_is_read(open_imaging):
    app = open_imaging({"source": "upload"})
    sound(upload(app, png(4)))
    app.selectbox(key="im-region").set_value("box").run()
    app.number_input(key="im-x1").set_value(21).run()
    before = next(value for value in app.markdown if "Score S" in value.value).value
    app.switch_page("pages/model_facts.py").run()
    app.switch_page(PAGE).run()
    text = sound(app)
    assert "Kept, " in text and before in text
    assert app.selectbox(key="im-region").value == "box" and app.number_input(key="im-x1").value == 21
    app.button(key="remove-im-upload").click().run()
    assert "No image yet" in sound(app)
    sound(upload(app, png(5)))
    app.get("file_uploader")[0].set_value(None).run()
    assert "No image yet" in sound(app)  # taken away by hand, it does not come back


def test_a_card_that_is_mended_is_read_at_once(open_imaging, tmp_path):
    card = "classes: [background, left, right]\npreprocessing: {{channels: 3, resize: stretch, size: 64, mean: {}}}\n"
    mine = save_folder(tmp_path / "own" / "mine", small_unet(), card=card.format(0.5))
    app = open_imaging(folder=tmp_path / "own")
    before = sound(app)
    assert sound(app.run()) == before
    (mine / "card.yaml").write_text(card.format(0.3))
    after = sound(app.run())
    assert after != before, "the image is fed in another way: other maps"
    (mine / "card.yaml").write_text(card.format(0.3).replace("left", "west"))
    assert "west" in sound(app.run())


def test_evidence_is_made_on_demand_and_goes_into_the_zip(open_imaging):
    app = open_imaging({"view": "Evidence"})
    app.select_slider(key="im-steps").set_value(5).run()
    for what in ("deletion_insertion", "randomisation", "stability"):
        app.button(key=f"im-do-{what}").click().run()
        sound(app)
    assert len(app.get("plotly_chart")) == 2  # curves in one figure, the cascade in another


def test_the_export_is_a_zip_with_a_manifest(open_imaging, monkeypatch):
    from pages.shared import downloads

    made = {}
    monkeypatch.setattr(downloads, "button", lambda label, data, name, *a, **k: made.update({name: data()}))
    sound(open_imaging({"view": "Export"}))
    ((name, data),) = made.items()
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert {"maps.npz", "mask.png", "overlay_seg_grad.png", "figure.png", "manifest.json"} <= set(archive.namelist())
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["image"]["sha256"].startswith(name.removeprefix("explanation-").removesuffix(".zip"))
    assert "Not a medical device" in manifest["notice"]


def test_the_export_of_a_volume_names_the_command_for_all_its_slices(open_imaging, models, tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 24, 22)).astype(np.float32)
    (tmp_path / "VOLUME.nii.gz").write_bytes(nibabel.Nifti1Image(values, np.eye(4)).to_bytes())
    app = open_imaging({"source": "upload"})
    upload(app, (tmp_path / "VOLUME.nii.gz").read_bytes(), "x.nii", "application/octet-stream")
    app.selectbox(key="im-region").set_value("image").run()
    app.session_state["view"] = "Export"
    app.run()
    sound(app)
    line = next(code.value for code in app.code if "--all-slices" in code.value)
    line = line.replace("VOLUME", str(tmp_path / "VOLUME")).replace("DIR", str(tmp_path / "out"))
    assert main([str(models / "first") if word == "first" else word for word in shlex.split(line)[3:]]) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["image"]["chosen"]["axis"] == "axial" and len(manifest["slices"]) == 22
    app.selectbox(key="im-region").set_value("pixel").run()
    sound(app)
    assert not any("--all-slices" in code.value for code in app.code), "a pixel has its place in one slice"


def test_two_images_that_differ_by_one_pixel_never_share_a_result():
    """Streamlit's hash of a large array looks at a sample: the reason why keys are hashes of all bytes."""
    kept = results.Results(limit=3)
    first = np.zeros((1024, 1024), np.uint8)
    second = first.copy()
    second[500, 500] = 255
    import hashlib

    keys = [("maps", (hashlib.sha256(array).hexdigest(),)) for array in (first, second)]
    assert keys[0] != keys[1]
    for key, array in zip(keys, (first, second), strict=True):
        kept.put(key, array)
    assert kept.get(keys[0]) is first and kept.get(keys[1]) is second
    kept.put("a", 1), kept.put("b", 2)
    assert kept.get(keys[0]) is None, "the oldest goes"


def test_clicks_are_scaled_back_and_kept_inside():
    whole = View(0, 50, 0, 100)
    assert clicked({"x": 100, "y": 50, "width": 200, "height": 100}, whole) == {"im-x": 50, "im-y": 25}
    assert clicked({"x": 200, "y": 100, "width": 200, "height": 100}, whole) == {"im-x": 99, "im-y": 49}
    drag = {"x1": 150, "y1": 80, "x2": -40, "y2": 300, "width": 200, "height": 100}
    assert clicked(drag, whole) == {"im-x0": 0, "im-x1": 75, "im-y0": 40, "im-y1": 50}
    point = {"x1": 10, "y1": 10, "x2": 10, "y2": 10, "width": 200, "height": 100}
    assert clicked(point, whole) == {"im-x0": 5, "im-x1": 6, "im-y0": 5, "im-y1": 6}


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(ZOOMS), st.data())
def test_a_click_on_a_view_is_the_pixel_that_lies_there(height, width, zoom, data):
    """Against a picture whose pixels hold their own place, enlarged as the page enlarges it."""
    region = np.zeros((height, width), bool)
    region[data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))] = True
    view = view_around(region, zoom)
    across, down = (data.draw(st.integers(1, 5)) for _ in range(2))
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    picture = view.crop(places).repeat(down, axis=0).repeat(across, axis=1)
    y, x = (data.draw(st.integers(0, side - 1)) for side in picture.shape[:2])
    found = clicked({"x": x, "y": y, "width": picture.shape[1], "height": picture.shape[0]}, view)
    assert [found["im-y"], found["im-x"]] == picture[y, x].tolist()


def test_zooming_shows_a_part_and_computes_nothing(open_imaging, monkeypatch):
    app = open_imaging({"source": "upload"})
    sound(upload(app, png(6, (80, 112))))
    app.selectbox(key="im-region").set_value("pixel").run()
    app.number_input(key="im-x").set_value(100).run()
    seen: list[tuple] = []
    real = cases.pictures.show
    with monkeypatch.context() as patched:
        patched.setattr(
            cases.pictures, "show", lambda picture, *a, **k: (seen.append(picture.shape), real(picture, *a, **k))
        )
        patched.setattr(results.queue, "run", lambda name, work: pytest.fail(f"{name} ran again"))
        next(s for s in app.select_slider if s.label == "Zoom on M").set_value(4.0).run()
        assert "28 x 20 px around M" in sound(app)
        assert seen == [(20, 28, 3)] * 2
        app.session_state["view"] = "Layers"
        app.run()
        assert "28 x 20 px around M" in sound(app) and set(seen) == {(20, 28, 3)}
        app.session_state["view"] = "Export"
        sound(app.run())
    sound(upload(app, png(7, (20, 30))))  # too small to zoom into: the whole image, and no error


def test_small_pictures_are_enlarged_with_sharp_cells_and_true_shape():
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[0, 0] = 255
    big = enlarged(picture, None, 200)
    assert big.shape == (100, 200, 3) and set(np.unique(big)) == {0, 255}
    assert enlarged(picture, (2.0, 1.0), 200).shape == (200, 200, 3)


def test_numbers():
    assert [short(value) for value in (0, 45480.5, 97.76, 1.5, 0.0123)] == ["0", "45,480", "97.8", "1.50", "0.0123"]


def test_an_outline_is_a_fine_line_on_a_small_image():
    picture = np.full((10, 12, 3), 99, np.uint8)
    region = np.zeros((10, 12), bool)
    region[2:8, 3:9] = True
    drawn = outlined(picture, region, side=600)
    assert drawn.shape == enlarged(picture, side=600).shape == (500, 600, 3)
    changed = (drawn != 99).any(axis=2)
    assert changed[100, 300] and not changed[250, 300], "the line is at the border, not inside"
    assert changed.mean() < 0.02, "a line of the enlarged picture, not of the image's cells"
    np.testing.assert_array_equal(outlined(picture, None, side=600), enlarged(picture, side=600))


@pytest.mark.parametrize("size", [(512, 640), (1500, 1200), (40, 50)])
def test_a_pixel_has_a_ring_around_it(size):
    picture, region = np.full((*size, 3), 99, np.uint8), np.zeros(size, bool)
    row, column = size[0] // 4, size[1] // 3
    region[row, column] = True
    drawn = outlined(picture, region)
    scale = drawn.shape[0] / size[0]
    rows, columns = np.nonzero((drawn == 255).all(axis=2))
    assert 20 <= np.ptp(rows) <= 60 and 20 <= np.ptp(columns) <= 60, "a ring that can be seen"
    assert abs(rows.mean() - (row + 0.5) * scale) < 2 and abs(columns.mean() - (column + 0.5) * scale) < 2
    at = drawn[int((row + 0.5) * scale), int((column + 0.5) * scale)]
    assert (at == 99).all(), "what the ring is around can be seen"


def test_a_drawn_sample_says_how_well_it_is_segmented(open_imaging):
    app = open_imaging()
    assert "Dice of left" in sound(app)


def counted(monkeypatch, name):
    """Count the calls of a function that the page's case uses."""
    original, calls = getattr(cases, name), []

    def count(*arguments, **named):
        calls.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(cases, name, count)
    return calls


def test_a_new_image_is_segmented_and_explained_by_one_pass(open_imaging, monkeypatch):
    explained, segmented = counted(monkeypatch, "explain"), counted(monkeypatch, "segment")
    app = open_imaging()
    sound(app)
    assert (len(explained), len(segmented)) == (1, 0)
    seed = next(box for box in app.number_input if box.label == "Number")
    sound(seed.set_value(77).run())
    assert (len(explained), len(segmented)) == (2, 0)
    sound(app.selectbox(key="im-region").select("pixel").run())
    assert (len(explained), len(segmented)) == (3, 0)  # the same image: its segmentation is kept
    sound(next(box for box in app.number_input if box.label == "Number").set_value(78).run())
    assert (len(explained), len(segmented)) == (4, 1)  # where the pixel lies follows from the mask


def test_the_segmentation_of_an_explanation_is_the_segmentation(models):
    image = read_image(png(4))
    segmenter = segmenters.load_segmenter(models / "first")
    alone, beside = segmenters.segment(segmenter, image), explain(segmenter, image, Region("mask"), 1).segmentation
    assert np.array_equal(alone.mask, beside.mask)
    np.testing.assert_allclose(alone.logits, beside.logits, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 2])
def test_two_who_ask_for_the_same_in_line_get_it_computed_once(workers, monkeypatch):
    line, kept, computed = JobQueue(workers=workers), results.Results(limit=9), []
    monkeypatch.setattr(results, "kept", lambda shared: kept)
    monkeypatch.setattr(results.queue, "run", lambda name, work: line.submit(work, name).result())
    gate = threading.Event()
    ahead = [line.submit(lambda progress: gate.wait(20)) for _ in range(workers)]

    def work(progress):
        computed.append(1)
        time.sleep(0.1)
        return object()

    with ThreadPoolExecutor(3) as pool:
        found = [pool.submit(results.computed, ("maps", "same"), "The same", work, True) for _ in range(3)]
        while any(line.position(job) for job in ahead) or len(line._waiting) < 3:
            time.sleep(0.01)
        gate.set()
        assert len({id(future.result()) for future in found}) == len(computed) == 1


@pytest.mark.parametrize(
    "share, digits, words",
    [
        (None, 0, "none"), (0, 0, "0 %"), (0.001, 0, "<1 %"), (0.005, 0, "<1 %"), (0.006, 0, "1 %"),
        (0.994, 0, "99 %"), (0.997, 0, ">99 %"), (1, 0, "100 %"), (4 / 512**2, 1, "<0.1 %"),
        (0.0312, 1, "3.1 %"), (0.9999, 1, ">99.9 %"),
    ],
)  # fmt: skip
def test_a_share_reads_as_none_or_all_only_where_it_is(share, digits, words):
    assert percent(share, digits) == words


def test_a_dice_of_nearly_one_is_not_one():
    assert [part(value, 2) for value in (0, 0.004, 0.9949, 0.996, 1)] == ["0.00", "<0.01", "0.99", ">0.99", "1.00"]


def test_the_size_of_a_pixel_stands_in_the_order_of_the_images_size(open_imaging):
    """An axial slice of 30 x 40 voxels of 0.5 x 2 mm: 30 px wide of 0.5 mm, 40 px high of 2 mm."""
    values = np.random.default_rng(0).normal(size=(30, 40, 9)).astype(np.float32)
    file = nibabel.Nifti1Image(values, np.diag([0.5, 2.0, 3.0, 1.0])).to_bytes()
    app = upload(open_imaging({"source": "upload"}), file, "x.nii", "application/octet-stream")
    app.selectbox(key="im-region").set_value("image").run()
    text = sound(app)
    assert "30 x 40 px" in text and r"0\.5 x 2 mm a pixel" in text
