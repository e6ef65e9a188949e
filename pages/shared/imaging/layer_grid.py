"""Tab Layers: both maps at every layer, from encoder to decoder, and how the score splits over them."""

import plotly.graph_objects as go
import streamlit as st

from core.imaging.cams import METHODS
from core.imaging.display import DisplayOptions, display_pair
from pages.shared import charts
from pages.shared.imaging import options
from pages.shared.imaging.case import Case
from pages.shared.imaging.numbers import short

PER_ROW = 5
THUMBNAIL = 260


def show(case: Case) -> None:
    """Draw the tab."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="tight-grid"):
        signed = st.toggle("Signed", key="im-grid-signed", persist_state="session")
        smooth = st.toggle("Smooth", value=True, key="im-grid-smooth", persist_state="session")
        outlined = st.toggle("Outline of M", value=True, key="im-grid-outline", persist_state="session")
        magnified = options.zoom(case)
        st.caption("Each map on its own scale.")
    chosen = DisplayOptions(signed, smooth, "own", opacity=0.75, contour=outlined, zoom=magnified)
    names = list(case.result.maps)
    with st.container(key="layers"):  # fewer a row on a narrow page (style.css)
        for start in range(0, len(names), PER_ROW):
            columns = st.columns(PER_ROW, gap="small", vertical_alignment="bottom")  # names wrap
            for column, name in zip(columns, names[start : start + PER_ROW], strict=False):
                with column:
                    _layer(case, name, chosen)
    if case.result.shares is not None:
        _shares(case)
    else:
        st.caption(
            "How the score splits over layers is not shown: it is exact only where all after the encoder is piecewise "
            "linear, and here it is not."
        )


def _layer(case: Case, name: str, chosen: DisplayOptions) -> None:
    st.markdown(f"**{options.short(name)}**  \n:small[:gray[{options.place(case, name)}]]")
    for method, item in display_pair(case.result.maps[name], case.result.geometry, chosen).items():
        case.draw_map(item, chosen, f"{METHODS[method]} at {name}", THUMBNAIL)
        empty = " · nothing positive" if item.empty else f" · largest {short(item.maximum)}"
        st.caption(METHODS[method].removesuffix(" CAM") + empty)


def _shares(case: Case) -> None:
    shares = case.result.shares
    names = [*(options.short(name) for name in shares.skips), "biases of decoder and head"]
    values = [*shares.skips.values(), shares.bias]
    deepest = list(shares.skips)[-1]
    st.markdown("### How the score reaches the output")
    bars = go.Bar(
        x=[100 * value for value in values],
        y=names,
        orientation="h",
        marker={"color": [charts.SLATE if name.startswith("biases") else charts.BLUE for name in names]},
        text=[f"{round(100 * value)} %" for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1f} % of S<extra></extra>",
    )
    figure = charts.figure(70 + 30 * len(names), bars)
    low, high = min(0.0, *values), max(0.0, *values)
    room = 15 * (high - low)  # for the numbers beyond the bars
    figure.update_xaxes(range=[100 * low - room * (low < 0), 100 * high + room])
    figure.update_xaxes(title_text="Share of the score S, %", zeroline=True, zerolinecolor=charts.SLATE)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    charts.show(figure, key="im-shares", alt="Share of the score from each layer and the biases", mode_bar=False)
    st.caption(
        "Exact for this network: what each encoder layer hands to the decoder directly, and the biases, add up to S. "
        f"The bottleneck ({options.short(deepest)}) carries {100 * shares.skips[deepest]:.0f} %; a map of the "
        "bottleneck cannot speak for the skip connections."
    )
