"""A run's results beside the published ones: the rows behind the Benchmark page's tables and figures.

A published row never stands without the paper version that it comes from, and keeps its note (the leak of v1/v2).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from core.ehr.lookback import LOOKBACKS
from core.ehr.tasks import GROUPS
from core.risk.fewshot import ALL
from core.risk.model_names import FAMILIES
from core.risk.published import published
from core.risk.results import partial_mean, scarcest
from core.risk.score import MIN_CASES
from core.risk.subtasks import ALL_SUBTASKS

OURS = "This run"
"""Source of a run's own rows; published rows have their version there."""
UNCHANGED = "as it is"
"""Variant of a run's model without the ablation."""
PLACES: tuple[str, ...] = ("macro", *GROUPS)
_VALUES = {
    "lookback": tuple(LOOKBACKS),
    "instruction": ("task", "generic", "empty"),
}
_KEY = {(sub.task, sub.paper_name): sub.key for sub in ALL_SUBTASKS}
_NAME = pl.concat_str(
    pl.col("model"),
    pl.lit(" "),
    pl.col("head"),
    pl.when(pl.col("variant") == "").then(pl.lit("")).otherwise(pl.concat_str(pl.lit(" ["), "variant", pl.lit("]"))),
).alias("model")
_PARTIAL = (
    pl.struct("group", "n_tasks", "n_groups")
    .map_elements(lambda row: partial_mean(**row), return_dtype=pl.String)
    .alias("note")
)
_POSSIBLE = pl.col("lower", "upper").clip(0, 1)
"""An interval of mean and standard deviation, cut where no score can lie; the tables of a run keep the whole."""
_SCHEMA = {"source": pl.String, "model": pl.String, "value": pl.Float64, "lower": pl.Float64, "upper": pl.Float64}


def shots_of(frame: pl.DataFrame) -> list[int]:
    """Values of k in a table, few-shot ones ascending, all training data (-1) last."""
    return sorted(frame["k"].unique().to_list(), key=lambda k: (k == ALL, k))


def named(frame: pl.DataFrame) -> pl.DataFrame:
    """A results or groups table whose ``model`` says model, head and variant, as the differences table names them."""
    return frame.with_columns(_NAME)


def standing(groups: pl.DataFrame | None, versions: Sequence[str], score: str = "auroc", k: int = ALL) -> pl.DataFrame:
    """Macro and group values, ours first and then each version's.

    Returns:
        Columns ``source``, ``model``, ``place`` (one of :data:`PLACES`), ``value``, ``lower``, ``upper``, ``note`` (of
        a run's own rows what the value is a mean of, where tasks are missing).
    """
    columns = ["source", "model", "place", "value", "lower", "upper", "note"]
    parts = []
    if groups is not None:
        ours = named(groups.filter((pl.col("score") == score) & (pl.col("k") == k) & (pl.col("variant") == "")))
        parts.append(ours.with_columns(_POSSIBLE, source=pl.lit(OURS), place="group", note=_PARTIAL).select(columns))
    rows = published().filter(
        (pl.col("level") != "task") & (pl.col("ablation") == "") & (pl.col("score") == score) & (pl.col("k") == k)
    )
    for version in versions:
        parts.append(
            rows.filter(pl.col("version") == version).with_columns(source="version", place="name").select(columns)
        )
    empty = pl.DataFrame(schema=_SCHEMA | {"place": pl.String, "note": pl.String}).select(columns)
    return pl.concat([empty, *parts])


def curves(
    groups: pl.DataFrame | None,
    results: pl.DataFrame | None,
    place: str,
    score: str,
    versions: Sequence[str],
) -> pl.DataFrame:
    """Few-shot curves of one place.

    Args:
        groups: groups table of a run, or None.
        results: results table of the same run, or None.
        place: "macro", a group id or a sub-task key.
        score: "auroc", "auprc" or "brier".
        versions: of the published curves.

    Returns:
        Columns ``source``, ``model``, ``k``, ``value``, ``lower``, ``upper`` (plus and minus one standard deviation
        over few-shot replicates; the 95 % interval at k = -1), ``note`` (as in :func:`standing`; "" of a task).
    """
    columns = ["source", "model", "k", "value", "lower", "upper", "note"]
    parts = []
    if groups is not None and place in PLACES:
        ours = named(
            groups.filter((pl.col("score") == score) & (pl.col("group") == place) & (pl.col("variant") == ""))
        )
        parts.append(
            _banded(ours.with_columns(source=pl.lit(OURS), spread="replicate_std", note=_PARTIAL)).select(columns)
        )
    elif results is not None:
        ours = tasks(results, score, None).filter(pl.col("task") == place)
        parts.append(
            ours.rename({"replicate_std": "spread"}).with_columns(note=pl.lit("")).pipe(_banded).select(columns)
        )
    rows = published().filter(
        (pl.col("name") == place)
        & (pl.col("ablation") == "")
        & (pl.col("score") == score)
        & pl.col("version").is_in(list(versions))
    )
    with_curve = rows.filter(pl.col("k") != ALL).select("version", "model").unique()
    rows = rows.join(with_curve, on=["version", "model"], how="semi")
    parts.append(_banded(rows.with_columns(source="version", spread="std")).select(columns))
    return pl.concat(parts).sort("source", "model", pl.col("k") == ALL, "k", maintain_order=True)


def _banded(frame: pl.DataFrame) -> pl.DataFrame:
    few = pl.col("k") != ALL
    spread = pl.col("spread").fill_nan(None)
    return frame.with_columns(
        lower=pl.when(few).then(pl.col("value") - spread).otherwise(pl.col("lower")),
        upper=pl.when(few).then(pl.col("value") + spread).otherwise(pl.col("upper")),
    ).with_columns(_POSSIBLE)


def tasks(results: pl.DataFrame, score: str, k: int | None = ALL) -> pl.DataFrame:
    """One row a sub-task and model of a run, few-shot replicates averaged.

    A few-shot row's interval is the mean plus and minus 1.96 root mean squares of the replicates' bootstrap standard
    deviations (the paper's rule); with all training data it is the bootstrap's percentile interval.

    Returns:
        Columns ``source``, ``model``, ``task`` (sub-task key), ``k``, ``value``, ``lower``, ``upper``, ``n``,
        ``n_positive``, ``patients_with`` (held-out patients with a positive, null in runs of an older version),
        ``reliable`` (by patients, :data:`core.risk.score.MIN_CASES`), ``replicate_std`` (null of a single replicate),
        ``chosen`` (of each replicate, once).
    """
    wanted = results.filter((pl.col("score") == score) & (pl.col("variant") == ""))
    if "patients_with" not in wanted.columns:
        wanted = wanted.with_columns(patients_with=pl.lit(None, pl.Int64))
    if k is not None:
        wanted = wanted.filter(pl.col("k") == k)
    key = pl.struct("labeling_function", "sub_task").map_elements(
        lambda row: _KEY.get((row["labeling_function"], row["sub_task"]), row["sub_task"]), return_dtype=pl.String
    )
    spread = pl.col("std").pow(2).mean().sqrt() * 1.96
    one = pl.col("k") == ALL
    out = (
        named(wanted)
        .with_columns(task=key, _scarcest=scarcest(wanted))
        .group_by("model", "task", "k", maintain_order=True)
        .agg(
            pl.col("value").mean(),
            pl.col("lower").first().alias("_lower"),
            pl.col("upper").first().alias("_upper"),
            spread.alias("_spread"),
            pl.when(pl.len() > 1).then(pl.col("value").std(ddof=0)).alias("replicate_std"),
            pl.col("n").max(),
            pl.col("n_positive").max(),
            pl.col("_scarcest").max(),
            pl.col("patients_with").max(),
            pl.col("chosen").drop_nulls().unique(maintain_order=True).str.join(" | "),
        )
    )
    return (
        out.with_columns(
            source=pl.lit(OURS),
            lower=pl.when(one).then("_lower").otherwise(pl.col("value") - pl.col("_spread")),
            upper=pl.when(one).then("_upper").otherwise(pl.col("value") + pl.col("_spread")),
            reliable=pl.col("_scarcest") >= MIN_CASES,
        )
        .with_columns(_POSSIBLE)
        .drop("_lower", "_upper", "_spread", "_scarcest")
    )


def published_tasks(score: str, k: int = ALL) -> pl.DataFrame:
    """Published figures by sub-task: ``source``, ``model``, ``task``, ``value``, ``lower``, ``upper``, ``note``."""
    rows = published().filter((pl.col("level") == "task") & (pl.col("score") == score) & (pl.col("k") == k))
    return rows.select(
        pl.col("version").alias("source"), "model", pl.col("name").alias("task"), "value", "lower", "upper", "note"
    )


def families(groups: pl.DataFrame | None) -> dict[str, str]:
    """Ablations that a run or the publications have, by name, with their display names."""
    known = set(published().filter(pl.col("ablation") != "")["ablation"].to_list())
    if groups is not None:
        known |= set(groups["variant"].to_list())
    have = {text.partition("=")[0] for text in known}
    return {name: title for name, title in FAMILIES.items() if name in have}


def ablations(groups: pl.DataFrame | None, family: str, versions: Sequence[str], place: str = "macro") -> pl.DataFrame:
    """AUROC on all training data under each variant of one ablation.

    The model without the ablation is the variant "as it is" for the run; publications name theirs ("full", "8192").

    Returns:
        Columns ``source``, ``model`` (the head alone where encoders are compared), ``variant`` (the value alone:
        "512", "without:labs"), ``value``, ``lower``, ``upper``, ``note`` (as in :func:`standing`); variants in their
        natural order.
    """
    columns = ["source", "model", "variant", "value", "lower", "upper", "note"]
    rows = published().filter(
        pl.col("ablation").str.starts_with(f"{family}=")
        & (pl.col("name") == place)
        & (pl.col("score") == "auroc")
        & pl.col("version").is_in(list(versions))
    )
    value = pl.col("variant").str.strip_prefix(f"{family}=")
    parts = [rows.with_columns(source="version", variant="ablation").with_columns(variant=value).select(columns)]
    if groups is not None:
        ours = groups.filter((pl.col("score") == "auroc") & (pl.col("k") == ALL) & (pl.col("group") == place))
        changed = ours.filter(pl.col("variant").str.starts_with(f"{family}="))
        base = ours.filter(pl.col("variant") == "").join(changed.select("head").unique(), on="head", how="semi")
        if family != "encoder":
            base = base.join(changed.select("model").unique(), on="model", how="semi")
        both = pl.concat([changed.with_columns(variant=value), base.with_columns(variant=pl.lit(UNCHANGED))])
        name = pl.col("head") if family == "encoder" else pl.col("model") + " " + pl.col("head")
        variant = pl.when((pl.col("variant") == UNCHANGED) & (family == "encoder")).then("model").otherwise("variant")
        parts.insert(
            0,
            both.with_columns(_POSSIBLE, source=pl.lit(OURS), variant=variant, model=name, note=_PARTIAL).select(
                columns
            ),
        )
    out = pl.concat(parts)
    order = {
        text: i
        for i, text in enumerate(sorted(out["variant"].unique().to_list(), key=lambda t: variant_order(family, t)))
    }
    rank = pl.col("variant").replace_strict(order, return_dtype=pl.Int64) if order else pl.lit(0)
    return out.sort(pl.col("source") != OURS, "source", "model", rank, maintain_order=True)


def variant_order(family: str, variant: str) -> tuple:
    """Key that sorts variants of an ablation: numbers, the paper's order, the unchanged model last."""
    if variant == UNCHANGED:
        return (9, 0.0, "")
    if variant.isdecimal():
        return (1, float(variant), "")
    known = _VALUES.get(family, ())
    return (2, float(known.index(variant)) if variant in known else 99.0, variant)


def oriented(differences: pl.DataFrame, a: str, b: str, k: int, score: str) -> pl.DataFrame:
    """Paired differences ``a`` minus ``b``, turned round where the table has ``b`` minus ``a``."""
    here = differences.filter((pl.col("k") == k) & (pl.col("score") == score))
    straight = here.filter((pl.col("a") == a) & (pl.col("b") == b))
    if straight.height:
        return straight
    turned = here.filter((pl.col("a") == b) & (pl.col("b") == a))
    return turned.with_columns(
        a=pl.lit(a), b=pl.lit(b), difference=-pl.col("difference"), lower=-pl.col("upper"), upper=-pl.col("lower")
    )


def mean_replicates(predictions: pl.DataFrame) -> pl.DataFrame:
    """Predictions of one sub-task and k with few-shot replicates averaged, one row a label and model.

    Returns:
        Columns ``model`` (named), ``patient_id``, ``prediction_time``, ``label``, ``proba``, ``proba_calibrated``.
    """
    keys = ["model", "patient_id", "prediction_time"]
    return (
        named(predictions)
        .group_by(keys, maintain_order=True)
        .agg(pl.col("label").first(), pl.col("proba").mean(), pl.col("proba_calibrated").mean())
    )


def interval_text(value: float | None, lower: float | None, upper: float | None, dash: str = " to ") -> str:
    """Write "0.812 (0.790 to 0.834)", without the interval where there is none; "" where there is no value."""
    if value is None or not np.isfinite(value):
        return ""
    if lower is None or upper is None or not (np.isfinite(lower) and np.isfinite(upper)):
        return f"{value:.3f}"
    return f"{value:.3f} ({lower:.3f}{dash}{upper:.3f})"


def p_text(value: float | None) -> str:
    """Write a p-value, never as 0; "not defined" where there is none."""
    if value is None or value != value:
        return "not defined"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
