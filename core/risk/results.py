"""Tidy tables of a benchmark: results in EHRSHOT's columns, groups, paired differences, predictions."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl

from core.ehr.tasks import GROUPS, TASK_BY_ID
from core.risk.bootstrap import (
    Resamples,
    Summary,
    bootstrap_values,
    group_summary,
    holm,
    macro_summary,
    paired_difference,
    summarise,
)
from core.risk.cohort import TaskLabels
from core.risk.metrics import auprc, auroc, brier, calibration_slope_intercept, ece
from core.risk.model_names import model_key
from core.risk.subtasks import ALL_SUBTASKS, SUBTASK_BY_KEY
from core.risk.units import UnitPart, UnitResult, UnitSpec

METRICS = {"auroc": auroc, "auprc": auprc, "brier": brier}
COLUMNS = (
    "labeling_function",
    "sub_task",
    "model",
    "head",
    "replicate",
    "k",
    "score",
    "value",
    "std",
    "lower",
    "mean",
    "upper",
)
"""EHRSHOT's columns; ours follow after them: variant, n, n_positive, undefined, chosen, patients_with (held-out
patients with a positive), patients_without (with a negative)."""


def result_rows(unit: UnitResult, labels: TaskLabels) -> list[dict]:
    """Rows of the results table for one unit."""
    rows = []
    spec = unit.spec
    for part in unit.parts:
        target, patients = labels.target[part.key][part.rows], labels.subject[part.rows]
        common = {
            "labeling_function": spec.task,
            "sub_task": SUBTASK_BY_KEY[part.key].paper_name,
            "model": spec.model,
            "head": spec.head,
            "replicate": part.replicate,
            "k": spec.k,
        }
        extra = {
            "variant": spec.variant,
            "n": len(target),
            "n_positive": int(target.sum()),
            "patients_with": len(np.unique(patients[target == 1])),
            "patients_without": len(np.unique(patients[target == 0])),
            "chosen": part.chosen,
        }
        for i, (name, metric) in enumerate(METRICS.items()):
            summary = summarise(metric(target, part.probability), part.boot[i])
            rows.append(common | _values(name, summary) | extra | {"undefined": summary.undefined})
        slope, intercept = calibration_slope_intercept(target, part.calibrated)
        for name, value in (
            ("brier_calibrated", brier(target, part.calibrated)),
            ("ece_calibrated", ece(target, part.calibrated)),
            ("calibration_slope", slope),
            ("calibration_intercept", intercept),
        ):
            nan = float("nan")
            rows.append(common | _values(name, Summary(value, nan, nan, nan, nan)) | extra | {"undefined": 0})
    return rows


def _values(score: str, summary: Summary) -> dict:
    return {
        "score": score,
        "value": summary.value,
        "std": summary.std,
        "lower": summary.lower,
        "mean": summary.mean,
        "upper": summary.upper,
    }


_SCHEMA = {
    "labeling_function": pl.String,
    "sub_task": pl.String,
    "model": pl.String,
    "head": pl.String,
    "replicate": pl.Int64,
    "k": pl.Int64,
    "score": pl.String,
    "value": pl.Float64,
    "std": pl.Float64,
    "lower": pl.Float64,
    "mean": pl.Float64,
    "upper": pl.Float64,
    "variant": pl.String,
    "n": pl.Int64,
    "n_positive": pl.Int64,
    "undefined": pl.Int64,
    "chosen": pl.String,
    "patients_with": pl.Int64,
    "patients_without": pl.Int64,
}


def scarcest(results: pl.DataFrame) -> pl.Expr:
    """How many held-out patients the rarer outcome of a results table's rows has, the smaller of with and without.

    Tables of an older version do not say: there labels stand for patients.
    """
    has = set(results.columns)
    counts = []
    for column, labels in (
        ("patients_with", pl.col("n_positive")),
        ("patients_without", pl.col("n") - pl.col("n_positive")),
    ):
        counts.append(pl.coalesce(column, labels) if column in has else labels)
    return pl.min_horizontal(counts)


def results_table(rows: Sequence[dict]) -> pl.DataFrame:
    """The results table; one row a sub-task, model, head, replicate, k and score."""
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def groups_table(results: pl.DataFrame) -> pl.DataFrame:
    """Group and macro values by the paper's rule, one row a model, head, k, variant and score.

    Few-shot replicates are averaged first (mean of values, of means and of bootstrap variances);
    ``replicate_std`` is the standard deviation over the replicates' group values. ``n_tasks`` counts the sub-tasks
    behind a group, ``n_groups`` the groups behind a macro value (4 when complete).
    """
    out = []
    by = ["model", "head", "k", "variant", "score"]
    wanted = results.filter(pl.col("score").is_in(list(METRICS)))
    for key, part in wanted.group_by(by, maintain_order=True):
        about = dict(zip(by, key))
        cells: dict[str, list[Summary]] = defaultdict(list)
        over_replicates: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for (task, _), rows in part.group_by(["labeling_function", "sub_task"], maintain_order=True):
            group = TASK_BY_ID[str(task)].group
            cells[group].append(_over_replicates(rows))
            for replicate, value in zip(rows["replicate"].to_list(), rows["value"].to_list()):
                over_replicates[group][replicate].append(value)
        groups = {group: group_summary(cells[group]) for group in GROUPS if group in cells}
        replicate_means = {
            group: {r: float(np.mean(values)) for r, values in over_replicates[group].items()} for group in groups
        }
        for group, summary in groups.items():
            spread = list(replicate_means[group].values())
            out.append(about | _group_row(group, summary, spread, len(cells[group]), 1))
        shared = set.intersection(*(set(means) for means in replicate_means.values()))
        spread = [float(np.mean([means[r] for means in replicate_means.values()])) for r in sorted(shared)]
        n_tasks = sum(len(values) for values in cells.values())
        out.append(about | _group_row("macro", macro_summary(groups), spread, n_tasks, len(groups)))
    schema = {"model": pl.String, "head": pl.String, "k": pl.Int64, "variant": pl.String, "score": pl.String}
    schema |= {"group": pl.String, "value": pl.Float64, "std": pl.Float64, "lower": pl.Float64, "mean": pl.Float64}
    schema |= {"upper": pl.Float64, "replicate_std": pl.Float64, "n_tasks": pl.Int64, "n_groups": pl.Int64}
    return pl.DataFrame(out, schema=schema, orient="row")


def partial_mean(group: str, n_tasks: int, n_groups: int) -> str:
    """What a group or macro value is a mean of where that is not all of it ("4 of 6 tasks"); "" where it is.

    Values over different tasks do not compare, neither with each other nor with published ones.

    Args:
        group: group id or "macro".
        n_tasks: sub-tasks behind the value.
        n_groups: groups behind a macro value.
    """
    whole = sum(group in ("macro", TASK_BY_ID[sub.task].group) for sub in ALL_SUBTASKS)
    parts = [f"{n_groups} of {len(GROUPS)} groups"] if group == "macro" and n_groups < len(GROUPS) else []
    if n_tasks < whole:
        parts.append(f"{n_tasks} of {whole} {'findings' if group == 'chexpert' else 'tasks'}")
    return ", ".join(parts)


def _over_replicates(rows: pl.DataFrame) -> Summary:
    std = float(np.sqrt(np.mean(np.square(rows["std"].to_numpy()))))
    nan = float("nan")
    return Summary(float(rows["value"].mean()), float(rows["mean"].mean()), std, nan, nan)  # type: ignore[arg-type]


def _group_row(group: str, summary: Summary, spread: list[float], n_tasks: int, n_groups: int) -> dict:
    return {
        "group": group,
        "value": summary.value,
        "std": summary.std,
        "lower": summary.lower,
        "mean": summary.mean,
        "upper": summary.upper,
        "replicate_std": float(np.std(spread)) if len(spread) > 1 else float("nan"),
        "n_tasks": n_tasks,
        "n_groups": n_groups,
    }


def differences_table(units: Sequence[UnitResult], labels: dict[str, TaskLabels]) -> pl.DataFrame:
    """Paired differences of AUROC and AUPRC between pairs of models, by task and k, with Holm across tasks.

    Pairs are all unchanged models with each other, and each ablation with the unchanged models, not with the other
    ablations.

    The paper's rule (v5): a model's few-shot replicates' probabilities are averaged, chexpert is collapsed to the mean
    over its findings, and both models are evaluated on the same patient resamples. Rows that one of the two models
    has no features for are left out of their comparison; ``n`` counts what was compared. ``undefined`` counts the
    resamples without both classes (of chexpert: of any finding), which interval and p-value leave out.
    """
    by_task: dict[tuple[str, int], dict[str, UnitResult]] = defaultdict(dict)
    for unit in units:
        spec = unit.spec
        by_task[spec.task, spec.k][model_key(spec.model, spec.head, spec.variant)] = unit
    rows = []
    for (task, k), models in by_task.items():
        averaged = {name: _averaged(unit) for name, unit in models.items()}
        cache: dict[tuple, dict[str, np.ndarray]] = {}
        for a, b in combinations(models, 2):
            if models[a].spec.variant and models[b].spec.variant:
                continue
            row = _compare(labels[task], averaged[a], averaged[b], models[a].spec, cache)
            if row:
                rows += [{"task": task, "k": k, "a": a, "b": b, **entry} for entry in row]
    frame = pl.DataFrame(
        rows,
        schema={
            "task": pl.String,
            "k": pl.Int64,
            "a": pl.String,
            "b": pl.String,
            "score": pl.String,
            "difference": pl.Float64,
            "lower": pl.Float64,
            "upper": pl.Float64,
            "p_value": pl.Float64,
            "n": pl.Int64,
            "undefined": pl.Int64,
        },
        orient="row",
    )
    if not frame.height:
        return frame.with_columns(pl.lit(None, pl.Float64).alias("p_holm"))
    parts = []
    for _, part in frame.group_by(["k", "a", "b", "score"], maintain_order=True):
        parts.append(part.with_columns(pl.Series("p_holm", holm(part["p_value"].to_numpy()))))
    return pl.concat(parts)


def _averaged(unit: UnitResult) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows and mean probability over few-shot replicates, by sub-task."""
    by_key: dict[str, list[UnitPart]] = defaultdict(list)
    for part in unit.parts:
        by_key[part.key].append(part)
    return {
        key: (parts[0].rows, np.mean([part.probability for part in parts], axis=0)) for key, parts in by_key.items()
    }


def _compare(labels: TaskLabels, a: dict, b: dict, spec: UnitSpec, cache: dict) -> list[dict]:
    deltas: dict[str, list[tuple[float, float, np.ndarray, np.ndarray]]] = defaultdict(list)
    n = 0
    for key in a:
        if key not in b:
            continue
        rows = np.intersect1d(a[key][0], b[key][0])
        target = labels.target[key][rows]
        if not 0 < target.sum() < len(target):
            continue
        n = max(n, len(rows))
        sides = []
        for own_rows, probability in (a[key], b[key]):
            at = probability[np.searchsorted(own_rows, rows)]
            mark = (key, rows.tobytes(), at.tobytes())
            if mark not in cache:
                resamples = Resamples(labels.subject[rows], spec.replicates, spec.seed)
                cache[mark] = bootstrap_values(target, at, resamples, ["auroc", "auprc"])
            sides.append((at, cache[mark]))
        for name in ("auroc", "auprc"):
            metric = METRICS[name]
            deltas[name].append(
                (metric(target, sides[0][0]), metric(target, sides[1][0]), sides[0][1][name], sides[1][1][name])
            )
    out = []
    for name, parts in deltas.items():
        value_a, value_b = np.mean([p[0] for p in parts]), np.mean([p[1] for p in parts])
        difference = paired_difference(
            float(value_a),
            float(value_b),
            np.mean([p[2] for p in parts], axis=0),
            np.mean([p[3] for p in parts], axis=0),
        )
        out.append({"score": name, **vars(difference), "n": n})
    return out


PREDICTIONS: dict[str, pl.DataType] = {
    "patient_id": pl.Int64(),
    "prediction_time": pl.Datetime("us"),
    "labeling_function": pl.String(),
    "sub_task": pl.String(),
    "model": pl.String(),
    "head": pl.String(),
    "variant": pl.String(),
    "replicate": pl.Int64(),
    "k": pl.Int64(),
    "label": pl.Int8(),
    "proba": pl.Float64(),
    "proba_calibrated": pl.Float64(),
}
"""Columns of the predictions."""


def predictions_table(unit: UnitResult, labels: TaskLabels) -> pl.DataFrame:
    """Every prediction of one unit: EHRSHOT's ``*_probas`` columns, plus time and calibrated probability."""
    frames = []
    spec = unit.spec
    for part in unit.parts:
        frames.append(
            pl.DataFrame(
                {
                    "patient_id": labels.subject[part.rows],
                    "prediction_time": labels.time[part.rows],
                    "labeling_function": spec.task,
                    "sub_task": SUBTASK_BY_KEY[part.key].paper_name,
                    "model": spec.model,
                    "head": spec.head,
                    "variant": spec.variant,
                    "replicate": part.replicate,
                    "k": spec.k,
                    "label": labels.target[part.key][part.rows],
                    "proba": part.probability,
                    "proba_calibrated": part.calibrated,
                },
                schema=PREDICTIONS,
            )
        )
    return pl.concat(frames) if frames else pl.DataFrame(schema=PREDICTIONS)
