"""Tab Overview: macro and group values, the run's beside the published ones."""

import pandas as pd
import polars as pl
import streamlit as st

from core.figures import Plot, Series
from core.risk.comparison import OURS, PLACES, interval_text, standing
from core.risk.published import CHEXPERT_NOTE, LEADERBOARD, LEAK_NOTE
from pages.shared import empty
from pages.shared.benchmark import draw, looks, pick
from pages.shared.benchmark.source import Run, folders, invite


def show(run: Run) -> None:
    """Draw the choice of score and k, the figure, the table and the notes."""
    if not folders():
        invite()
    with st.container(horizontal=True, gap="medium", key="tight-overview"):
        score, k = pick.score("overview", pick.scores_of(run)), pick.shots("overview", run.groups)
    rows = standing(run.groups, run.versions, score, k)
    if not rows.height:
        empty.show(
            "Nothing was published for this choice",
            "Choose another score, more examples or another version above.",
            key="overview",
        )
        return
    draw.show(plot(rows, score, run), "overview")
    st.dataframe(
        table(rows, score),
        hide_index=True,
        key="overview-table",
        column_config={name: st.column_config.Column(width=width) for name, width in _widths(rows).items()},
        alt="Macro and group values with intervals, by model",
    )
    looks.say_partial(rows)
    notes(run)


def notes(run: Run) -> None:
    """Say what a reader must know of the figures shown: comparability, the rule of the intervals, the leak."""
    if "v1/v2" in run.versions:
        st.markdown(f":material/warning: **Length-of-stay leak.** {LEAK_NOTE}")
    if LEADERBOARD in run.versions:
        st.caption(CHEXPERT_NOTE)
    st.caption(
        "Macro is the mean of the four groups, a group the mean of its tasks. Intervals: 1.96 standard deviations of "
        f"the patient-level bootstrap, by the paper's rule. {run.note}"
    )


def labels(rows: pl.DataFrame, score: str) -> list[tuple[str, str]]:
    """Source and model of each line of the figure: ours first, each source's best macro value or mean of groups first.

    The best Brier score is the lowest.
    """
    macro = pl.col("value").filter(pl.col("place") == "macro").first()
    ranked = (
        rows.group_by("source", "model", maintain_order=True)
        .agg(pl.coalesce(macro, pl.col("value").mean()).alias("rank"))
        .with_columns(order=pl.col("source").replace_strict({s: i for i, s in enumerate(looks.SOURCES)}))
        .sort("order", pl.col("rank"), descending=[False, score != "brier"])
    )
    return list(ranked.select("source", "model").iter_rows())


def plot(rows: pl.DataFrame, score: str, run: Run) -> Plot:
    """The figure of a score: one line a model, one panel for the macro value and each group."""
    lines, name = labels(rows, score), looks.SCORES[score]
    place_of = {line: i for i, line in enumerate(lines)}
    name_of = {line: looks.plain_name(*line) for line in lines}
    series = []
    for source in dict.fromkeys(source for source, _ in lines):
        colour, symbol = looks.SOURCES[source]
        places = set(rows.filter(pl.col("source") == source)["place"])
        first = next(panel for panel, place in enumerate(PLACES) if place in places)
        for panel, place in enumerate(PLACES):
            part = rows.filter((pl.col("source") == source) & (pl.col("place") == place))
            series.append(
                Series(
                    looks.source_name(source),
                    part["value"].to_list(),
                    [place_of[source, model] for model in part["model"]],
                    part["lower"].to_list(),
                    part["upper"].to_list(),
                    [
                        f"{name_of[source, model]}, {looks.source_name(source)}: {interval_text(value, low, high)}"
                        + (looks.partial(note) if source == OURS else "")
                        for model, value, low, high, note in part.select(
                            "model", "value", "lower", "upper", "note"
                        ).iter_rows()
                    ],
                    colour,
                    symbol,
                    panel=panel,
                    legend=panel == first,
                )
            )
    best = [
        f"{name_of[source, model]} ({looks.source_name(source)}) {value:.3f}"
        for source, model, value in rows.filter(pl.col("place") == "macro")
        .group_by("source", maintain_order=True)
        .agg(pl.col("model", "value").sort_by("value", descending=score != "brier").first())
        .iter_rows()
    ]
    return Plot(
        f"{name}: macro and task groups",
        f"{name} of {len(lines)} models in five panels, macro and the four task groups, with 95 % intervals. Best "
        f"macro value of each source: {'; '.join(best) or 'none'}.",
        series,
        [looks.SHORT_PLACES[place] for place in PLACES],
        name,
        "model",
        rows=[name_of[line] if line[0] == OURS else f"{name_of[line]} · {_tag(line[0])}" for line in lines],
        note=run.footnote,
    )


def table(rows: pl.DataFrame, score: str) -> pd.DataFrame:
    """The numbers of a score's figure, one line a model."""
    out = []
    for source, model in labels(rows, score):
        part = rows.filter((pl.col("source") == source) & (pl.col("model") == model))
        cells = {row["place"]: row for row in part.iter_rows(named=True)}
        leak = " (leak)" if source == "v1/v2" else ""
        entry = {"Model": looks.plain_name(source, model), "Source": looks.source_name(source) + leak}
        for place in PLACES:
            cell = cells.get(place)
            text = interval_text(cell["value"], cell["lower"], cell["upper"], dash="–") if cell else ""
            entry[looks.SHORT_PLACES[place]] = text + (f", {cell['note']}" if cell and _partial(cell) else "")
        out.append(entry)
    return pd.DataFrame(out)


def _partial(cell: dict) -> bool:
    """Whether a value of the run is a mean of fewer tasks than there are; other notes are of publications."""
    return cell["source"] == OURS and bool(cell["note"])


def _widths(rows: pl.DataFrame) -> dict[str, int]:
    """Widths in pixels that show every interval on a page of 1280 pixels, and what it is a mean of."""
    ours = rows.filter(pl.col("source") == OURS)
    notes = {place: ours.filter(pl.col("place") == place)["note"].str.len_chars().max() or 0 for place in PLACES}
    return {"Model": 190, "Source": 105} | {looks.SHORT_PLACES[place]: 125 + 6 * n for place, n in notes.items()}


def _tag(source: str) -> str:
    return "leaderboard" if source == LEADERBOARD else source
