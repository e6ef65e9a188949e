"""Tab Compare models: paired differences on the same patients."""

import pandas as pd
import polars as pl
import streamlit as st

from core.ehr.tasks import TASK_BY_ID
from core.figures import Plot, Series
from core.risk.comparison import oriented, p_text
from core.risk.model_names import model_name
from core.wording import counted, verb
from pages.shared import charts, empty
from pages.shared.benchmark import draw, looks, pick, source
from pages.shared.benchmark.source import Run

SIGNIFICANT = 0.05


def show(run: Run) -> None:
    """Draw the choice of two models, their differences and the table."""
    if run.result is None:
        source.missing("Paired differences")
        return
    differences = run.result.differences
    names = list(dict.fromkeys([*differences["a"].to_list(), *differences["b"].to_list()]))
    if len(names) < 2:
        empty.show(
            "This run has one model", "Add another with --models, e.g. `count`, or --ablate, and run it again.",
            icon="compare_arrows", key="compare",
        )  # fmt: skip
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-compare"):
        a = st.selectbox(
            "Model A", names, 0, format_func=model_name, key="compare-a", width=340, persist_state="session"
        )
        others = [name for name in names if name != a]
        b = st.selectbox(
            "Model B", others, 0, format_func=model_name, key="compare-b", width=340, persist_state="session"
        )
        k, score = pick.shots("compare", differences), pick.score("compare", ("auroc", "auprc"))
    rows = oriented(differences, a, b, k, score)
    if not rows.height:
        empty.show("These two were not compared at this number of examples", icon="compare_arrows", key="compare")
        return
    rows = rows.sort("difference", descending=True).with_columns(pl.col("lower", "upper").fill_nan(None))
    clear = rows.filter(pl.col("p_holm") < SIGNIFICANT)
    for_a, for_b = (int((clear["difference"] > 0).sum()), int((clear["difference"] < 0).sum()))
    tested = rows.filter(pl.col("p_holm").is_not_nan()).height
    open_ = tested - for_a - for_b
    st.markdown(
        f"After Holm's correction across {counted(tested, 'task')}, **A is higher in {for_a}, B in "
        f"{for_b}**, and {open_} {verb(open_, 'shows', 'show')} no clear difference."
        + (f" Not tested: {rows.height - tested}, no replicate is defined." if tested < rows.height else "")
    )
    apart = rows.filter((pl.col("lower") > 0) | (pl.col("upper") < 0)).height
    if apart > clear.height:
        st.markdown(
            f":gray[{'1 interval excludes' if apart == 1 else f'{apart} intervals exclude'} 0 before the correction. "
            "A run with few bootstrap replicates has no small p-values; 1,000 are the default.]"
        )
    draw.show(plot(rows, model_name(a), model_name(b), looks.SCORES[score], run), "compare")
    st.dataframe(
        table(rows),
        hide_index=True,
        key="compare-table",
        column_config={"A minus B": st.column_config.NumberColumn(format="%+.3f")},
        alt="Paired differences of every task",
    )
    st.caption(
        "Both models on the same patient resamples; few-shot replicates' probabilities are averaged, the chest X-ray "
        "findings' values too, and a replicate in which one of them has one class is undefined and left out. Filled: "
        "p below 0.05 after Holm's correction. That two do not differ is no proof that they are alike: see the width "
        "of the interval."
    )


def plot(rows: pl.DataFrame, a: str, b: str, score: str, run: Run) -> Plot:
    """The forest of differences between the models named ``a`` and ``b``."""
    sure = [p is not None and p < SIGNIFICANT for p in rows["p_holm"]]
    names = [TASK_BY_ID[task].name for task in rows["task"]]
    series = Series(
        f"{a} minus {b}",
        rows["difference"].to_list(),
        list(range(rows.height)),
        rows["lower"].to_list(),
        rows["upper"].to_list(),
        [
            f"{name}: {d:+.3f} ({_interval(low, high)}), p {p_text(p)} after Holm"
            for name, d, low, high, p in zip(
                names, rows["difference"], rows["lower"], rows["upper"], rows["p_holm"], strict=True
            )
        ],
        charts.BLUE,
        "circle",
        hollow=[not one for one in sure],
    )
    return Plot(
        f"{score}: A minus B\nA: {a}\nB: {b}",  # long names, one a line, or the heading is wider than the figure
        f"Paired differences in {score} of {rows.height} tasks, {a} minus {b}, with 95 % intervals; {sum(sure)} have "
        "a p-value below 0.05 after Holm's correction.",
        [series],
        x_title=f"Difference in {score} (right of 0: A higher)",
        y_title="task",
        rows=names,
        x_line=0.0,
        note=run.note,
    )


def table(rows: pl.DataFrame) -> pd.DataFrame:
    """The differences as a table."""
    return pd.DataFrame(
        [
            {
                "Task": TASK_BY_ID[row["task"]].name,
                "A minus B": row["difference"],
                "95 % interval": _interval(row["lower"], row["upper"]),
                "p": p_text(row["p_value"]),
                "p, Holm": p_text(row["p_holm"]),
                "Labels compared": row["n"],
            }
            | ({"Undefined replicates": row["undefined"]} if "undefined" in row else {})  # an older run has none
            for row in rows.iter_rows(named=True)
        ]
    )


def _interval(lower: float | None, upper: float | None) -> str:
    """An interval of a difference; "not defined" where no replicate is."""
    return "not defined" if lower is None or upper is None else f"{lower:+.3f} to {upper:+.3f}"
