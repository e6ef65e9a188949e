"""Red team: forged uploads on the Imaging page, and two sessions whose pictures nearly agree."""

import gzip
import hashlib
import io
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.imaging import segmenters
from core.settings import get_settings
from pages.shared.imaging import results
from tests.core.imaging.nets import save_folder, small_unet
from tests.pages.conftest import ROOT, TIMEOUT, shown

CARD = "title: Test\nclasses: [background, left, right]\npreprocessing: {channels: 3, resize: native}\n"


@pytest.fixture
def open_uploads(open_page, tmp_path, monkeypatch):
    """Return a function that opens the page, ready for an upload, with one tiny random segmenter."""
    monkeypatch.setattr(segmenters, "SHIPPED_MODELS", tmp_path / "none")
    save_folder(tmp_path / "models" / "tiny", small_unet(), card=CARD)
    return lambda: open_page("pages/imaging.py", query={"source": "upload"}, models=tmp_path / "models")


def picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def noise(side: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)


def png_of_size(width: int, height: int) -> bytes:
    """A few bytes of PNG that declare any number of pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def zipped(size: int = 40_000_000) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"\0" * size)
    return file.getvalue()


SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.evil=1'><script>window.evil=1</script></svg>"
FORGED = {
    "text named .png": (b"just words\n" * 40, "x.png"),
    "program named .png": (b"MZ\x90\x00" + b"\0" * 400, "x.png"),
    "ELF named .dcm": (b"\x7fELF" + b"\1" * 400, "x.dcm"),
    "zip bomb named .png": (zipped(), "x.png"),
    "gzip bomb named .nii.gz": (gzip.compress(b"\0" * 40_000_000), "x.nii.gz"),
    "SVG with script": (SCRIPT, "x.png"),
    "page named .jpg": (b"<html><script>window.evil=1</script></html>", "x.jpg"),
    "GIF and script at once": (b"GIF89a/*" + b"\0" * 60 + b"*/=1;window.evil=1", "x.png"),
    "pickle named .tif": (pickle.dumps({"a": 1}), "x.tif"),
    "picture of 60,000 x 60,000": (png_of_size(60_000, 60_000), "x.png"),
    "picture of 2 billion x 1": (png_of_size(2**31 - 1, 1), "x.png"),
    "picture without pixels": (png_of_size(0, 0), "x.png"),
    "half a picture": (picture(noise())[:200], "x.png"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run\n", "x.tif"),
    "DICOM of nothing": (b"\0" * 128 + b"DICM" + b"\xff" * 500, "x.dcm"),
}
NAMES = [
    "../../../etc/passwd.png",
    '"><img src=x onerror=alert(1)>.png',
    ":red[x] ![i](www.evil.example).png",
    "Doe_J.png",
]


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_upload_is_one_sentence(open_uploads, what):
    data, name = FORGED[what]
    app = open_uploads()
    app.get("file_uploader")[0].set_value((name, data, "image/png")).run()
    text = shown(app)
    assert not app.exception
    assert "Something went wrong" not in text
    assert ":material/error:" in text
    assert "evil" not in text
    assert not app.get("tab")


def test_a_program_is_not_even_taken(open_uploads):
    app = open_uploads()
    app.get("file_uploader")[0].set_value(("x.exe", b"MZ" * 99, "application/x-msdownload")).run()
    assert "Seg-HiRes-Grad CAM" not in shown(app)
    assert not app.get("tab")


def test_of_a_picture_that_is_also_something_else_only_the_pixels_are_used(open_uploads):
    """A JPEG with a page and an archive behind it: shown as a picture, and none of the rest is in what is sent on."""
    data = picture(noise(), "JPEG") + SCRIPT + zipped(1000)
    app = open_uploads()
    app.get("file_uploader")[0].set_value(("x.jpg", data, "image/jpeg")).run()
    text = shown(app)
    assert "Seg-HiRes-Grad CAM" in text
    assert "evil" not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_is_never_shown_nor_kept(open_uploads, tmp_path, name):
    app = open_uploads()
    app.get("file_uploader")[0].set_value((name, picture(noise()), "image/png")).run()
    text = shown(app)
    assert "Seg-HiRes-Grad CAM" in text
    for part in ("passwd", "onerror", "evil", "Doe"):
        assert part not in text
        assert part not in get_settings().audit_path.read_text()
    assert not any("passwd" in str(path) or "Doe" in str(path) for path in tmp_path.rglob("*"))


@pytest.mark.slow
def test_pictures_that_differ_in_four_pixels_are_two_pictures(open_uploads, monkeypatch):
    """Streamlit hashes a sample of a large array and would hand one session the other's map."""
    kept = results.Results(limit=9)
    monkeypatch.setattr(results, "kept", lambda shared: kept)
    one = np.random.default_rng(1).integers(0, 255, (1024, 1024, 3)).astype(np.uint8)
    two = one.copy()
    two[500:502, 700:702] = 255 - two[500:502, 700:702]
    files = [picture(one), picture(two)]
    first = open_uploads()
    # a second session of the same process: the caches are shared, the session's state is not
    second = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    second.run()
    second.query_params["source"] = "upload"
    second.switch_page("pages/imaging.py").run()
    for app, data in zip((first, second), files, strict=True):
        app.get("file_uploader")[0].set_value(("x.png", data, "image/png")).run(timeout=120)
    texts = [shown(app) for app in (first, second)]
    hashes = [hashlib.sha256(data).hexdigest()[:8] for data in files]
    assert hashes[0] in texts[0]
    assert hashes[1] not in texts[0]
    assert hashes[1] in texts[1]
    assert hashes[0] not in texts[1]
    maps = {key[1][0]: value for key, value in kept._kept.items() if key[0] == "maps"}
    assert {digest[:8] for digest in maps} == set(hashes)
    ours, theirs = maps.values()
    layer = list(ours.maps)[-1]
    assert np.any(ours.maps[layer].seg_hires_grad != theirs.maps[layer].seg_hires_grad)
