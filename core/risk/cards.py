"""The card of a head: Model Facts (Sendak et al. 2020) and TRIPOD+AI (Collins et al. 2024) items, and their check."""

from collections.abc import Mapping
from typing import Any

from core.ehr.tasks import TASK_BY_ID
from core.risk.bootstrap import Summary
from core.risk.subgroups import SubgroupRow
from core.risk.subtasks import SubTask
from core.safety import NOTICE

ITEMS: dict[str, str] = {
    "name": "Name of the model",
    "summary": "What it is, in one sentence",
    "purpose": "Intended use",
    "not_for": "What it must not be used for",
    "outcome": "Outcome that is predicted",
    "prediction_time": "When the prediction is made",
    "horizon": "How far ahead the outcome may lie",
    "population": "People that it was developed and evaluated on",
    "data": "Data: source, rows, patients and positives by split",
    "features": "Features: encoder, serialisation, dimension",
    "model": "Model and how it was chosen",
    "missing_data": "How missing data are handled",
    "calibration": "Calibration: method, data, slope, intercept, error",
    "performance": "Discrimination and overall error with intervals, held out",
    "subgroups": "Performance in subgroups, small cells suppressed",
    "limits": "Known limits",
    "warnings": "Warnings",
    "licence": "Licence",
    "reproduce": "Command, seed and software that make it again",
}
"""Required items of a head's card and what each says, in the order in which a page shows them."""

_NESTED: dict[str, tuple[str, ...]] = {
    "data": ("source", "train", "train_positive", "tuning", "tuning_positive", "held_out", "held_out_positive"),
    "model": ("kind", "c", "chosen_by"),
    "calibration": ("method", "slope", "intercept", "ece", "ici"),
    "performance": ("auroc", "auprc", "brier"),
    "reproduce": ("command", "seed", "software"),
}


SYNTHETIC_WARNING = "Trained on synthetic patients: its probabilities hold for no real person."
"""The warning of a head that no real patient was used for; it goes with each of its scores."""


def missing_items(card: Mapping[str, Any]) -> list[str]:
    """Items that a card lacks or leaves empty ("performance.auroc"); [] for a complete card."""
    missing = [item for item in ITEMS if card.get(item) in (None, "", [], {})]
    for item, keys in _NESTED.items():
        value = card.get(item)
        if isinstance(value, Mapping):
            missing += [f"{item}.{key}" for key in keys if key not in value]
        elif item not in missing:
            missing.append(item)
    for metric, value in (card.get("performance") or {}).items():
        if not isinstance(value, Mapping) or not {"value", "lower", "upper"} <= set(value):
            missing.append(f"performance.{metric} (value, lower, upper)")
    return missing


def number(value: float | None, digits: int = 4) -> float | None:
    """A number for JSON: rounded, None for NaN."""
    return None if value is None or value != value else round(float(value), digits)


def summary_item(summary: Summary) -> dict[str, float | int | None]:
    """A bootstrapped metric for a card."""
    return {
        "value": number(summary.value),
        "lower": number(summary.lower),
        "upper": number(summary.upper),
        "undefined_replicates": summary.undefined,
    }


def subgroup_items(table: list[SubgroupRow]) -> list[dict[str, Any]]:
    """A subgroup table for a card."""
    out: list[dict[str, Any]] = []
    for row in table:
        item: dict[str, Any] = {"attribute": row.attribute, "group": row.group, "suppressed": row.suppressed}
        if not row.suppressed:
            item |= {"n": row.n, "patients": row.patients, "positives": row.positives, "brier": number(row.brier)}
            if row.auroc is not None:
                item |= {
                    "auroc": summary_item(row.auroc),
                    "auprc": number(row.auprc),
                    "calibration_in_the_large": number(row.calibration_in_the_large),
                }
        out.append(item)
    return out


def fixed_items(subtask: SubTask, source: str, synthetic: bool) -> dict[str, Any]:
    """The items that follow from the task and the kind of data."""
    task = TASK_BY_ID[subtask.task]
    outcome = f"{task.question} Finding: {subtask.label}." if subtask.label else task.question
    people = "Synthetic patients (made by a program)" if synthetic else "Patients"
    warnings = [
        NOTICE,
        "A score says nothing about what to do, and a reason shown for it explains the model, not the disease.",
    ]
    limits = [
        "Evaluated on held-out patients of the same data source only, never elsewhere.",
        "The interval of a score holds the uncertainty of the calibration, not that of the training.",
        "Patients lost to follow-up count as negative (EHRSHOT's definition).",
    ]
    if synthetic:
        warnings.insert(1, SYNTHETIC_WARNING)
        limits.append("The patients follow a simple disease model; real records are longer, messier and harder.")
    return {
        "name": f"Risk head: {subtask.name}",
        "summary": f"Logistic regression on text embeddings of the record: {outcome}",
        "purpose": "To show researchers and clinicians how risk heads on language-model embeddings of records behave.",
        "not_for": "Diagnosis, triage, treatment or any other decision about a person.",
        "outcome": outcome,
        "prediction_time": task.prediction_time,
        "horizon": task.horizon_text,
        "population": f"{people} of the dataset {source} with a label of this task.",
        "missing_data": "Missing measurements are absent from the text or stand there as 'No recent data'; "
        "nothing is imputed.",
        "limits": limits,
        "warnings": warnings,
        "licence": "Apache-2.0",
    }
