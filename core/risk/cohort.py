"""Labels of a dataset ready for heads: binary targets, splits, and everything that was wrong with them.

Nothing is dropped silently: each row that cannot be used is counted in a :class:`Problem` with its reason, and the
rest goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from core.ehr.tasks import get_task
from core.ehr.usable_labels import LEFT_OUT, usable_labels
from core.errors import ChartlightError, InputError
from core.risk.subtasks import targets
from core.wording import counted, verb

SPLITS = ("train", "tuning", "held_out")


@dataclass(frozen=True)
class Problem:
    """Something wrong with the input, for the report.

    Attributes:
        task: task id, or sub-task key.
        kind: "unknown_subject", "before_birth", "duplicate_label", "conflicting_label", "no_split",
            "two_splits", "bad_label", "missing_features", "other_records", "wrong_dimension", "one_class",
            "no_labels", "unreadable_record", "shots_file" or "failed".
        count: rows concerned.
        message: what it is and what was done.
    """

    task: str
    kind: str
    count: int
    message: str


@dataclass(frozen=True, eq=False)
class TaskLabels:
    """The usable labels of one task.

    Attributes:
        task: task id.
        subject: int64 ``(n,)``.
        time: datetime64[us] ``(n,)`` prediction times.
        split: str ``(n,)``, one of :data:`SPLITS`.
        target: int8 ``(n,)`` by sub-task key.
    """

    task: str
    subject: np.ndarray
    time: np.ndarray
    split: np.ndarray
    target: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.subject)

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of one split."""
        return np.flatnonzero(self.split == split)

    def take(self, rows: np.ndarray) -> "TaskLabels":
        """The labels of these rows only."""
        target = {key: values[rows] for key, values in self.target.items()}
        return TaskLabels(self.task, self.subject[rows], self.time[rows], self.split[rows], target)


def load_task_labels(dataset: Any, task_id: str) -> tuple[TaskLabels, list[Problem]]:
    """Read one task's labels and name every row that cannot be used.

    Rows for subjects that the dataset lacks, rows from before the subject's birth, rows of subjects without a split or
    in several (a model must not learn from whom it is evaluated on), and rows whose value is outside of the task's
    range are left out; identical duplicates count once; duplicates with different values are all left out.
    A task without usable labels comes back empty with its problem.
    """
    problems: list[Problem] = []

    def note(kind: str, count: int, message: str) -> None:
        if count:
            problems.append(Problem(task_id, kind, int(count), message))

    get_task(task_id)
    try:
        frame = dataset.labels(task_id)
    except ChartlightError as error:
        return _empty(task_id), [Problem(task_id, "no_labels", 0, str(error))]
    usable = usable_labels(dataset, frame)
    for kind, n in usable.left_out.items():
        note(kind, n, f"{counted(n, 'label')} {LEFT_OUT[kind]} {_left_out(n)}")
    frame, n = _without_bad_values(usable.frame, task_id)
    note("bad_label", n, f"{counted(n, 'label')} with a value outside of the task's range {_left_out(n)}")
    unique = frame.unique(maintain_order=True)
    n = frame.height - unique.height
    note(
        "duplicate_label",
        n,
        f"{counted(n, 'label row')} {verb(n, 'repeats', 'repeat')} another row; each label was counted once",
    )
    key = ["subject_id", "prediction_time"]
    conflict = unique.group_by(key, maintain_order=True).len().filter(pl.col("len") > 1)
    n = int(conflict["len"].sum())
    note("conflicting_label", n, f"{n} labels of the same subject and time contradict each other and were left out")
    unique = unique.join(conflict, on=key, how="anti")
    splits = dataset.splits().unique(maintain_order=True)
    torn = splits.filter(pl.col("subject_id").is_duplicated()).select("subject_id").unique()
    n = unique.height
    unique = unique.join(torn, on="subject_id", how="anti", maintain_order="left")
    note(
        "two_splits",
        n - unique.height,
        f"{counted(n - unique.height, 'label')} of subjects in two splits {_left_out(n - unique.height)}",
    )
    joined = unique.join(splits, on="subject_id", how="left", maintain_order="left")
    without = joined.filter(pl.col("split").is_null() | ~pl.col("split").is_in(list(SPLITS)))
    note(
        "no_split",
        without.height,
        f"{counted(without.height, 'label')} of {counted(without['subject_id'].n_unique(), 'subject')} without a "
        f"split {_left_out(without.height)}",
    )
    joined = joined.filter(pl.col("split").is_in(list(SPLITS))).sort(key, maintain_order=True)
    if not joined.height:
        return _empty(task_id), [*problems, Problem(task_id, "no_labels", 0, "no usable label is left")]
    labels = TaskLabels(
        task_id,
        joined["subject_id"].to_numpy(),
        joined["prediction_time"].to_numpy().astype("datetime64[us]"),
        np.array(joined["split"].to_list(), dtype=object).astype(str),
        targets(task_id, joined["value"].to_numpy()),
    )
    return labels, problems


def _without_bad_values(frame: pl.DataFrame, task_id: str) -> tuple[pl.DataFrame, int]:
    highest = {"boolean": 1, "severity": 3, "findings": (1 << 14) - 1}[get_task(task_id).label_type]
    value = pl.col("value").cast(pl.Float64, strict=False)
    good = frame.filter(value.is_not_null() & value.is_between(0, highest) & (value == value.floor()))
    n = frame.height - good.height
    return good.with_columns(pl.col("value").cast(pl.Float64).cast(pl.Int64)), n


def _empty(task_id: str) -> TaskLabels:
    keys = targets(task_id, np.zeros(0, np.int64))
    return TaskLabels(task_id, np.zeros(0, np.int64), np.zeros(0, "datetime64[us]"), np.zeros(0, "U8"), keys)


def limit_rows(labels: TaskLabels, per_split: int | None, seed: int = 0) -> TaskLabels:
    """At most ``per_split`` labels of each split, drawn without looking at the outcome; all for None."""
    if per_split is None:
        return labels
    if per_split < 1:
        raise InputError(f"{per_split} labels are asked for", "give 1 or more")
    rng, keep = np.random.default_rng(seed), []
    for split in SPLITS:
        rows = labels.rows(split)
        keep.append(rows if len(rows) <= per_split else np.sort(rng.permutation(rows)[:per_split]))
    return labels.take(np.sort(np.concatenate(keep)))


def unique_times(tasks: Sequence[TaskLabels]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct (subject, prediction time) pairs of several tasks, sorted: int64 and datetime64[us] ``(m,)``."""
    if not tasks:
        return np.zeros(0, np.int64), np.zeros(0, "datetime64[us]")
    pairs = np.unique(
        np.stack(
            [
                np.concatenate([task.subject for task in tasks]),
                np.concatenate([task.time.astype("datetime64[us]").astype(np.int64) for task in tasks]),
            ],
            axis=1,
        ),
        axis=0,
    )
    return pairs[:, 0], pairs[:, 1].astype("datetime64[us]")


def find_rows(subject: np.ndarray, time: np.ndarray, in_subject: np.ndarray, in_time: np.ndarray) -> np.ndarray:
    """Position of each (subject, time) in another table, -1 where it is not there; the first of several."""
    times = np.asarray(in_time, "datetime64[us]").astype(np.int64)
    where: dict[tuple[int, int], int] = {}
    for i, key in enumerate(zip(np.asarray(in_subject).tolist(), times.tolist())):
        where.setdefault(key, i)
    wanted = np.asarray(time, "datetime64[us]").astype(np.int64).tolist()
    return np.array([where.get(key, -1) for key in zip(np.asarray(subject).tolist(), wanted)], dtype=np.int64)


def _left_out(n: int) -> str:
    return f"{verb(n, 'was', 'were')} left out"
