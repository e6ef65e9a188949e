"""core.progress on a page: a bar that says what is done and how much is left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.progress import Progress

_SECONDS_BETWEEN_DRAWINGS = 0.15


@contextmanager
def bar(text: str) -> Iterator[Progress]:
    """Yield a progress callback that draws a bar under ``text``; the bar goes when the work is done."""
    slot = st.empty()
    slot.progress(0.0, text=text)
    drawn = 0.0

    def show(done: int, total: int, note: str = "") -> None:
        nonlocal drawn
        now = time.monotonic()
        if now - drawn < _SECONDS_BETWEEN_DRAWINGS and done != total:
            return
        drawn = now
        count = f"{done:,} of {total:,}" if total else f"{done:,}"
        slot.progress(min(done / total, 1.0) if total else 0.0, text=f"{text} · {count}{f' · {note}' if note else ''}")

    try:
        yield show
    finally:
        slot.empty()
