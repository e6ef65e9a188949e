"""The strip over the tabs: what the image is, what the segmenter found, what is explained."""

import streamlit as st

from core.imaging.ground_truth import dice_by_class
from core.imaging.matching import mismatch
from core.imaging.readers import MedicalImage
from core.wording import part
from pages.shared import layout
from pages.shared.errors import plain
from pages.shared.imaging import pictures
from pages.shared.imaging.case import Case
from pages.shared.imaging.numbers import percent, short


def picture(image: MedicalImage) -> None:
    """Draw the image alone, for when nothing can be explained."""
    with st.container(width=520):
        pictures.show(image.display, "The image as it was read", image.spacing)


def show(case: Case) -> None:
    """Draw the strip."""
    result, image = case.result, case.source.image
    height, width = image.size
    areas = result.segmentation.areas(len(case.segmenter.classes))
    total = max(1, sum(areas))
    pairs = [
        ("Region M, on the grid", f"{result.n_pixels:,} px"),
        ("Score S", short(result.score)),
        ("Mean logit", f"{result.mean_logit:.2f}"),
        ("Mean probability", part(result.mean_probability, 3)),
    ]
    pairs += [
        (f"Area of {name}", percent(area / total, 1))
        for name, area in list(zip(case.segmenter.classes, areas, strict=True))[1:4]
    ]
    truth = case.source.ground_truth(len(case.segmenter.classes))
    if truth is not None and truth.shape == (height, width):
        value = dice_by_class(result.segmentation.mask, truth, case.segmenter.classes)[case.class_name]
        pairs.append((f"Dice of {case.class_name}", "no such pixel" if value is None else part(value, 2)))
    layout.facts(pairs, key="imaging")
    mark = ":material/draw:" if case.source.drawn else ":material/image:"
    grid = "{} x {}".format(*result.geometry.grid_size[::-1])
    words = f"{case.source.label} · {width} x {height} px, seen by the segmenter at {grid}"
    if image.spacing:
        tall, wide = image.spacing
        words += f" · {wide:.3g} x {tall:.3g} mm a pixel"
    notes = " ".join((*image.notes, *result.notes, *case.segmenter.notes))
    with st.container(key="tight-image"):
        if misfit := mismatch(image, case.segmenter.card):
            st.markdown(f":material/warning: **{plain(misfit)}**")
        st.markdown(f":small[:gray[{mark} {plain(words)}.{' ' + plain(notes) if notes else ''}]]")
