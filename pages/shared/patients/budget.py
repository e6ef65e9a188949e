"""View "What the model sees": tokens by section, the cut at a limit, and what is lost."""

from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.ehr.budget import LIMITS, Packed, TokenCount, pack
from core.ehr.record import Record
from core.settings import get_settings
from pages.shared import charts, empty, layout, resources, url
from pages.shared.errors import plain
from pages.shared.patients import display

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient

PACKING_NAMES = {"truncate": "Truncate (the paper's)", "fair": "Fair share"}


def show(patient: "Patient", record: Record, tokens: TokenCount | None) -> None:
    tokenizer = resources.tokenizer()
    if tokens is None or tokenizer is None:
        empty.show(
            "No tokenizer here",
            f"The weights of {plain(get_settings().encoder)} are not on this machine: its tokens cannot be counted.",
            icon="token",
            command="python -m core doctor",
            key="tokens",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large", key="tight-budget"):
        limit = int(url.choice("Token limit", {str(limit): f"{limit:,}" for limit in LIMITS}, "4096", "limit"))
        packing = url.choice(
            "Packing",
            PACKING_NAMES,
            "truncate",
            "packing",
            help="Truncate cuts the end off. Fair share gives every section a part and keeps its newest lines.",
        )
        packed = pack(record, limit, tokenizer.offsets, packing)
        lost = sum(section.lines_lost for section in packed.sections)
        layout.facts(
            [
                ("Record", f"{tokens.total:,} tokens"),
                ("Model sees", f"{packed.tokens:,} tokens"),
                ("Lost", f"{lost:,} lines" if lost else "nothing"),
            ],
            key="budget",
        )
    charts.show(
        bars(packed, limit if packing == "truncate" and limit < tokens.total else None),
        key="budget-chart",
        alt=f"Tokens by section: {packed.tokens} of {tokens.total} are kept at a limit of {limit}",
    )
    _table(packed)
    if lost:
        with st.expander(
            f"The text as the model sees it ({packed.tokens:,} tokens)", on_change="rerun", key="seen"
        ) as seen:
            if seen.open:
                st.code(
                    patient.clock.text(packed.text, display.SHOWN_TIME).strip("\n"),
                    language=None,
                    height=420,
                    wrap_lines=True,
                )


def bars(packed: Packed, cut: int | None) -> go.Figure:
    """Draw one bar as long as the record: sections in order, what is cut off hatched, the cut as a line."""
    traces, start = [], 0
    for number, section in enumerate(packed.sections):
        colour = charts.CATEGORICAL[number % len(charts.CATEGORICAL)]
        for tokens, kept in ((section.kept, True), (section.lost, False)):
            if not tokens:
                continue
            traces.append(
                go.Bar(
                    x=[tokens],
                    y=[""],
                    base=start,
                    orientation="h",
                    marker={
                        "color": colour,
                        "opacity": 1.0 if kept else 0.22,
                        "line": {"width": 1, "color": colour},
                        "pattern": {"shape": "" if kept else "/"},
                    },
                    text=section.title if kept or not section.kept else "",
                    textposition="inside",
                    insidetextanchor="middle",
                    hovertemplate=f"{section.title}: {tokens:,} tokens {'seen' if kept else 'cut off'}<extra></extra>",
                )
            )
            start += tokens
    chart = charts.figure(120, *traces, barmode="overlay", uniformtext={"minsize": 10, "mode": "hide"})
    chart.update_xaxes(title_text="Tokens", range=[0, max(start, 1) * 1.01])
    chart.update_yaxes(showgrid=False)
    if cut is not None:
        chart.add_vline(x=cut, line={"color": charts.VERMILLION, "width": 2}, annotation_text=f"cut at {cut:,}")
    return chart


def _table(packed: Packed) -> None:
    total = max(sum(section.tokens for section in packed.sections), 1)
    frame = pd.DataFrame(
        {
            "Section": [section.title for section in packed.sections],
            "Tokens": [section.tokens for section in packed.sections],
            "Share": [100 * section.tokens / total for section in packed.sections],
            "Seen": [100 * section.kept / section.tokens if section.tokens else 100.0 for section in packed.sections],
            "Lines lost": [section.lines_lost for section in packed.sections],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        row_height=30,
        height=len(frame) * 30 + 38,
        key="budget-table",
        column_config={
            "Tokens": st.column_config.NumberColumn(format="localized"),
            "Share": st.column_config.NumberColumn("Share of the record", format="%.1f %%"),
            "Seen": st.column_config.ProgressColumn("Seen by the model", min_value=0, max_value=100, format="%.0f %%"),
            "Lines lost": st.column_config.NumberColumn(format="localized"),
        },
        alt="Tokens by section and what the limit leaves of each",
    )
