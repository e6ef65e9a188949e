"""Imaging in a real browser: a volume with its truth, a DICOM file, clicks and drags, panels, evidence, the zip."""

import io
import json
import re
import zipfile

import nibabel
import numpy as np
import pydicom.data
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.app_process import ROOT, go, settle
from tests.e2e.conftest import App

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def volume(values: np.ndarray) -> dict:
    data = nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 1.0, 1.0])).to_bytes()
    return {"name": "volume.nii", "mimeType": "application/octet-stream", "buffer": data}


def choose(page: Page, key: str, option: str) -> None:
    wanted = page.get_by_role("option", name=option, exact=True)
    for _ in range(3):  # a run that ends just now closes the list
        page.locator(f'[class*="st-key-{key}"] [role=combobox]').first.click()
        page.wait_for_timeout(300)
        if wanted.count():
            break
    wanted.click()
    settle(page)


def region_size(page: Page) -> int:
    text = page.locator(".st-key-facts-imaging").inner_text()
    return int(re.search(r"([\d,]+) px", text)[1].replace(",", ""))


def test_a_volume_starts_with_its_segmenter_and_axis_and_takes_a_truth(app: App, page: Page):
    rng = np.random.default_rng(0)
    values = rng.normal(100, 20, (20, 48, 32)).astype(np.float32)
    values[5:15, 12:36, 8:24] += 150
    truth = (values > 180).astype(np.int16)
    go(page, f"{app.url}/imaging?source=upload")
    page.locator("input[type=file]").first.set_input_files(volume(values))
    settle(page)
    main = page.locator(".stMain")
    expect(main).to_contain_text("Area of anterior")  # the hippocampus segmenter's class
    expect(main).to_contain_text("48 x 32 px, seen by the segmenter at 48 x 32")  # a sagittal slice
    choose(page, "im-region", "Whole image")
    assert region_size(page) == 32 * 48  # a slice of 48 x 32, whose sides 16 divides
    page.get_by_role("button", name="Ground truth").click()
    page.locator("input[type=file]").nth(1).set_input_files(volume(truth))
    settle(page)
    page.keyboard.press("Escape")
    choose(page, "im-region", "False negatives")
    expect(main).to_contain_text("Dice of anterior")
    before = main.inner_text()
    page.locator('[class*="st-key-im-slice"] input[type=range]').press("ArrowRight")
    settle(page)
    assert main.inner_text() != before
    expect(main).not_to_contain_text("Something went wrong")


def test_a_dicom_file_shows_no_identifier_and_says_when_the_segmenter_does_not_fit(app: App, page: Page):
    path = pydicom.data.get_testdata_file("CT_small.dcm")
    name = str(pydicom.dcmread(path).PatientName)
    go(page, f"{app.url}/imaging?source=upload")
    page.locator("input[type=file]").first.set_input_files(path)
    settle(page)
    choose(page, "im-region", "Whole image")
    main = page.locator(".stMain")
    expect(main).to_contain_text("The file says CT; this segmenter was made for radiography")
    expect(main).to_contain_text("mm a pixel")
    assert name not in page.content()
    choose(page, "im-eye-", "Lowest to highest value")
    expect(main).to_contain_text("in its full range")


def test_clicks_and_drags_choose_the_region(app: App, page: Page):
    go(page, f"{app.url}/imaging")
    choose(page, "im-region", "Pixel")
    picture = page.frame_locator("iframe").locator("img").first
    picture.wait_for()
    page.wait_for_timeout(500)
    picture.click(position={"x": 30, "y": 40})
    settle(page)
    x = int(page.locator(".st-key-im-x input").input_value())
    width = picture.bounding_box()["width"]
    assert x == pytest.approx(30 / width * 640, abs=4)
    assert region_size(page) == 1
    for _ in range(4):  # whole image, 1.5, 2, 3, 4
        page.locator('[class*="st-key-im-zoom-"] input[type=range]').press("ArrowRight")
        page.wait_for_timeout(300)
    settle(page)
    expect(page.locator(".stMain")).to_contain_text("160 x 128 px around M")
    box = picture.bounding_box()
    left = min(max(x - 80, 0), 480)  # of the window, in the image's pixels
    picture.click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    settle(page)
    zoomed = int(page.locator(".st-key-im-x input").input_value())
    assert zoomed == pytest.approx(left + 40, abs=2)
    page.get_by_role("tab", name="Export").click()
    settle(page)
    page.get_by_role("tab", name="Compare").click()
    settle(page)
    expect(page.locator(".stMain")).to_contain_text("160 x 128 px around M")
    choose(page, "im-region", "Box")
    page.locator('[class*="st-key-im-zoom-"] input[type=range]').press("Home")
    settle(page)
    picture = page.frame_locator("iframe").locator("img").first
    picture.wait_for()
    page.wait_for_timeout(500)
    box = picture.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 80, steps=5)
    page.mouse.up()
    settle(page)
    left, right = (int(page.locator(f".st-key-im-{side} input").input_value()) for side in ("x0", "x1"))
    assert (left, right) == (
        pytest.approx(20 / box["width"] * 640, abs=5),
        pytest.approx(60 / box["width"] * 640, abs=5),
    )


def test_what_was_chosen_outlasts_the_image(app: App, page: Page):
    """A new file takes the controls away for a moment, after which the browser drew them at their defaults."""
    go(page, f"{app.url}/imaging?source=upload")
    files = [ROOT / "assets" / "samples" / name for name in ("ultrasound-2.png", "radiograph-3.png")]
    page.locator("input[type=file]").first.set_input_files(files[0])
    page.wait_for_timeout(1000)
    settle(page)
    choose(page, "im-model-", "Nerve and vessel in ultrasound")
    choose(page, "im-class-", "2 · vessel")
    choose(page, "im-region", "Whole image")
    for file in (files[1], files[0]):
        page.locator("input[type=file]").first.set_input_files(file)
        page.wait_for_timeout(1000)
        settle(page)
        for key, shown in (("im-model-", "Nerve and vessel in ultrasound"), ("im-class-", "2 · vessel")):
            expect(page.locator(f'[class*="st-key-{key}"] input').first).to_have_value(shown)
        expect(page.locator('[class*="st-key-im-region"] input').first).to_have_value("Whole image")
        expect(page.locator(".st-key-facts-imaging")).to_contain_text("Area of vessel")


def test_on_a_narrow_page_the_controls_stand_above_the_pictures(app: App, page: Page):
    boxes = {}
    for width in (1280, 800):
        page.set_viewport_size({"width": width, "height": 900})
        go(page, f"{app.url}/imaging")
        page.wait_for_selector(".st-key-workbench img")
        control, picture = page.locator(".st-key-im-region").first, page.locator(".st-key-workbench img").first
        boxes[width] = control.bounding_box(), picture.bounding_box()
        selects = page.locator(".st-key-workbench [data-testid=stSelectbox]")
        widths = [selects.nth(number).bounding_box()["width"] for number in range(selects.count())]
        assert len(widths) >= 4 and min(widths) >= 140
    (control, picture), (low_control, low_picture) = boxes[1280], boxes[800]
    assert control["x"] + control["width"] < picture["x"]
    assert low_control["y"] + low_control["height"] < low_picture["y"]
    # pictures of one height stand on one line, however their titles wrap
    tops = [page.locator(".st-key-workbench img").nth(number).bounding_box()["y"] for number in range(3)]
    assert max(tops) - min(tops) < 2


def test_panels_and_evidence_are_drawn_and_go_into_the_zip(app: App, page: Page):
    go(page, f"{app.url}/imaging")
    pictures = page.locator(".stMain [data-testid=stImage] img")
    before = pictures.count()
    page.get_by_text("Difference of the two maps").click()
    settle(page)
    page.get_by_text("From HiRes to Grad by a window").click()
    settle(page)
    assert pictures.count() == before + 3  # the difference with its colour bar, the windowed map
    picture = page.get_by_alt_text("Seg-XRes CAM with a window").get_attribute("src")
    page.locator('[class*="st-key-im-window-"] input[type=range]').press("ArrowRight")
    settle(page)
    assert page.get_by_alt_text("Seg-XRes CAM with a window").get_attribute("src") != picture
    page.get_by_role("tab", name="Evidence").click()
    settle(page)
    for name in ("Measure deletion and insertion", "Randomise the weights", "Disturb the image"):
        button = page.get_by_role("button", name=name)
        button.click()
        button.wait_for(state="detached", timeout=120_000)
        settle(page)
    assert page.locator(".stMain .stPlotlyChart").count() == 2
    page.get_by_role("tab", name="Export").click()
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    manifest = json.loads(archive.read("manifest.json"))
    assert set(manifest["evidence"]) == {"deletion_insertion", "randomisation", "stability"}
    assert len(np.load(io.BytesIO(archive.read("maps.npz")))) >= 20
