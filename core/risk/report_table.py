"""Plain-text tables for the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from core.ehr.tasks import GROUPS, TASK_BY_ID
from core.risk.heads import Head
from core.risk.metrics import auprc, auroc, brier
from core.risk.model_names import model_key, model_name
from core.risk.results import partial_mean
from core.risk.score import TaskScore, cohort_notes, percentile_text
from core.wording import part


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned; the first to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [str(cell).ljust(w) if i == 0 else str(cell).rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *(line(row) for row in rows)])


def heads_table(heads: Mapping[str, Head]) -> str:
    """Held-out results of heads: one line a task (mean over findings for chexpert), then the findings."""
    header = ("task", "held out", "positives", "AUROC", "AUPRC", "Brier")
    rows, findings = [], []
    by_task: dict[str, list[Head]] = {}
    for head in heads.values():
        by_task.setdefault(head.subtask.task, []).append(head)
    for task, group in by_task.items():
        values = [_held_out(head) for head in group]
        counts = sorted({min(h.n_positive for h in group), max(h.n_positive for h in group)})
        positives = " to ".join(map(str, counts))
        mean = [f"{v:.3f}" for v in np.nanmean(np.array(values), axis=0)]
        rows.append((TASK_BY_ID[task].name, f"{group[0].n:,}", positives, *mean))
        if len(group) > 1:
            findings = [
                (f"  {h.subtask.name}", f"{h.n:,}", f"{h.n_positive:,}", *(f"{v:.3f}" for v in value))
                for h, value in zip(group, values)
            ]
    return text_table(header, [*rows, *findings])


def _held_out(head: Head) -> tuple[float, float, float]:
    probability, target = head.reference_probability, head.reference_target
    return auroc(target, probability), auprc(target, probability), brier(target, probability)


def scores_text(dataset: Any, scores: Sequence[TaskScore], outside: Mapping[str, str]) -> str:
    """Scores of one patient: where they come from, a table, each in words, and what to know of the heads' cohort.

    Args:
        dataset: the open dataset of the patient.
        scores: of :func:`core.risk.score.score_subject`.
        outside: by task, why it is not defined for this record.
    """
    header = ("task", "probability", "95 % interval", "average", "percentile", "n", "positives", "horizon", "head")
    rows, words = [], []
    for score in scores:
        name = score.name if score.label is None else f"Chest X-ray: {score.label}"
        if score.reliable:
            low, high = score.interval
            shown = (part(score.probability, 3), f"{part(low, 3)} to {part(high, 3)}")
            place = percentile_text(score.percentile)
        else:
            shown, place = ("no reliable estimate", "-"), "-"
        rows.append(
            (
                name,
                *shown,
                part(score.prevalence, 3),
                place,
                f"{score.n:,}",
                f"{score.n_positive:,}",
                score.horizon,
                score.head_version,
            )
        )
        why = f" Outside the task: {outside[score.task]}." if score.task in outside else ""
        words.append(f"{name}: {score.natural_frequency}.{why}")
    made = [f"Prediction time {time}" for time in dict.fromkeys(score.prediction_time.isoformat() for score in scores)]
    made += [f"encoder {encoder}" for encoder in dict.fromkeys(score.encoder for score in scores)]
    made += [
        f"average and percentile of {cohort}" + (" (synthetic patients)" if synthetic else "")
        for cohort, synthetic in dict.fromkeys((score.cohort, score.cohort_synthetic) for score in scores)
    ]
    parts = [" · ".join(made), text_table(header, rows), "\n".join(words), "\n".join(cohort_notes(scores, dataset))]
    return "\n\n".join(part for part in parts if part)


def groups_text(groups: pl.DataFrame) -> str:
    """Group and macro AUROC of a benchmark, one line a model and number of shots; a mean of fewer tasks says so."""
    part = groups.filter(pl.col("score") == "auroc")
    names = [name for name in [*GROUPS, "macro"] if name in part["group"].to_list()]
    rows = []
    for key, cells in part.group_by(["model", "head", "variant", "k"], maintain_order=True):
        value = {row["group"]: _mean(row) for row in cells.iter_rows(named=True)}
        model, head, variant, k = key
        name = model_name(model_key(str(model), str(head), str(variant)))
        rows.append((name, "all" if k == -1 else str(k), *(value.get(n, "-") for n in names)))
    return text_table(("AUROC", "k", *(GROUPS.get(name, "Macro") for name in names)), rows)


def _mean(row: Mapping[str, Any]) -> str:
    missing = partial_mean(row["group"], row["n_tasks"], row["n_groups"])
    return f"{row['value']:.3f}" + (f" ({missing})" if missing else "")
