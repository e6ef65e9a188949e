"""How maps are shown. Nothing here computes a map again."""

import streamlit as st

from core.imaging.display import DisplayOptions
from core.imaging.layers import default_layer, describe_layer
from core.imaging.palettes import DIVERGING, SEQUENTIAL
from core.imaging.views import possible_zooms, view_around
from pages.shared.imaging.case import Case

PALETTES = {
    "inferno": "Inferno",
    "cividis": "Cividis",
    "viridis": "Viridis",
    "magma": "Magma",
    "RdBu_r": "Red and blue",
    "PuOr_r": "Purple and orange",
}

START = DisplayOptions(scale="own", opacity=0.65)
"""How maps are shown first."""

_LAYER = "_imaging_layer"


def layer(case: Case) -> str:
    """Draw the layer's slider, from the encoder to the decoder; return the layer."""
    names = list(case.result.maps)
    # a slider of its own for each image: one that went while an upload was read comes back at its left end
    key = f"im-layer-{case.segmenter.name}-{case.source.image.sha256[:12]}"
    kept = st.session_state.get(_LAYER)
    start = st.session_state.setdefault(f"_start-{key}", kept if kept in names else default_layer(names))
    with st.container(width=330, gap="xxsmall", key="tight-layer"):
        name = st.select_slider(
            "Layer, from encoder to decoder", names, start, format_func=short, key=key, persist_state="session"
        )
        st.caption(place(case, name))
    st.session_state[_LAYER] = name
    return name


def _zoom_key(case: Case) -> str:
    return f"im-zoom-{case.source.image.sha256[:12]}"  # another image begins whole


def zoom(case: Case) -> float:
    """Draw the choice of how closely M is looked at; return how many times it is magnified."""
    zooms = possible_zooms(case.outline.shape)
    if len(zooms) == 1:
        return 1.0
    with st.container(width=190, gap="xxsmall", key="tight-zoom"):
        chosen = st.select_slider(
            "Zoom on M",
            zooms,
            1.0,
            format_func=lambda value: "whole image" if value == 1 else f"{value:g} x",
            key=_zoom_key(case),
            help="All pictures show the same window around the region. Limits and numbers stay the whole image's.",
            persist_state="session",
        )
        height, width = view_around(case.outline, chosen).size
        st.caption(f"{width} x {height} px" + (" around M" if chosen > 1 else ""))
    return chosen


def place(case: Case, name: str) -> str:
    """A layer's place in words."""
    channels, stride = case.segmenter.layers[name]
    return describe_layer(name, list(case.result.maps), stride, channels)


def short(name: str) -> str:
    """A layer's name without what all of its part share."""
    return name.replace("encoder.model.", "encoder.").replace("decoder.blocks.", "decoder.")


def display(magnified: float) -> DisplayOptions:
    """Draw the display controls; return the options, with the zoom that was chosen elsewhere."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-display"):
        scale = st.segmented_control(
            "Scale",
            ["own", "shared"],
            default=START.scale,
            required=True,
            format_func={"shared": "Raw values", "own": "Share of maximum"}.get,
            key="im-scale",
            help="Share of maximum: 1 is each map's largest value, so that patterns compare. Raw values: one limit "
            "for both, so that sizes compare; Seg-Grad is the smaller, the less of the map the region covers.",
            persist_state="session",
        )
        signed = st.toggle(
            "Signed",
            key="im-signed",
            help="Show negative evidence too, instead of cutting it off.",
            persist_state="session",
        )
        smooth = st.toggle(
            "Smooth", value=START.smooth, key="im-smooth", help="Off: the layer's own cells.", persist_state="session"
        )
        contour = st.toggle("Outline of M", value=START.contour, key="im-contour", persist_state="session")
        palette = st.selectbox(
            "Colours",
            DIVERGING if signed else SEQUENTIAL,
            format_func=PALETTES.get,
            key=f"im-palette-{signed}",
            width=160,
            persist_state="session",
        )
        opacity = st.slider(
            "Opacity", 0.0, 1.0, START.opacity, 0.05, key="im-opacity", width=160, persist_state="session"
        )
        percentile = st.select_slider(
            "Limit at",
            [95, 98, 99, 99.5, 100],
            100,
            format_func=lambda value: "maximum" if value == 100 else f"{value:g} %",
            key="im-percentile",
            width=150,
            help="A lower limit lets a few very strong pixels saturate, so that the rest can be seen.",
            persist_state="session",
        )
    return DisplayOptions(signed, smooth, scale, float(percentile), palette, opacity, contour, magnified)


def display_so_far(case: Case) -> DisplayOptions:
    """The options as :func:`display` and :func:`zoom` have them in the tab Compare."""
    state = st.session_state
    signed = bool(state.get("im-signed", START.signed))
    return DisplayOptions(
        signed=signed,
        smooth=bool(state.get("im-smooth", START.smooth)),
        scale=state.get("im-scale", START.scale),
        percentile=float(state.get("im-percentile", START.percentile)),
        palette=state.get(f"im-palette-{signed}", START.palette),
        opacity=float(state.get("im-opacity", START.opacity)),
        contour=bool(state.get("im-contour", START.contour)),
        zoom=float(state.get(_zoom_key(case), START.zoom)),
    )
