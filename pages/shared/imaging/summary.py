"""The strip over the tabs: what the image is, what the segmenter found, what is explained."""

import streamlit as st

from pages.shared import layout
from pages.shared.errors import plain
from pages.shared.imaging.case import Case
from pages.shared.imaging.numbers import short


def show(case: Case) -> None:
    """Draw the strip."""
    result, image = case.result, case.source.image
    height, width = image.size
    areas = result.segmentation.areas(len(case.segmenter.classes))
    total = max(1, sum(areas))
    pairs = [
        ("Region M", f"{result.n_pixels:,} px of the network's grid"),
        ("Score S", short(result.score)),
        ("Mean logit", f"{result.mean_logit:.2f}"),
        ("Mean probability", f"{result.mean_probability:.3f}"),
    ]
    pairs += [
        (f"Area of {name}", f"{100 * area / total:.1f} %")
        for name, area in list(zip(case.segmenter.classes, areas, strict=True))[1:4]
    ]
    layout.facts(pairs, key="imaging")
    mark = ":material/draw:" if case.source.drawn else ":material/image:"
    grid = "{} x {}".format(*result.geometry.grid_size[::-1])
    words = f"{case.source.label} · {width} x {height} px, seen by the segmenter at {grid}"
    if image.spacing:
        words += f" · {image.spacing[0]:.3g} x {image.spacing[1]:.3g} mm a pixel"
    notes = " ".join((*image.notes, *result.notes, *case.segmenter.notes))
    with st.container(key="tight-image"):
        st.markdown(f":small[:gray[{mark} {plain(words)}.{' ' + plain(notes) if notes else ''}]]")
