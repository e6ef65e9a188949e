"""Two browsers at the same time: each sees its own upload and its own patient, never the other's."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.privacy import load_key, pseudonym
from core.settings import Settings
from tests.conftest import watch
from tests.core.imaging.nets import save_folder, small_unet
from tests.e2e.app_process import STEP_SECONDS, go, running, settle

CARD = "title: Test\nclasses: [background, left, right]\npreprocessing: {channels: 3, resize: stretch, size: 128}\n"
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("sessions")
    generate_demo(folder / "demo", subjects=20, seed=9)
    save_folder(folder / "models" / "tiny", small_unet(), card=CARD)
    return folder


@pytest.fixture(scope="module")
def url(browser: Browser, home):
    with running(home, home / "demo", CHARTLIGHT_MODELS=str(home / "models")) as address:
        yield address


@pytest.fixture
def two(browser: Browser):
    """Two people, each with cookies of their own."""
    contexts = [browser.new_context(viewport={"width": 1280, "height": 800}) for _ in range(2)]
    elsewhere = [watch(context) for context in contexts]
    for context in contexts:
        context.set_default_timeout(STEP_SECONDS * 1000)
    yield [context.new_page() for context in contexts]
    for context in contexts:
        context.close()
    assert elsewhere == [[], []]


def pictures() -> list[bytes]:
    """Two pictures of 1024 x 1024 that differ in four pixels."""
    draw = np.random.default_rng(2)
    base = draw.integers(0, 255, (1024, 1024)).astype(np.uint8)
    spot = base.copy()
    spot[500:502, 700:702] = 255 - spot[500:502, 700:702]
    files = []
    for pixels in (base, spot):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        files.append(file.getvalue())
    return files


LEGEND = ("Colour bar", "The colour of")
"""How the words for pictures begin that have nothing of the image in them."""


def test_uploads_at_the_same_time_do_not_cross(url: str, two: list[Page]):
    files = pictures()
    names = [hashlib.sha256(data).hexdigest()[:8] for data in files]
    for page in two:
        go(page, f"{url}/imaging?source=upload")
    for page, data in zip(two, files, strict=True):  # without waiting for the first
        page.locator("input[type=file]").first.set_input_files(
            {"name": "same-name.png", "mimeType": "image/png", "buffer": data}
        )
    for page, own, other in zip(two, names, reversed(names), strict=True):
        settle(page)
        expect(page.locator(".stMain").get_by_text(own).first).to_be_visible()
        expect(page.get_by_text("Seg-HiRes-Grad CAM").first).to_be_visible()
        expect(page.get_by_text(other)).to_have_count(0)
        expect(page.get_by_text("same-name")).to_have_count(1)  # the widget's own line
    sources = [
        {
            image.get_attribute("src")
            for image in page.locator(".stMain [data-testid=stImage] img").all()
            if not (image.get_attribute("alt") or "").startswith(LEGEND)
        }
        for page in two
    ]
    assert len(sources[0] - sources[1]) >= 3  # the segmentation and the two maps
    assert len(sources[1] - sources[0]) >= 3
    assert not sources[0] & sources[1]


def test_two_people_with_two_patients(url: str, home, two: list[Page]):
    key = load_key(Settings(_env_file=None, home=home))
    subjects = [int(subject) for subject in open_dataset(home / "demo").index.subject_ids][:2]
    names = [pseudonym(subject, key) for subject in subjects]
    for address in ("patients", "risk", "patients"):
        for page, subject in zip(two, subjects, strict=True):
            page.goto(f"{url}/{address}?subject={subject}")
        for page, own, other in zip(two, names, reversed(names), strict=True):
            settle(page)
            expect(page.locator(f"h2:has-text('{own}')")).to_be_visible()
            expect(page.get_by_text(other)).to_have_count(0)
