"""The region M: a click or a drag on the image, or the same in numbers."""

import numpy as np
import streamlit as st
from scipy import ndimage
from streamlit_image_coordinates import streamlit_image_coordinates

from core.imaging.regions import MEANING, Region
from core.imaging.views import View
from pages.shared.imaging import pictures
from pages.shared.imaging.source import Source

NAMES = {
    "mask": "Class mask",
    "component": "Connected part",
    "pixel": "Pixel",
    "box": "Box",
    "image": "Whole image",
    "uncertain": "Uncertain pixels",
    "false_positives": "False positives",
    "false_negatives": "False negatives",
}
POINTS = ("component", "pixel")
PLACED = (*POINTS, "box")
_SEEN, _VIEW = "_im_click", "_im_view"


def kind_so_far() -> str:
    """The kind that :func:`choose` will show unless the image rules it out."""
    return st.session_state.get("im-region", "mask")


def choose(source: Source, mask: np.ndarray, class_index: int, n_classes: int) -> Region:
    """Draw the region's controls; return the region.

    Args:
        source: the image.
        mask: (h, w) class index of each pixel, for a first point.
        class_index: the class to explain.
        n_classes: number of classes.

    Raises:
        InputError: the uploaded ground truth is no mask of these classes.
    """
    height, width = source.image.size
    truth = source.ground_truth(n_classes)
    kinds = [kind for kind in NAMES if truth is not None or not kind.startswith("false_")]
    if st.session_state.get("im-region") not in kinds:
        st.session_state["im-region"] = "mask"
    kind = st.selectbox("Region M to explain", kinds, format_func=NAMES.get, key="im-region", persist_state="session")
    st.caption(f"{MEANING[kind][:1].upper()}{MEANING[kind][1:]}.")
    if kind in PLACED:
        _begin(source, mask, class_index)
        _take_click(kind, height, width)
    if kind in POINTS:
        with st.container(horizontal=True, gap="small"):
            x = st.number_input("x", 0, width - 1, key="im-x", persist_state="session")
            y = st.number_input("y", 0, height - 1, key="im-y", persist_state="session")
        return Region(kind, point=(int(x), int(y)))
    if kind == "box":
        with st.container(horizontal=True, gap="small"):
            x0 = st.number_input("Left", 0, width, key="im-x0", persist_state="session")
            x1 = st.number_input("Right", 0, width, key="im-x1", persist_state="session")
        with st.container(horizontal=True, gap="small"):
            y0 = st.number_input("Top", 0, height, key="im-y0", persist_state="session")
            y1 = st.number_input("Bottom", 0, height, key="im-y1", persist_state="session")
        return Region("box", box=(int(x0), int(y0), int(x1), int(y1)))
    return Region(kind, ground_truth=truth if kind.startswith("false_") else None)


def hint(kind: str) -> str:
    """Say what a picture of the region takes, or else what it shows."""
    return "drag a box" if kind == "box" else "click a point" if kind in POINTS else "M outlined"


def picture(
    image: np.ndarray,
    outline: np.ndarray,
    view: View,
    spacing: tuple[float, float] | None,
    kind: str,
    alt: str,
) -> None:
    """Draw the view of an image (h, w, 3), enlarged; for regions with coordinates it takes clicks or drags."""
    shown = pictures.outlined(view.crop(image), outline, spacing, view=view)
    st.session_state[_VIEW] = view
    if kind not in PLACED:
        st.image(shown, width="stretch", alt=alt)
        return
    streamlit_image_coordinates(
        shown,
        key=f"im-click-{kind}",
        width="stretch",
        click_and_drag=kind == "box",
        cursor="crosshair",
        png_compression_level=1,
    )


def _begin(source: Source, mask: np.ndarray, class_index: int) -> None:
    """Set a first point and box for a new image or class: the middle of the class's largest part."""
    mark = (source.key, class_index)
    if st.session_state.get("_im_region_of") == mark:
        return
    height, width = source.image.size
    labels, count = ndimage.label(mask == class_index)
    x, y = width // 2, height // 2
    x0, y0, x1, y1 = (
        width // 4,
        height // 4,
        max(width // 4 + 1, 3 * width // 4),
        max(height // 4 + 1, 3 * height // 4),
    )
    if count:
        largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        depth = ndimage.distance_transform_edt(np.pad(largest, 1))[1:-1, 1:-1]
        y, x = (int(value) for value in np.unravel_index(int(depth.argmax()), depth.shape))
        rows, columns = np.flatnonzero(largest.any(axis=1)), np.flatnonzero(largest.any(axis=0))
        x0, x1, y0, y1 = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int((rows[0] + rows[-1]) // 2) + 1
    st.session_state.update({"im-x": x, "im-y": y, "im-x0": x0, "im-x1": x1, "im-y0": y0, "im-y1": y1})
    st.session_state["_im_region_of"] = mark


def _take_click(kind: str, height: int, width: int) -> None:
    """Put a new click into the numbers before they are drawn; an old one stays where the user has left them."""
    value = st.session_state.get(f"im-click-{kind}")
    if not isinstance(value, dict) or value.get("unix_time") == st.session_state.get(_SEEN):
        return
    st.session_state[_SEEN] = value.get("unix_time")
    try:
        numbers = clicked(value, st.session_state.get(_VIEW) or View(0, height, 0, width))
    except (KeyError, TypeError, ZeroDivisionError):
        return
    st.session_state.update(numbers)


def clicked(value: dict, view: View) -> dict[str, int]:
    """The numbers that a click or drag on a view stands for, in the image's pixels: scaled back, ordered, inside."""
    height, width = view.size
    across, down = width / value["width"], height / value["height"]
    if "x1" not in value:
        return {
            "im-x": view.left + min(max(int(value["x"] * across), 0), width - 1),
            "im-y": view.top + min(max(int(value["y"] * down), 0), height - 1),
        }
    x0, x1 = sorted(view.left + min(max(int(value[key] * across), 0), width) for key in ("x1", "x2"))
    y0, y1 = sorted(view.top + min(max(int(value[key] * down), 0), height) for key in ("y1", "y2"))
    return {"im-x0": x0, "im-x1": max(x1, x0 + 1), "im-y0": y0, "im-y1": max(y1, y0 + 1)}
