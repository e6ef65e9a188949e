"""Train the heads of all tasks on one encoder and write them with their cards: `python -m core train-heads`.

The steps: labels of the dataset with their splits, one record for each subject and prediction time, embeddings
through the cache, heads fitted on train, C and calibration on tuning, and everything that a card states on held_out.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from core.errors import ChartlightError
from core.progress import Progress, silent
from core.risk import cards
from core.risk.bootstrap import Resamples, bootstrap_values, summarise
from core.risk.cohort import Problem, TaskLabels
from core.risk.fit import fit_head
from core.risk.heads import Head, head_version, save_head
from core.risk.identity import FeatureIdentity
from core.risk.metrics import all_metrics
from core.risk.subgroups import ATTRIBUTES, RowAttributes, subgroup_table
from core.risk.subtasks import SUBTASK_BY_KEY, SubTask


@dataclass(frozen=True)
class TrainingSource:
    """Where the training data come from, for the cards.

    Attributes:
        name: of the dataset.
        synthetic: whether its subjects are no real people.
        command: that makes the heads again.
        seed: of the data and the fits.
    """

    name: str
    synthetic: bool
    command: str
    seed: int = 0


def fit_task(
    labels: TaskLabels,
    features: np.ndarray,
    identity: FeatureIdentity,
    source: TrainingSource,
    attributes: Sequence[RowAttributes] | None = None,
) -> tuple[list[Head], list[Problem]]:
    """Fit the heads of one task.

    Args:
        labels: usable labels of the task.
        features: float ``(n, d)``, one row a label.
        identity: what the features were made with.
        source: for the card.
        attributes: of each label's row, for the subgroup table; none leaves that item empty.

    Returns:
        The heads, and a problem for each sub-task that could not be fitted.
    """
    heads, problems = [], []
    rows = {split: labels.rows(split) for split in ("train", "tuning", "held_out")}
    for key, target in labels.target.items():
        try:
            heads.append(_fit_one(SUBTASK_BY_KEY[key], labels, target, features, rows, identity, source, attributes))
        except ChartlightError as error:
            problems.append(Problem(key, "one_class", len(target), f"no head: {error.what}"))
    return heads, problems


def _fit_one(
    subtask: SubTask,
    labels: TaskLabels,
    target: np.ndarray,
    features: np.ndarray,
    rows: Mapping[str, np.ndarray],
    identity: FeatureIdentity,
    source: TrainingSource,
    attributes: Sequence[RowAttributes] | None,
) -> Head:
    train, tuning, held = rows["train"], rows["tuning"], rows["held_out"]
    fitted, calibrator = fit_head(
        features[train], target[train], features[tuning], target[tuning], labels.subject[tuning], seed=source.seed
    )
    raw = fitted.raw(features[held]).astype(np.float32)
    _, cluster = np.unique(labels.subject[held], return_inverse=True)
    head = Head(
        subtask,
        identity,
        fitted.scale,
        fitted.coef,
        fitted.intercept,
        calibrator,
        raw,
        target[held].astype(np.int8),
        cluster.astype(np.int32),
        {},
    )
    card = _card(head, fitted.c, float(fitted.validation_auroc.max()), labels, target, rows, source, attributes)
    return dataclasses.replace(head, card=card, version=head_version(head))


def _card(
    head: Head,
    c: float,
    tuning_auroc: float,
    labels: TaskLabels,
    target: np.ndarray,
    rows: Mapping[str, np.ndarray],
    source: TrainingSource,
    attributes: Sequence[RowAttributes] | None,
) -> dict[str, Any]:
    held = rows["held_out"]
    probability, outcome = head.reference_probability, head.reference_target
    values = all_metrics(outcome, probability)
    replicates = bootstrap_values(outcome, probability, Resamples(labels.subject[held], seed=source.seed))
    data: dict[str, Any] = {"source": source.name, "synthetic": source.synthetic}
    for split, of_split in rows.items():
        data[split] = len(of_split)
        data[f"{split}_positive"] = int(target[of_split].sum())
        data[f"{split}_patients"] = len(np.unique(labels.subject[of_split]))
    groups = {}
    if attributes is not None:
        groups = {name: [attributes[i].get(name) for i in held] for name in ATTRIBUTES}
    table = subgroup_table(outcome, probability, head.reference_cluster, groups)
    return {
        **cards.fixed_items(head.subtask, source.name, source.synthetic),
        "data": data,
        "model": {
            "kind": "MaxAbsScaler and L2 logistic regression on the embedding, fitted on train",
            "c": c,
            "chosen_by": "AUROC on the tuning split over the paper's grid of C",
            "tuning_auroc": cards.number(tuning_auroc),
        },
        "calibration": {
            "method": head.calibrator.method,
            "fitted_on": "tuning split",
            "measured_on": "held_out split",
            "slope": cards.number(values["calibration_slope"]),
            "intercept": cards.number(values["calibration_intercept"]),
            "in_the_large": cards.number(values["calibration_in_the_large"]),
            "ece": cards.number(values["ece"]),
            "ici": cards.number(values["ici"]),
        },
        "performance": {
            name: cards.summary_item(summarise(values[name], replicate)) for name, replicate in replicates.items()
        },
        "subgroups": cards.subgroup_items(table),
        "reproduce": {
            "command": source.command,
            "seed": source.seed,
            "software": {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")},
        },
    }


@dataclass(frozen=True)
class TrainedHeads:
    """What a training run gave: heads by key, and everything that was wrong."""

    heads: dict[str, Head]
    problems: list[Problem]


def train_heads(
    tasks: Sequence[TaskLabels],
    features_of: Callable[[TaskLabels], np.ndarray],
    identity: FeatureIdentity,
    source: TrainingSource,
    dest: Path,
    attributes_of: Callable[[TaskLabels], Sequence[RowAttributes]] | None = None,
    progress: Progress | None = None,
) -> TrainedHeads:
    """Fit all tasks, two at a time, and write the heads into ``dest``; see :func:`fit_task`.

    Heads that an earlier run left in ``dest`` and that this run does not make are removed.
    """
    progress, dest = progress or silent, Path(dest)

    def work(labels: TaskLabels) -> tuple[list[Head], list[Problem]]:
        return fit_task(
            labels, features_of(labels), identity, source, attributes_of(labels) if attributes_of else None
        )

    heads: dict[str, Head] = {}
    problems: list[Problem] = []
    with threadpool_limits(1), ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for done, (made, wrong) in enumerate(pool.map(work, tasks), start=1):
            heads |= {head.key: head for head in made}
            problems += wrong
            progress(done, len(tasks), tasks[done - 1].task)
    dest.mkdir(parents=True, exist_ok=True)
    for key in SUBTASK_BY_KEY:
        if key not in heads:
            (dest / f"{key}.npz").unlink(missing_ok=True)
            (dest / f"{key}.json").unlink(missing_ok=True)
    for head in heads.values():
        save_head(head, dest)
    return TrainedHeads(heads, problems)


def as_datetime(time: np.datetime64) -> datetime:
    """A numpy time as a datetime."""
    return time.astype("datetime64[us]").astype(datetime)
