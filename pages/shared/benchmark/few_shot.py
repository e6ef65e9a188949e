"""Tab Few-shot: how many labelled examples a model needs."""

import polars as pl
import streamlit as st

from core.figures import Plot, Series
from core.risk.comparison import OURS, PLACES, curves, interval_text
from core.risk.fewshot import ALL
from pages.shared import empty
from pages.shared.benchmark import draw, looks, pick
from pages.shared.benchmark.source import Run


def show(run: Run) -> None:
    """Draw the choice of place and score, the curves and what they hold."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-few-shot"):
        places = {place: looks.PLACE_NAMES[place] for place in PLACES} | looks.TASK_NAMES
        default = 0 if run.groups is not None and (run.groups["k"] != ALL).any() else 1
        place = st.selectbox(
            "Group or task",
            list(places),
            default,
            format_func=places.get,
            key="few-shot-place",
            width=360,
            persist_state="session",
        )
        score = pick.score("few-shot", pick.scores_of(run))
    rows = curves(run.groups, run.results, place, score, run.versions)
    if not rows.filter(pl.col("k") != ALL).height:
        empty.show(
            "There is no few-shot curve of this choice",
            "The leaderboard has curves of groups and tasks, the fifth version of the paper one group's, a run those "
            "of its --shots. There is no published macro curve.",
            key="few-shot",
        )
        if not rows.height:
            return
    draw.show(plot(rows, places[place], looks.SCORES[score], run), "few-shot", 460)
    looks.say_partial(rows)
    st.caption(
        "k labelled examples of each class for training and as many for validation, drawn anew in each replicate; "
        "tested on the whole held-out split. Bands: one standard deviation over replicates, where it is known. "
        "At “all”, the 95 % interval. "
        + ("No macro curve was published: choose a group for published ones. " if place == "macro" else "")
        + run.note
    )


def plot(rows: pl.DataFrame, place: str, score: str, run: Run) -> Plot:
    """The figure: k on a log axis, all training data at its right end."""
    few = sorted(set(rows.filter(pl.col("k") != ALL)["k"].to_list()))
    end = 2 * (few[-1] if few else 128)
    ticks = [(float(k), str(k)) for k in few if k not in (12, 24, 48)] + [(float(end), "all")]
    series: list[Series] = []
    said: list[str] = []
    models = list(rows.select("source", "model").unique(maintain_order=True).iter_rows())
    models.sort(key=lambda pair: pair[0] != OURS)
    marks = looks.marks(run)
    for i, (source, model) in enumerate(models):
        part = rows.filter((pl.col("source") == source) & (pl.col("model") == model))
        name = looks.line_name(source, model)
        look = dict(zip(("colour", "symbol"), marks[source, model], strict=True))
        curve, whole = part.filter(pl.col("k") != ALL), part.filter(pl.col("k") == ALL)
        series.append(
            Series(
                name,
                [float(k) for k in curve["k"]],
                curve["value"].to_list(),
                curve["lower"].to_list(),
                curve["upper"].to_list(),
                [_text(name, row) for row in curve.iter_rows(named=True)],
                line="solid" if source == OURS else "dot",
                band=True,
                x_names=[looks.shots(k) for k in curve["k"]],
                **look,
            )
        )
        if whole.height:
            series.append(
                Series(
                    name,
                    [end * 1.06 ** (i - (len(models) - 1) / 2)],  # side by side, or intervals hide each other
                    whole["value"].to_list(),
                    whole["lower"].to_list(),
                    whole["upper"].to_list(),
                    [_text(name, row) for row in whole.iter_rows(named=True)],
                    legend=not curve.height,
                    x_names=[looks.shots(k) for k in whole["k"]],
                    **look,
                )
            )
        said.append(f"{name} from {part['value'][0]:.2f} to {part['value'][-1]:.2f}")
    return Plot(
        f"Few-shot {score}: {place}",
        f"{score} over the number of training examples of each class, for {place}: {'; '.join(said)}.",
        series,
        x_title="Training examples of each class (k)",
        y_title=score,
        x_ticks=ticks,
        x_log=True,
        note=run.footnote,
    )


def _text(name: str, row: dict) -> str:
    return f"{name}, k = {looks.shots(row['k'])}: {interval_text(row['value'], row['lower'], row['upper'])}" + (
        looks.partial(row["note"]) if row["source"] == OURS else ""
    )
