"""Progress of embedding in tokens, with speed and time left, and the tally of a loaded encoder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from core.progress import Progress


class Usage:
    """What an encoder has computed since it was loaded: tokens, and the seconds that they took."""

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._lock = Lock()

    @property
    def speed(self) -> float | None:
        """Tokens a second; None before the first."""
        return self.tokens / self.seconds if self.seconds else None

    @contextmanager
    def timed(self, tokens: int) -> Iterator[None]:
        """Count ``tokens`` and the time of the block. A block that fails counts nothing."""
        start = time.perf_counter()
        yield
        with self._lock:
            self.seconds += time.perf_counter() - start
            self.tokens += tokens


class Meter:
    """Counts tokens done; the total is estimated from the characters until the last text is tokenised.

    Args:
        characters: of all texts.
        progress: called with (tokens done, tokens in all, "1,234 tokens/s, 5 s left").
    """

    def __init__(self, characters: int, progress: Progress | None):
        self._characters, self._progress = characters, progress
        self._tokens = self._seen = 0
        self._start = time.monotonic()

    def add(self, tokens: int, characters: int) -> None:
        """Note texts of that many tokens and characters as done."""
        self._tokens += tokens
        self._seen += characters
        if self._progress:
            total = round(self._tokens * self._characters / max(1, self._seen))
            speed = self._tokens / max(1e-9, time.monotonic() - self._start)
            note = f"{speed:,.0f} tokens/s, {(total - self._tokens) / speed:,.0f} s left"
            self._progress(self._tokens, total, note)
