"""The window for the eye: which intensities of an upload are seen, and how bright."""

import numpy as np
import streamlit as st

from core.imaging.readers import MedicalImage
from core.imaging.readers.image import CT_WINDOWS, Window

WINDOWS = {"": "As the file says", "percentile": "0.5th to 99.5th percentile", "full": "Lowest to highest value"}
OWN = "own"


def choose(image: MedicalImage) -> Window:
    """Draw the choice of the intensities that the eye sees; return it as the reader takes it."""
    of = image.sha256[:12]  # another image begins as its file says
    windows = {**WINDOWS, **{f"preset {index}": name for index, name in enumerate(image.available.windows)}}
    if image.modality == "CT":
        windows |= {name: f"CT {name}, {centre:g} and {width:g} HU" for name, (centre, width) in CT_WINDOWS.items()}
    windows[OWN] = "Centre and width of your own"
    window = st.selectbox(
        "Window for the eye",
        list(windows),
        format_func=windows.get,
        key=f"im-eye-{of}",
        help="It changes what you see. What the segmenter gets follows its card.",
        persist_state="session",
    )
    if window != OWN:
        return window or None
    low, high = _range(image.sha256, _pixels=image.pixels)
    step = float(f"{max(high - low, 1e-6) / 50:.1g}")
    with st.container(horizontal=True, gap="small"):
        centre, width = (
            st.number_input(
                name,
                value=float(f"{start:.3g}"),
                min_value=least,
                step=step,
                format="%g",
                key=f"im-eye-{name.lower()}-{of}",
                persist_state="session",
            )
            for name, start, least in (
                ("Centre", (low + high) / 2, None),
                ("Width", max(high - low, step), step / 100),
            )
        )
    return float(centre), float(width)


@st.cache_data(show_spinner=False, max_entries=24)
def _range(sha256: str, _pixels: np.ndarray) -> tuple[float, float]:
    """The 0.5th and the 99.5th percentile; a large picture takes a second."""
    low, high = np.percentile(_pixels, [0.5, 99.5])
    return float(low), float(high)
