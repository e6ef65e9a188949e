"""Results that are kept: segmentations, maps, evidence. A key names the image by the hash of its bytes.

Streamlit's own cache looks at a sample of a large array and would hand one image's map to another; here no array is
ever part of a key.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

import streamlit as st

from core.progress import Progress
from pages.shared import queue

T = TypeVar("T")
LIMIT, LIMIT_OF_A_SESSION = 64, 24


class Results:
    """The last results by key; they are read only."""

    def __init__(self, limit: int):
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._making = [threading.Lock() for _ in range(16)]

    def get(self, key: Hashable) -> object | None:
        """Return the result of a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def making(self, key: Hashable) -> threading.Lock:
        """Return the lock to hold while the result of a key is made: the same for the same key."""
        return self._making[hash(key) % len(self._making)]

    def put(self, key: Hashable, value: object) -> None:
        """Keep a result; the one that was not asked for the longest goes."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)


def kept(shared: bool) -> Results:
    """Return where results are kept: of a drawing of ours for all sessions, of an upload as long as its session."""
    return _of_all() if shared else _of_session()


@st.cache_resource(show_spinner=False)
def _of_all() -> Results:
    return Results(LIMIT)


@st.cache_resource(show_spinner=False, scope="session")
def _of_session() -> Results:
    return Results(LIMIT_OF_A_SESSION)


def computed(key: Hashable, name: str, work: Callable[[Progress], T], shared: bool) -> T:
    """Return the kept result of ``key``, or make it in the queue.

    Args:
        key: hash of the image and all settings that the result depends on.
        name: what the work is, as the user would say it.
        work: makes the result; it runs in another thread and must not call Streamlit.
        shared: the image is a drawing of ours, see :func:`kept`.
    """
    results = kept(shared)

    def work_once(progress: Progress) -> T:
        """Do the work unless another session had it done while this one stood in line."""
        with results.making(key):
            found = results.get(key)
            if found is None:
                found = work(progress)
                results.put(key, found)
            return found  # type: ignore[return-value]

    found = results.get(key)
    return queue.run(name, work_once) if found is None else found  # type: ignore[return-value]
