"""Tab Sections: what each section of the record does to the score."""

import plotly.graph_objects as go
import streamlit as st

from core.risk.attribution import Attribution, section_attribution
from pages.shared import charts
from pages.shared.errors import plain
from pages.shared.risk.case import Case


def show(case: Case) -> None:
    """Draw the change of the score without each section, and with it alone."""
    patient = case.patient
    attribution: Attribution = case.compute(
        "Reading the record without each section",
        "sections",
        lambda encoder, cache, progress: section_attribution(
            patient.dataset, patient.subject_id, patient.at, encoder, {case.head.key: case.head}, cache
        ),
    )[case.head.key]
    left, right = st.columns([3, 2], gap="large")
    with left:
        charts.show(figure(attribution), key="sections", alt=alt(attribution), mode_bar=False)
    with right:
        moving = sorted((e for e in attribution.effects if e.above_noise), key=lambda e: -abs(e.without))
        if moving:
            st.markdown("Sections whose absence moves the score by more than the model's own noise:")
            for effect in moving:
                direction = "lowers" if effect.without < 0 else "raises"
                st.markdown(f"- **{plain(effect.title)}**: leaving it out {direction} the log-odds by "
                            f"{abs(effect.without):.2f}")  # fmt: skip
        else:
            st.markdown("No section moves this score by more than the model's own noise.")
        st.caption(
            f"The grey band is the noise floor, ±{attribution.noise:.2f}: how far the score moves when the same facts "
            "stand in another order. Effects of sections need not add up. They explain the model, not the disease."
        )


def figure(attribution: Attribution) -> go.Figure:
    """Draw two bars a section, in the record's order."""
    effects = list(reversed(attribution.effects))
    names = [effect.title for effect in effects]
    chart = charts.figure(
        64 + 44 * len(effects),
        _bar(names, [effect.only for effect in effects], "Only this section", charts.OCHRE),
        _bar(names, [effect.without for effect in effects], "Without this section", charts.BLUE),
        legend=True,
        bargap=0.35,
        barmode="group",
        dragmode=False,
    )
    chart.add_vrect(-attribution.noise, attribution.noise, fillcolor=charts.FAINT, line_width=0, layer="below")
    chart.add_vline(0, line={"color": charts.SLATE, "width": 1})
    chart.update_layout(legend_traceorder="reversed")
    chart.update_xaxes(title="Change in log-odds against the whole record", fixedrange=True)
    chart.update_yaxes(fixedrange=True, showgrid=False)
    return chart


def alt(attribution: Attribution) -> str:
    """Say the figure in words."""
    parts = [f"{e.title}: {e.without:+.2f} without it, {e.only:+.2f} with it alone" for e in attribution.effects]
    return f"Change in log-odds by section, noise floor {attribution.noise:.2f}. " + "; ".join(parts) + "."


def _bar(names: list[str], values: list[float], name: str, color: str) -> go.Bar:
    return go.Bar(
        x=values,
        y=names,
        orientation="h",
        name=name,
        marker={"color": color},
        hovertemplate=f"%{{y}}<br>{name}: %{{x:+.2f}}<extra></extra>",
    )
