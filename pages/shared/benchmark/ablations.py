"""Tab Ablations: what the text, its length and the encoder are worth."""

import polars as pl
import streamlit as st

from core.figures import Plot, Series
from core.risk.comparison import OURS, PLACES, UNCHANGED, ablations, families, interval_text, variant_order
from core.risk.model_names import setting_name, value_name
from core.risk.published import LEAK_NOTE
from pages.shared import empty
from pages.shared.benchmark import draw, looks
from pages.shared.benchmark.source import Run

ORDERED = ("context", "lookback", "chunk")
"""Ablations whose values have an order, drawn as lines."""
UNITS = {"context": "Tokens read", "lookback": "How far back the text goes", "chunk": "Tokens a window"}


def show(run: Run) -> None:
    """Draw the choice of ablation and place, the figure, and how to run one."""
    names = families(run.groups)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-ablations"):
        family = st.segmented_control(
            "Ablation", list(names), default=next(iter(names)), required=True, format_func=names.get,
            key="ablation-family", persist_state="session") or next(iter(names))  # fmt: skip
        place = st.selectbox(
            "Group",
            PLACES,
            format_func=looks.SHORT_PLACES.get,
            key="ablation-place",
            width=180,
            persist_state="session",
        )
    rows = ablations(run.groups, family, run.versions, place)
    if not rows.height:
        empty.show(
            "Nothing is known of this ablation for this choice",
            "Publications give macro values, most of them from the fifth version. A run of your own:",
            command=f"python -m core benchmark DATASET --features FEATURES --out RESULTS --ablate {_example(family)}",
            key="ablations",
        )
        return
    draw.show(plot(rows, family, names[family], looks.SHORT_PLACES[place], run), "ablations", _height(rows, family))
    if not rows.filter(pl.col("source") == OURS).height:
        st.caption("A run with this ablation of your own is made with:")
        st.code(
            f"python -m core benchmark DATASET --features FEATURES --out RESULTS --ablate {_example(family)}",
            language="bash",
        )
    looks.say_partial(rows)
    st.caption(
        f"AUROC on all training data. Older papers' text is Markdown, the fifth version's a list of codes. {run.note}"
        + (f" {LEAK_NOTE}" if "v1/v2" in run.versions else "")
    )


def plot(rows: pl.DataFrame, family: str, title: str, place: str, run: Run) -> Plot:
    """The figure: lines over an ordered ablation, one row a variant otherwise."""
    variants = list(dict.fromkeys(_sorted(rows, family)))
    across = family in ORDERED
    series, said, marks = [], [], looks.marks(run)
    for source, model in rows.select("source", "model").unique(maintain_order=True).iter_rows():
        part = rows.filter((pl.col("source") == source) & (pl.col("model") == model))
        name = looks.line_name(source, model)
        base = pl.col("variant") == UNCHANGED
        for piece in (part.filter(~base), part.filter(base)):  # the unchanged model is no point of the line
            if not piece.height:
                continue
            at = [float(variants.index(variant)) for variant in piece["variant"]]
            series.append(
                Series(
                    name,
                    at if across else piece["value"].to_list(),
                    piece["value"].to_list() if across else at,
                    piece["lower"].to_list(),
                    piece["upper"].to_list(),
                    [
                        f"{name}, {setting_name(family, variant)}: {interval_text(v, low, high)}"
                        + (looks.partial(note) if source == OURS else "")
                        for variant, v, low, high, note in piece.select(
                            "variant", "value", "lower", "upper", "note"
                        ).iter_rows()
                    ],
                    *marks[source, model],
                    line=("solid" if source == OURS else "dot") if across else "",
                    legend=piece["variant"][0] != UNCHANGED,
                )
            )
        value = part["value"].to_list()
        best = max(range(len(value)), key=value.__getitem__)
        said.append(f"{name} is highest at {setting_name(family, part['variant'][best])} with {value[best]:.3f}")
    alt = f"{place} AUROC by {title.lower()}: {'; '.join(said)}."
    note = run.footnote
    heading = f"{title}: {place} AUROC"
    if across:
        ticks = [(float(i), value_name(family, variant)) for i, variant in enumerate(variants)]
        return Plot(heading, alt, series, x_title=UNITS[family], y_title="AUROC", x_ticks=ticks, note=note)
    names = [value_name(family, variant) for variant in variants]
    return Plot(heading, alt, series, x_title="AUROC", y_title=title.lower(), rows=names, note=note)


def _sorted(rows: pl.DataFrame, family: str) -> list[str]:
    return sorted(rows["variant"].unique().to_list(), key=lambda variant: variant_order(family, variant))


def _height(rows: pl.DataFrame, family: str) -> int | None:
    return 420 if family in ORDERED else 130 + 28 * rows["variant"].n_unique()


def _example(family: str) -> str:
    values = {
        "context": "512,1024,2048,4096",
        "lookback": "1d,1w,1mo,1y,full",
        "instruction": "task,generic,empty",
        "sections": "without,only",
        "chunk": "256,512",
        "strategy": "markdown,recent_codes",
        "profile": "paper,corrected",
        "encoder": "minilm,qwen3-embedding-0.6b",
    }
    return f"{family}={values[family]}"
