"""View "What the model sees": tokens by section, the cut at a limit, and what is lost."""

from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.ehr.budget import LIMITS, Packed, TokenCount, pack
from core.ehr.record import Record
from core.embedding.weights import command_of
from core.wording import counted
from pages.shared import charts, empty, layout, resources, url
from pages.shared.encoders import picker
from pages.shared.errors import plain
from pages.shared.patients import display

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient

PACKING_NAMES = {"truncate": "Truncate (the paper's)", "fair": "Fair share"}


def show(patient: "Patient", record: Record, tokens: TokenCount | None) -> None:
    encoder = picker.chosen()
    tokenizer = resources.tokenizer(encoder.spec.name)
    if tokens is None or tokenizer is None:
        why = "are not on this machine" if encoder.missing else "are at the server"
        empty.show(
            "No tokenizer here",
            f"The weights of {plain(encoder.spec.name)} {why}: its tokens cannot be counted.",
            icon="token",
            command=command_of(encoder.missing) if encoder.missing else "",
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
                ("Model sees", f"{packed.tokens:,} of {tokens.total:,} tokens"),
                ("Lost", counted(lost, "line") if lost else "nothing"),
            ],
            key="budget",
        )
    charts.show(
        stairs(packed, tokens.total),
        key="budget-chart",
        alt=f"Tokens by section in the order of the record: {packed.tokens} of {tokens.total} are kept at {limit}",
        mode_bar=False,
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


def stairs(packed: Packed, total: int) -> go.Figure:
    """Draw each section as a step of the record, what is cut off hatched, with the limits as lines."""
    titles = [section.title for section in packed.sections]
    starts = [sum(section.tokens for section in packed.sections[:number]) for number in range(len(titles))]
    kept = [section.kept for section in packed.sections]
    chart = charts.figure(
        len(titles) * 27 + 80,
        _steps(packed, starts, kept, "seen by the model", {"color": charts.BLUE}),
        _steps(
            packed,
            [start + seen for start, seen in zip(starts, kept, strict=True)],
            [section.lost for section in packed.sections],
            "cut off",
            {
                "color": "rgba(0,0,0,0)",
                "line": {"color": charts.SLATE, "width": 1},
                "pattern": {"shape": "/", "fgcolor": charts.SLATE, "size": 6},
            },
        ),
        legend=True,
        barmode="overlay",
        bargap=0.3,
    )
    chart.update_xaxes(title_text="Tokens from the beginning of the record", range=[0, max(total, 1) * 1.02])
    chart.update_yaxes(categoryorder="array", categoryarray=titles[::-1], showgrid=False, tickfont={"size": 13})
    for limit in LIMITS:
        if limit < total:
            chosen = limit == packed.limit
            chart.add_vline(
                x=limit,
                line={"color": charts.VERMILLION, "width": 2 if chosen else 1, "dash": "solid" if chosen else "dot"},
                annotation_text=f"{limit:,}" if chosen or limit > 0.12 * total else "",
                annotation_position="top left",
            )
    return chart


def _steps(packed: Packed, starts: list[int], lengths: list[int], name: str, marker: dict) -> go.Bar:
    return go.Bar(
        y=[section.title for section in packed.sections],
        x=lengths,
        base=starts,
        orientation="h",
        name=name,
        marker=marker,
        hovertemplate="%{y}: %{x:,} tokens " + name + "<extra></extra>",
    )


def rows(packed: Packed) -> pd.DataFrame:
    """Return the sections with their tokens and what is left of each, as the table below the figure has them."""
    total = max(sum(section.tokens for section in packed.sections), 1)
    return pd.DataFrame(
        {
            "Section": [section.title for section in packed.sections],
            "Tokens": [section.tokens for section in packed.sections],
            "Share": [100 * section.tokens / total for section in packed.sections],
            # cut off, not rounded: a section of which a line is lost is not seen to 100 %
            "Seen": [100 * section.kept // section.tokens if section.tokens else 100 for section in packed.sections],
            "Lines lost": [section.lines_lost for section in packed.sections],
        }
    )


def _table(packed: Packed) -> None:
    frame = rows(packed)
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
