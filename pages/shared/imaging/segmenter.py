"""The choice of segmenter: a drawing brings its own, an upload starts with the one that fits its file."""

from pathlib import Path

import streamlit as st

from core.imaging.matching import kind_of, slice_axis, suggest
from core.imaging.readers import MedicalImage
from core.imaging.readers.image import Axis
from core.imaging.segmenters import Segmenter, list_segmenters, read_card
from pages.shared import resources
from pages.shared.errors import plain


def choose(image: MedicalImage, model: str | None) -> Segmenter:
    """Draw the choice; return the segmenter.

    Args:
        image: the chosen image.
        model: the segmenter that a drawing is made for; None for an upload.

    Raises:
        InputError, MissingError: shown by the page.
    """
    folders = list_segmenters()
    names = list(folders)
    first = model if model in names else suggest(image, cards())
    name = st.selectbox(
        "Segmenter",
        names,
        index=names.index(first),
        format_func=_title,
        key=_key(model or f"upload-{first}"),
        persist_state="session",
    )
    made_for = cards().get(name, {}).get("modality")
    if model is None and made_for and kind_of(image) is None:
        st.caption(f"The file does not say what it shows. This segmenter is made for {plain(made_for)}.")
    return resources.segmenter(str(folders[name])).value


def view(image: MedicalImage) -> Axis | None:
    """The axis along which the segmenter of an upload reads volumes, before its choice is drawn; None: the finest."""
    known = cards()
    first = suggest(image, known)
    chosen = st.session_state.get(_key(f"upload-{first}"), first)
    return slice_axis(known.get(chosen, {}))


@st.cache_data(show_spinner=False, ttl=60)
def cards() -> dict[str, dict]:
    """Segmenter -> its card."""
    return {name: read_card(Path(folder)) for name, folder in list_segmenters().items()}


def _key(what: str) -> str:
    return f"im-model-{what}"


def _title(name: str) -> str:
    return str(cards().get(name, {}).get("title") or name)
