"""Imaging: segment an image and compare Seg-Grad CAM with Seg-HiRes-Grad CAM, side by side."""

from pages.shared import frame

frame.require()  # before what follows, which takes seconds to import in a cold process

import streamlit as st  # noqa: E402

from core.errors import ChartlightError  # noqa: E402
from core.imaging.segmenters import list_segmenters  # noqa: E402
from pages.shared import empty, errors, layout  # noqa: E402
from pages.shared.imaging import case as cases  # noqa: E402
from pages.shared.imaging import compare, evidence, exports, layer_grid, reading, source, summary  # noqa: E402

TABS = {
    "Compare": compare.show,
    "Layers": layer_grid.show,
    "Evidence": evidence.show,
    "Export": exports.show,
    "How to read this": lambda case: reading.show(),
}

layout.header("Imaging", "What a segmenter looks at when it decides that these pixels belong to this class.")
if not list_segmenters():
    empty.show(
        "No segmenter is here",
        "Train one, or name a folder of your own models in CHARTLIGHT_MODELS.",
        icon="model_training",
        command="python -m core train-segmenter chest-xray --data DATA --out assets/models/chest-xray",
    )
    st.stop()
with st.container(key="workbench"):
    controls, main = st.columns([1, 3.6], gap="medium")
chosen, case, problem = None, None, None
with controls:
    try:
        chosen = source.choose(list(list_segmenters()))
        case = cases.choose(chosen) if chosen else None
    except ChartlightError as error:
        problem = error
with main:
    if problem:
        errors.show(problem)
        if chosen:
            summary.picture(chosen.image)
        st.stop()
    if case is None:
        empty.show("No image yet", "Upload one, or choose a drawn sample.", icon="radiology")
        st.stop()
    summary.show(case)
    tabs = st.tabs(list(TABS), on_change="rerun", key="view", bind="query-params")
    for tab, draw in zip(tabs, TABS.values(), strict=True):
        if tab.open:
            with tab, errors.guard():
                draw(case)
