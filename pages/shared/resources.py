"""What all sessions share and what is slow to open: datasets, encoders, heads, segmenters.

Each is opened once a process. Models come in a :class:`Shared`, because a model serves one session at a time.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import streamlit as st

from core.errors import InputError, MissingError
from core.settings import get_settings

if TYPE_CHECKING:
    from core.ehr.store import Dataset
    from core.embedding.cache import EmbeddingCache
    from core.embedding.shelf import EncoderShelf, HeldEncoder
    from core.embedding.tokens import TextTokenizer
    from core.imaging.segmenters import Segmenter
    from core.risk.heads import Head

T = TypeVar("T")


class Shared(Generic[T]):
    """A model and the lock that goes with it."""

    def __init__(self, value: T):
        self._value = value
        self._lock = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[T]:
        """Hold the model for the time of the block; wait for whoever holds it.

        Raises:
            MissingError: the model stayed busy for longer than ``CHARTLIGHT_JOB_TIMEOUT_S``.
        """
        if not self._lock.acquire(timeout=get_settings().job_timeout_s):
            raise MissingError("the model is busy with other sessions", "try again in a minute")
        try:
            yield self._value
        finally:
            self._lock.release()

    @property
    def value(self) -> T:
        """The model without the lock, for what does not run it (its name, its card)."""
        return self._value


def dataset_folders() -> dict[str, Path]:
    """Return the folders on offer by the name shown; a link or a widget can name no other."""
    folders: dict[str, Path] = {}
    for path in get_settings().dataset_paths:
        name, number = path.name, 2
        while name in folders:
            name, number = f"{path.name} ({number})", number + 1
        folders[name] = path
    return folders


def dataset(name: str) -> "Dataset":
    """Return the opened dataset of that name."""
    folders = dataset_folders()
    if name not in folders:
        raise InputError("this link names a dataset that is not offered here", "go to Start in the side bar")
    path = folders[name]
    if not path.is_dir():
        raise MissingError(
            f"the dataset folder {path.name} does not exist",
            "run `python -m core demo` for the demo cohort, or name MEDS folders in CHARTLIGHT_DATASETS",
        )
    return _dataset(str(path), path.stat().st_mtime_ns)


@st.cache_resource(show_spinner="Opening the dataset …", max_entries=16)
def _dataset(path: str, changed: int) -> "Dataset":
    from core.ehr.store import open_dataset

    return open_dataset(Path(path))


@st.cache_resource(show_spinner=False)
def shelf() -> "EncoderShelf":
    """Return the encoders that this process holds: those used longest ago give way when memory is short."""
    from core.embedding.shelf import EncoderShelf

    return EncoderShelf()


def encoder(name: str | None = None) -> "HeldEncoder":
    """Return the encoder of that name, the one of the settings by default; loaded now where it is not yet.

    Raises:
        MissingError: its weights are not here, or the memory does not suffice.
        InputError: unknown name, damaged or wrong weights.
    """
    name = name or get_settings().encoder
    if held := shelf().peek(name):
        return held
    with st.spinner("Loading the encoder …", show_time=True):
        return shelf().get(name)


def tokenizer(name: str | None = None) -> "TextTokenizer | None":
    """Return the tokenizer of an encoder without loading the model; None where its weights are not on this machine."""
    from core.embedding.registry import get_spec
    from core.embedding.weights import find_folder, what_is_missing

    spec = get_spec(name or get_settings().encoder)
    return None if spec.remote or what_is_missing(spec) else _tokenizer(str(find_folder(spec)))


@st.cache_resource(show_spinner=False, max_entries=8)
def _tokenizer(folder: str) -> "TextTokenizer":
    from core.embedding.tokens import TextTokenizer

    return TextTokenizer(Path(folder))


@st.cache_resource(show_spinner=False)
def embedding_cache() -> "EmbeddingCache":
    """Return the embedding cache of this installation."""
    from core.embedding.cache import EmbeddingCache

    settings = get_settings()
    settings.cache_path.parent.mkdir(parents=True, exist_ok=True)
    return EmbeddingCache(settings.cache_path, int(settings.cache_gb * 1e9))


def heads(encoder_name: str) -> "dict[str, Head]":
    """Return the risk heads of an encoder by task, read again once their folder has changed."""
    folder = get_settings().heads / encoder_name
    return _heads(str(folder), folder.stat().st_mtime_ns if folder.is_dir() else 0)


@st.cache_resource(show_spinner="Loading the risk heads …", max_entries=8)
def _heads(folder: str, changed: int) -> "dict[str, Head]":
    from core.risk.heads import load_heads

    return load_heads(Path(folder))


def segmenter(folder: str) -> "Shared[Segmenter]":
    """Return the segmenter in ``folder`` (one of ``core.imaging.segmenters.list_segmenters()``).

    It is loaded again once its config, card or weights have changed.
    """
    from core.imaging.segmenters import files_changed

    return _segmenter(folder, files_changed(Path(folder)))


@st.cache_resource(show_spinner="Loading the segmenter …", max_entries=6)
def _segmenter(folder: str, changed: tuple[int, ...]) -> "Shared[Segmenter]":
    from core.imaging.segmenters import load_segmenter

    return Shared(load_segmenter(Path(folder)))
