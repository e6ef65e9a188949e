import sys
import threading

import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame

from core.errors import InputError
from core.imaging.readers import decoding
from core.imaging.readers.codestream import declared_size
from core.imaging.readers.decoding import Decoder
from core.imaging.readers.dicom_frames import pixel_module
from tests.core.imaging.readers.dicom_files import BUNDLED


def frame(name: str) -> tuple[dict, bytes]:
    dataset = pydicom.dcmread(BUNDLED / name)
    body = get_frame(dataset.PixelData, 0, number_of_frames=1)
    return pixel_module(dataset) | {"NumberOfFrames": 1, "syntax": str(dataset.file_meta.TransferSyntaxUID)}, body


@pytest.fixture(scope="module")
def decoder():
    decoder = Decoder()
    yield decoder
    decoder._stop()


def test_one_worker_serves_many_frames_and_threads(decoder):
    head, body = frame("MR_small_jp2klossless.dcm")
    expected = pydicom.dcmread(BUNDLED / "MR_small.dcm").pixel_array
    results = []
    threads = [threading.Thread(target=lambda: results.append(decoder.decode(head, body, ""))) for _ in range(8)]
    decoder.decode(head, body, "")
    worker = decoder._process.pid
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(np.array_equal(result, expected) for result in results)
    assert decoder._process.pid == worker


def test_a_damaged_frame_is_said_and_the_worker_goes_on(decoder):
    head, body = frame("MR_small_jp2klossless.dcm")
    with pytest.raises(InputError, match="damaged"):
        decoder.decode(head, body[:100], "")
    assert decoder.decode(head, body, "").shape == (64, 64)


def fake_worker(tmp_path, monkeypatch, lines: str) -> Decoder:
    path = tmp_path / "worker.py"
    path.write_text(f"import os, sys, time\nsys.stdout.buffer.write(b'R')\nsys.stdout.flush()\n{lines}\n")
    monkeypatch.setattr(decoding, "_WORKER", path)
    return Decoder(seconds=0.5)


def test_a_worker_that_crashes_is_an_error_and_is_replaced(tmp_path, monkeypatch):
    decoder = fake_worker(tmp_path, monkeypatch, "sys.stdin.buffer.read(20); os._exit(139)")
    head, body = frame("MR_small_jp2klossless.dcm")
    for _ in range(2):
        with pytest.raises(InputError, match="damaged"):
            decoder.decode(head, body, "")
    monkeypatch.undo()
    assert decoder.decode(head, body, "").shape == (64, 64)
    decoder._stop()


def test_a_worker_that_hangs_is_stopped(tmp_path, monkeypatch):
    decoder = fake_worker(tmp_path, monkeypatch, "sys.stdin.buffer.read(20); time.sleep(600)")
    with pytest.raises(InputError, match="too long"):
        decoder.decode(*frame("MR_small_jp2klossless.dcm"), "")
    assert decoder._process is None


def test_a_worker_that_does_not_start(tmp_path, monkeypatch):
    path = tmp_path / "worker.py"
    path.write_text("raise SystemExit(1)")
    monkeypatch.setattr(decoding, "_WORKER", path)
    with pytest.raises(InputError, match="does not start"):
        Decoder().decode(*frame("MR_small_jp2klossless.dcm"), "")


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits are Linux's")
def test_the_workers_memory_is_bounded(decoder):
    head, body = frame("MR_small_jp2klossless.dcm")
    decoder.decode(head, body, "")
    limits = (f"/proc/{decoder._process.pid}/limits",)
    with open(limits[0]) as file:
        line = next(line for line in file if line.startswith("Max address space"))
    assert int(line.split()[3]) == decoding.GIGABYTES << 30


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("MR_small_jp2klossless.dcm", (64, 64)),
        ("MR_small_jpeg_ls_lossless.dcm", (64, 64)),
        ("SC_rgb_jpeg_gdcm.dcm", (100, 100)),
        ("SC_rgb_jpeg_dcmtk.dcm", (100, 100)),
        ("JPEG2000.dcm", (1024, 256)),
    ],
)
def test_declared_sizes_of_codestreams(name, size):
    assert declared_size(frame(name)[1]) == size


def test_no_size_is_none():
    for body in (b"", b"\xff\xd8", b"\xff\xd8\xff\xda\x00\x08", b"\xff\x4f\xff\x51", bytes(100)):
        assert declared_size(body) is None
