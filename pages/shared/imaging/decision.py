"""The left picture: what the segmenter says of each pixel (classes, probability of the class, or uncertainty)."""

from dataclasses import replace

import numpy as np
import streamlit as st
import torch
from matplotlib.colors import to_rgb

from core.imaging.display import DisplayedMap, DisplayOptions
from core.imaging.overlay import color_classes, overlay
from core.imaging.palettes import color_stops
from core.imaging.probability import class_probability, entropy
from pages.shared import charts
from pages.shared.errors import plain
from pages.shared.imaging import pictures
from pages.shared.imaging.case import Case

NAMES = {"classes": "Classes", "probability": "Probability", "uncertainty": "Uncertainty"}
PALETTE = "viridis"
MOST_NAMED = 4
"""Classes that the legend has room for."""


def choose() -> str:
    """Draw the choice of the left picture; return it."""
    with st.container(width=150, key="tight-decision"):
        return st.selectbox(
            "Left picture",
            list(NAMES),
            format_func=NAMES.get,
            key="im-decision",
            help="Classes: the largest logit. Probability: of the explained class. Uncertainty: the entropy of all "
            "classes' probabilities, 0 where one is certain, 1 where all are even. Both are the network's own "
            "numbers, and networks are mostly too sure of themselves.",
            persist_state="session",
        )


def title(case: Case, what: str) -> str:
    """Name the picture."""
    names = NAMES | {"classes": "Segmentation", "probability": f"Probability of {case.class_name}"}
    return names[what]


def legend(case: Case, what: str) -> None:
    """Draw what the picture's colours mean: a patch and a name for each class that the image has, or a colour bar."""
    if what != "classes":
        pictures.colour_bar(color_stops(PALETTE), "0", "1", NAMES[what].lower(), width=480)
        return
    names, areas = case.segmenter.classes, case.result.segmentation.areas(len(case.segmenter.classes))
    there = [index for index, area in enumerate(areas) if area and index]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-classes"):
        for index in there[:MOST_NAMED]:
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", width="content"):
                st.image(_patch(case.segmenter.colours[index]), width=14, alt=f"The colour of {names[index]}")
                st.markdown(f":small[{plain(names[index])}]", width="content")
        if len(there) > MOST_NAMED:
            st.markdown(f":small[:gray[and {len(there) - MOST_NAMED} more]]", width="content")


def picture(case: Case, what: str, chosen: DisplayOptions) -> np.ndarray:
    """The image with what the segmenter says of it, uint8 (h, w, 3)."""
    found, image = case.result.segmentation, case.source.image.display
    if what == "classes":
        return color_classes(found.mask, case.segmenter.colours[1:], image)
    values = class_probability(found.logits, case.class_index) if what == "probability" else entropy(found.logits)
    shown = found.geometry.to_image(torch.from_numpy(values)).numpy()
    item = DisplayedMap(shown, 1.0, float(values.max()), float(values.min()), ())
    return overlay(image, item, replace(chosen, signed=False, palette=PALETTE))


def alt(case: Case, what: str) -> str:
    """Say in words what the picture shows."""
    seen = {
        "classes": "each class in its colour",
        "probability": f"the probability of {case.class_name}",
        "uncertainty": "the segmenter's uncertainty",
    }
    return f"The image with {seen[what]} and the outline of the region"


def _patch(colour: np.ndarray, side: int = 56) -> np.ndarray:
    """A disc of a colour, uint8 (side, side, 4), with an edge that any background shows."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(x, y)
    inside = np.clip(side / 2 - 1 - radius, 0, 1)
    edge = np.clip(radius - (side / 2 - 7), 0, 1)[..., None]
    mixed = (1 - edge) * colour + edge * np.array(to_rgb(charts.SLATE)) * 255
    return np.rint(np.concatenate([mixed, 255 * inside[..., None]], axis=2)).astype(np.uint8)
