"""The encoders that a process holds: each loaded once, with a lock of its own, put away when memory is short.

A server with several users chooses one encoder after the other. What was loaded stays, because loading takes long;
only when the next one does not fit into what is free are others dropped, the one used longest ago first. Whoever has
an encoder in hand keeps it to the end of the work: dropping takes the shelf's reference away, not the model.
"""

import ctypes
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from core.embedding.devices import device_of
from core.embedding.encoders import load_encoder
from core.embedding.memory import MemoryCheck, check_memory, too_large
from core.embedding.registry import EncoderSpec, get_spec
from core.errors import MissingError
from core.settings import get_settings


class HeldEncoder:
    """A loaded encoder and its lock.

    Attributes:
        spec: its registry entry.
        loaded_at: when it was loaded, UTC.
        seconds: how long that took.
        used_at: monotonic time of the last use.
    """

    def __init__(self, spec: EncoderSpec, encoder: Any, seconds: float):
        self.spec, self.seconds = spec, seconds
        self.loaded_at = datetime.now(UTC)
        self.used_at = time.monotonic()
        self._encoder = encoder
        self._lock = threading.Lock()
        self._users = 0
        self._counting = threading.Lock()

    @contextmanager
    def use(self, timeout_s: float | None = None) -> Iterator[Any]:
        """Hold the encoder for the time of the block; wait for whoever holds it, unless several can compute at once.

        Raises MissingError when it stays busy for longer than ``timeout_s`` (CHARTLIGHT_JOB_TIMEOUT_S).
        """
        alone = not self._concurrent
        if alone and not self._lock.acquire(timeout=get_settings().job_timeout_s if timeout_s is None else timeout_s):
            raise MissingError("the model is busy with other sessions", "try again in a minute")
        try:
            self._count(1)
            yield self._encoder
        finally:
            self._count(-1)
            if alone:
                self._lock.release()

    @property
    def _concurrent(self) -> bool:
        return not self.spec.remote and self._encoder.backend.concurrent

    def _count(self, change: int) -> None:
        with self._counting:
            self._users += change
            self.used_at = time.monotonic()

    @property
    def value(self) -> Any:
        """The encoder without the lock, for what does not run it (its name, its tokenizer)."""
        return self._encoder

    @property
    def busy(self) -> bool:
        """Whether a session computes with it now."""
        return self._users > 0

    @property
    def device(self) -> str:
        """Where it computes: ``cpu``, ``cuda:0``, ``server``."""
        return "server" if self.spec.remote else self._encoder.backend.device

    @property
    def precision(self) -> str:
        """Number format that it computes in."""
        return "the server's" if self.spec.remote else self._encoder.backend.precision

    @property
    def backend(self) -> str:
        """What runs it: ``torch``, ``onnxruntime`` or ``server``."""
        return "server" if self.spec.remote else self._encoder.backend.name

    @property
    def memory(self) -> int:
        """Bytes that its weights take on this machine."""
        return 0 if self.spec.remote else self._encoder.backend.memory

    @property
    def tokens(self) -> int:
        """Tokens computed since it was loaded."""
        return self._encoder.usage.tokens

    @property
    def tokens_per_second(self) -> float | None:
        """Throughput over all that it computed; None before the first batch."""
        return self._encoder.usage.speed


class EncoderShelf:
    """Holds the loaded encoders of a process. Safe for several threads.

    Args:
        load: loads a registry entry, ``load_encoder`` by default.
    """

    def __init__(self, load: Callable[..., Any] = load_encoder):
        self._load = load
        self._held: dict[str, HeldEncoder] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()  # one at a time: two would both count on the same free memory

    def peek(self, name: str) -> HeldEncoder | None:
        """The encoder of that name where it is loaded as the registry has it now, else None."""
        spec = get_spec(name)
        with self._lock:
            held = self._held.get(spec.name)
            return held if held is not None and held.spec == spec else None

    def get(self, name: str) -> HeldEncoder:
        """The encoder of that name, loaded now where it is not here; others give way where memory is short.

        Raises:
            MissingError: its weights are not here, or it does not fit even when nothing else is held.
            InputError: unknown name, damaged or wrong weights.
        """
        if held := self.peek(name):
            return held
        if not self._loading.acquire(timeout=get_settings().job_timeout_s):
            raise MissingError("another encoder is still being loaded", "try again in a minute")
        try:
            if held := self.peek(name):  # another session loaded it meanwhile
                return held
            spec = get_spec(name)
            self.put_away(spec.name)  # an older entry of the same name
            self._make_room(spec)
            start = time.monotonic()
            held = HeldEncoder(spec, self._load(spec=spec), time.monotonic() - start)
            with self._lock:
                self._held[spec.name] = held
            return held
        finally:
            self._loading.release()

    def held(self) -> list[HeldEncoder]:
        """What is loaded, the last used first."""
        with self._lock:
            return sorted(self._held.values(), key=lambda held: -held.used_at)

    def check(self, spec: EncoderSpec) -> MemoryCheck:
        """Memory that an encoder needs, and what is free for it once idle encoders give way."""
        device = device_of()
        found = check_memory(spec, device)
        if found.free is None:
            return found
        return MemoryCheck(found.needed, found.free + sum(held.memory for held in self._idle(device)))

    def put_away(self, name: str) -> bool:
        """Drop an encoder; return whether it was here. Its memory comes back when its last user is done."""
        with self._lock:
            held = self._held.pop(name, None)
        if held is None:
            return False
        device = held.device
        del held
        _give_back(device)
        return True

    def _idle(self, device: str) -> list[HeldEncoder]:
        kind = device.split(":")[0]
        return [h for h in reversed(self.held()) if not h.busy and h.memory and h.device.split(":")[0] == kind]

    def _make_room(self, spec: EncoderSpec) -> None:
        if spec.remote:
            return
        device = device_of()
        if not check_memory(spec, device).fits:
            _give_back(device)  # what an allocator keeps for later counts as taken
        if self.check(spec).fits:  # else nothing is dropped: it would not help
            for name in [held.spec.name for held in self._idle(device)]:
                if check_memory(spec, device).fits:
                    break
                self.put_away(name)
        last = check_memory(spec, device)
        if not last.fits:
            raise too_large(spec, last, device, [held.spec.name for held in self.held() if held.busy])


def _give_back(device: str) -> None:
    """Return freed memory to the device, so that the next look sees it as free."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
    elif device == "cpu":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
