"""Tab Compare: the image, Seg-Grad CAM and Seg-HiRes-Grad CAM side by side, and how they agree."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.imaging.agreement import agreement
from core.imaging.cams import METHODS, explain
from core.imaging.display import DisplayedMap, DisplayOptions, difference_map, display_maps, display_pair
from core.imaging.layers import reading_advice
from core.imaging.palettes import color_stops
from core.imaging.tiled_cams import possible_windows
from core.imaging.views import view_around
from pages.shared import layout
from pages.shared.errors import plain
from pages.shared.imaging import decision, options, pictures, region, results
from pages.shared.imaging.case import Case
from pages.shared.imaging.numbers import percent, short


def show(case: Case) -> None:
    """Draw the tab."""
    top = st.container()
    with top, st.container(horizontal=True, gap="small", key="tight-layer-zoom"):
        name = options.layer(case)
        magnified = options.zoom(case)
        left_picture = decision.choose()
    chosen = options.display(magnified)
    with top:
        st.space(4)
        shown = display_pair(case.result.maps[name], case.result.geometry, chosen)
        left, middle, right = st.columns(3, gap="small", vertical_alignment="bottom")
        with left:
            hint = region.hint(case.region.kind)
            st.markdown(f"**{plain(decision.title(case, left_picture))}** :small[:gray[{hint}]]")
            region.picture(
                decision.picture(case, left_picture, chosen),
                case.outline,
                view_around(case.outline, chosen.zoom),
                case.source.image.spacing,
                case.region.kind,
                decision.alt(case, left_picture),
            )
        for column, (method, item) in zip((middle, right), shown.items(), strict=True):
            with column:
                st.markdown(f"**{METHODS[method]}** :small[:gray[max {short(item.maximum)}]]")
                _map(case, item, chosen, METHODS[method])
        left, right = st.columns([1, 2], gap="small")
        with left:
            decision.legend(case, left_picture)
        with right:
            _bar(shown, chosen)
    st.caption(_caption(case, name, shown))
    _numbers(case, name)
    difference, windows = st.columns(2, gap="medium")
    with difference:
        _difference(case, name, chosen)
    with windows:
        _windows(case, name, chosen)


def _map(case: Case, item: DisplayedMap, chosen: DisplayOptions, what: str) -> None:
    case.draw_map(item, chosen, f"{what} over the image")
    if item.empty:
        st.caption("No positive evidence at this layer: all of the map is cut off by the ReLU. Try Signed.")


def _bar(shown: dict[str, DisplayedMap], chosen: DisplayOptions) -> None:
    limits = [item.limit for item in shown.values()]
    if chosen.scale == "shared":
        high, label = f"{short(limits[0])}", "raw value, both maps"
        low = f"-{short(limits[0])}" if chosen.signed else "0"
    else:
        high, low = "1", "-1" if chosen.signed else "0"
        which = "largest value as shown" if chosen.percentile == 100 else f"{chosen.percentile:g}th percentile"
        label = f"share of each map's {which}: {short(limits[0])} and {short(limits[1])}"
    pictures.colour_bar(color_stops(chosen.palette), low, high, label)


def _caption(case: Case, name: str, shown: dict[str, DisplayedMap]) -> str:
    stride = case.segmenter.layers[name][1]
    parts = [reading_advice(name, case.result, stride)]
    limits = {method: item.maximum for method, item in shown.items()}
    small, large = sorted(limits, key=limits.get)
    if limits[small] > 0 and limits[large] / limits[small] > 3:
        share = 100 * limits[small] / limits[large]
        parts.append(
            f"The largest value of {METHODS[small]} is {'less than 1' if share < 1 else f'{share:.0f}'} % of that of "
            f"{METHODS[large]}: by raw values it looks faint; that is size, not absence."
        )
    return " ".join(parts)


def _numbers(case: Case, name: str) -> None:
    found = agreement(case.result.maps[name], case.result.mask, case.result.geometry)
    rows = []
    for method in METHODS:
        numbers = getattr(found, method)
        rows.append(
            {
                "Map": METHODS[method],
                "Largest value": short(numbers.maximum),
                "Inside M": percent(numbers.inside),
                f"Inside M grown by {found.dilation} px": percent(numbers.inside_dilated),
                "Negative evidence lost to the ReLU": percent(numbers.negative_lost),
            }
        )
    layout.facts(
        [
            ("Rank correlation of the two maps", "none" if found.spearman is None else f"{found.spearman:.2f}"),
            ("Overlap of the top 10 % (IoU)", "none" if found.top_iou is None else f"{found.top_iou:.2f}"),
        ],
        key="agreement",
    )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key=f"im-numbers-{name}",
        alt="Largest value, shares inside M and negative evidence of each map",
    )
    st.caption(
        "Shares inside M say how plausible a map looks, not how faithful it is: the mask itself would have 100 %."
    )


def _difference(case: Case, name: str, chosen: DisplayOptions) -> None:
    with st.expander("Difference of the two maps", on_change="rerun", key="im-difference") as box:
        if box.open:
            item = difference_map(case.result.maps[name], case.result.geometry, chosen.smooth)
            signed = replace(
                chosen, signed=True, scale="own", percentile=100, palette="PuOr_r", opacity=max(chosen.opacity, 0.6)
            )
            _map(case, item, signed, "Seg-HiRes-Grad minus Seg-Grad")
            pictures.colour_bar(color_stops("PuOr_r"), "Seg-Grad", "Seg-HiRes", "is larger, each at its own scale")


def _windows(case: Case, name: str, chosen: DisplayOptions) -> None:
    with st.expander("From HiRes to Grad by a window (Seg-XRes)", on_change="rerun", key="im-windows") as box:
        if not box.open:
            return
        sizes = possible_windows(case.segmenter, case.result, name)

        def work(progress):
            progress(0, 1, "")
            return explain(case.segmenter, case.source.image, case.region, case.class_index, [name], sizes)

        found = results.computed(("windows", *case.key, name), "Making the windowed maps", work, case.source.drawn)
        key = f"im-window-{name}"
        if st.session_state.get(key) not in sizes:
            st.session_state[key] = sizes[len(sizes) // 2]
        size = st.select_slider(
            "Window in cells", sizes, key=key, format_func=lambda p: _window_name(p, sizes), persist_state="session"
        )
        maps = found.maps[name]
        items = display_maps([maps.windowed[size], maps.seg_grad, maps.seg_hires_grad], case.result.geometry, chosen)
        _map(case, items[0], chosen, f"Seg-XRes CAM with a window of {size} cells")
        st.caption(
            "Gradients are averaged within windows before they weigh the activations: one cell is Seg-HiRes-Grad CAM, "
            "the whole map is Seg-Grad CAM."
        )


def _window_name(size: int, sizes: list[int]) -> str:
    return "1 (HiRes)" if size == 1 else f"{size} (Grad)" if size == sizes[-1] else str(size)
