"""Tab Evidence: deletion and insertion, weight randomisation, stability. On demand, with progress; leave to cancel."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.imaging.baselines import BASELINES
from core.imaging.cams import METHODS
from core.imaging.faithfulness import CONTROLS, Faithfulness, deletion_insertion, table
from core.imaging.sanity import Randomisation, randomisation
from core.imaging.stability import Stability, stability
from pages.shared import audit, charts, layout
from pages.shared.imaging import options, results
from pages.shared.imaging.case import Case

LINES = {
    "seg_grad": (charts.BLUE, "solid"),
    "seg_hires_grad": (charts.VERMILLION, "solid"),
    "random": (charts.SLATE, "dot"),
    "mask": (charts.OCHRE, "dash"),
}


def show(case: Case) -> None:
    """Draw the tab: what is measured here is about the maps of the chosen layer."""
    name = options.layer(case)
    _deletion(case, name)
    _randomisation(case, name)
    _stability(case, name)


def measured(case: Case, name: str) -> dict[str, dict]:
    """What has been measured of a layer so far, for the manifest."""
    found = {}
    for what in ("deletion_insertion", "randomisation", "stability"):
        value = results.kept(case.source.drawn).get((what, *case.key, name, *st.session_state.get(f"_im_{what}", ())))
        if value is not None:
            found[what] = value.describe()
    return found


def _on_demand(case: Case, what: str, label: str, settings: tuple, name: str, work):
    """A button, and what it made: kept until the case or a setting changes."""
    key = (what, *case.key, name, *settings)
    found = results.kept(case.source.drawn).get(key)
    if found is None:

        def wanted() -> None:
            st.session_state["_im_wanted"] = key

        st.button(label, icon=":material/play_arrow:", key=f"im-do-{what}", on_click=wanted)
        if st.session_state.get("_im_wanted") != key:
            return None
        del st.session_state["_im_wanted"]  # whatever stops the work, it does not start again by itself
        audit.record("evidence", image_sha256=case.source.image.sha256, model=case.segmenter.name, page="imaging")
        found = results.computed(key, label, work, case.source.drawn)
        st.rerun()
    st.session_state[f"_im_{what}"] = settings
    return found


def _deletion(case: Case, name: str) -> Faithfulness | None:
    layout.section("Deletion and insertion", "does the segmenter depend on the pixels that a map points to?")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        baseline = st.selectbox(
            "Deleted pixels become",
            list(BASELINES),
            format_func=BASELINES.get,
            key="im-baseline",
            width=330,
            persist_state="session",
        )
        steps = st.select_slider("Steps", [5, 10, 20, 40], 20, key="im-steps", width=170, persist_state="session")
        found = _on_demand(
            case,
            "deletion_insertion",
            "Measure deletion and insertion",
            (baseline, steps),
            name,
            lambda progress: deletion_insertion(
                case.segmenter, case.source.image, case.result, name, steps=steps, baseline=baseline, progress=progress
            ),
        )
    if found is None:
        st.caption(
            f"Runs {8 * (steps - 1) + 2} changed images through the segmenter. Any other action on the page stops it."
        )
        return None
    _curves(found)
    names = {**METHODS, **CONTROLS}
    areas, words = st.columns([1.6, 1], gap="medium")
    with areas:
        st.dataframe(
            pd.DataFrame(
                {
                    "Order": [row["order"] for row in table(found)],
                    "Deletion area": [f"{row['deletion']:.3f}" for row in table(found)],
                    "Insertion area": [f"{row['insertion']:.3f}" for row in table(found)],
                }
            ),
            hide_index=True,
            key="im-areas",
            alt="Areas under the deletion and insertion curves of each order",
        )
    with words:
        best = min(("seg_grad", "seg_hires_grad"), key=lambda order: found.curve(order, "deletion").area)
        control = found.curve("mask", "deletion").area
        verdict = "below" if found.curve(best, "deletion").area < control else "not below"
        st.caption(
            f"Small is good for deletion, large for insertion. The better map's deletion area ({names[best]}) is "
            f"{verdict} that of the mask order, which knows the region and nothing of the network."
        )
    return found


def _curves(found: Faithfulness) -> None:
    names = {**METHODS, **CONTROLS}
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.05)
    for column, (kind, axis) in enumerate(
        (("deletion", "Deleted pixels, %"), ("insertion", "Inserted pixels, %")), start=1
    ):
        for order, (colour, dash) in LINES.items():
            line = go.Scatter(
                x=[100 * fraction for fraction in found.fractions],
                y=found.curve(order, kind).probability,
                name=names[order],
                legendgroup=order,
                showlegend=column == 1,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 2},
                hovertemplate="%{x:.0f} %: %{y:.3f}<extra>" + names[order] + "</extra>",
            )
            figure.add_trace(line, row=1, col=column)
        figure.update_xaxes(title_text=axis, col=column)
    charts.style(figure, 320, legend=True)
    figure.update_yaxes(range=[0, 1.02])
    figure.update_yaxes(title_text="Mean probability over M", col=1)
    charts.show(
        figure, key="im-curves", alt="Deletion and insertion curves of both maps and both controls", mode_bar=False
    )


def _randomisation(case: Case, name: str) -> Randomisation | None:
    layout.section("Weight randomisation", "a map that survives does not show the network")
    found = _on_demand(
        case,
        "randomisation",
        "Randomise the weights",
        (),
        name,
        lambda progress: randomisation(case.segmenter, case.source.image, case.result, name, progress=progress),
    )
    if found is None:
        st.caption("On a private copy: weights are shuffled from the head down, stage after stage.")
        return None
    traces = []
    stages = ["original", *(options.short(step.stage) for step in found.steps)]
    for method in METHODS:
        values = [1.0, *(step.ssim[method] for step in found.steps)]
        traces.append(
            go.Scatter(
                x=list(range(len(stages))),
                y=values,
                name=METHODS[method],
                mode="lines+markers",
                line={"color": LINES[method][0], "width": 2},
                customdata=stages,
                hovertemplate="%{customdata}: %{y:.2f}<extra></extra>",
            )
        )
    figure = charts.figure(300, *traces, legend=True)
    figure.update_xaxes(tickvals=list(range(len(stages))), ticktext=stages, tickangle=-50)
    figure.update_yaxes(title_text="Similarity to the original (SSIM)", range=[min(0, figure_low(found)), 1.05])
    charts.show(figure, key="im-random", alt="Similarity of each map as weights become random", mode_bar=False)
    last = found.steps[-1]
    ranks = ", ".join(
        f"{METHODS[method]} {'none' if (rank := last.spearman[method]) is None else f'{rank:.2f}'}"
        for method in METHODS
    )
    edges = ", ".join(f"{METHODS[method]} {found.edges[method]:.2f}" for method in METHODS)
    st.caption(
        f"Rank correlation with the original once all is random: {ranks}. SSIM of the original maps with the image's "
        f"own edges, which need no network: {edges}. Sparse maps stay similar by their empty parts: read both numbers."
    )
    return found


def figure_low(found: Randomisation) -> float:
    """The lowest similarity of a cascade."""
    return min(value for step in found.steps for value in step.ssim.values()) - 0.05


def _stability(case: Case, name: str) -> Stability | None:
    layout.section("Stability", "small noise and flips of the image")
    found = _on_demand(
        case,
        "stability",
        "Disturb the image",
        (),
        name,
        lambda progress: stability(case.segmenter, case.source.image, case.result, name, progress=progress),
    )
    if found is None:
        st.caption("Eight noisy versions and two flips; the region M stays the same.")
        return None

    def number(value: float | None) -> str:
        return "none" if value is None else f"{value:.2f}"

    rows = []
    for method, numbers in found.numbers.items():
        rows.append(
            {
                "Map": METHODS[method],
                "Rank correlation under noise": number(numbers.noise_spearman),
                "Largest relative change": number(numbers.noise_change),
                "After flip left-right": number(numbers.flip_spearman["left-right"]),
                "After flip upside-down": number(numbers.flip_spearman["upside-down"]),
            }
        )
    st.dataframe(
        pd.DataFrame(rows).set_index("Map").T.reset_index(names=""),
        hide_index=True,
        key="im-stability",
        alt="Stability of each map under noise and flips",
    )
    st.caption(
        f"Noise of {100 * found.noise:.0f} % of the input's standard deviation, {found.draws} draws. A segmenter "
        "trained without flips may see an upside-down image as another image: then its maps have a reason to differ."
    )
    return found
