"""The parent's side of decode_worker.py: one worker process, restarted when it crashes or takes too long."""

import contextlib
import io
import json
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError

SECONDS = 6.0
"""Longest time for one frame."""
GIGABYTES = 6
"""Address space of the worker (libraries included)."""
_START_SECONDS = 60.0
_WORKER = Path(__file__).with_name("decode_worker.py")
_UNCOMPRESSED = "export it uncompressed (explicit VR little endian)"


class Decoder:
    """Decodes one frame at a time; several threads may share it."""

    def __init__(self, seconds: float = SECONDS):
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, head: dict[str, Any], body: bytes, name: str) -> np.ndarray:
        """Decode a frame.

        Args:
            head: the image pixel module's numbers and ``syntax``, the transfer syntax.
            body: the compressed frame.
            name: of the syntax, for messages.

        Raises:
            InputError: damaged, too slow, too large, or of a kind that no decoder here reads.
        """
        text = json.dumps(head).encode()
        with self._lock:
            process = self._start()
            timer = threading.Timer(self._seconds, process.kill)
            timer.start()
            try:
                assert process.stdin and process.stdout
                process.stdin.write(struct.pack(">QQ", len(text), len(body)) + text + body)
                process.stdin.flush()
                answer = process.stdout.read(9)
                status, length = struct.unpack(">BQ", answer) if len(answer) == 9 else (None, 0)
                array = process.stdout.read(length)
            except OSError:  # the worker died while it was written to
                status, length, array = None, 0, b""
            finally:
                late = not timer.is_alive()
                timer.cancel()
            if status is None or len(array) != length:
                self._stop()
                what = "takes too long to decode" if late else "is damaged"
                raise InputError(f"the DICOM file's compressed picture {what}", _UNCOMPRESSED)
        if status == 3:
            raise InputError(f"DICOM pictures compressed as {name} at this depth are not read", _UNCOMPRESSED)
        if status != 0:
            raise InputError("the DICOM file's compressed picture is damaged", "export it again from the archive")
        return np.lib.format.read_array(io.BytesIO(array), allow_pickle=False)

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        command = [sys.executable, "-P", str(_WORKER), str(GIGABYTES)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = process = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]
        timer = threading.Timer(_START_SECONDS, process.kill)
        timer.start()
        try:
            assert process.stdout
            ready = process.stdout.read(1)
        finally:
            timer.cancel()
        if ready != b"R":
            self._stop()
            raise InputError("the decoder of compressed DICOM pictures does not start", "run `python -m core doctor`")
        return process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    if pipe:
                        pipe.close()
            self._process.wait()
        self._process = None


DECODER = Decoder()
"""The process's decoder; its worker starts with the first compressed frame."""
