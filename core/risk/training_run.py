"""One training run over a dataset: labels, records, embeddings, heads, neighbours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.ehr.markdown import SerializationOptions
from core.errors import InputError
from core.progress import Progress, silent
from core.risk.cohort import Problem, TaskLabels, find_rows, limit_rows, load_task_labels, unique_times
from core.risk.neighbours import FILE, NeighbourPool, save_pool
from core.risk.records import embed_rows, feature_identity, instruction_for, takes_instruction
from core.risk.subgroups import RowAttributes, row_attributes
from core.risk.subtasks import SUBTASK_BY_KEY
from core.risk.train import TrainedHeads, TrainingSource, as_datetime, train_heads
from core.wording import counted, verb

MAX_NEIGHBOURS = 5000
"""Records kept as neighbours, so that the pool stays small enough to ship (float16)."""


class TrainingRun:
    """Embeds the labelled records of a dataset once and fits all heads on them.

    Args:
        dataset: an open dataset with labels and splits.
        encoder: a loaded encoder.
        options: of the serialisation.
        source: for the cards.
        cache: an embedding cache.
        tasks: task ids.
        max_labels: labels used of each task and split.

    Raises:
        InputError: no task has a usable label.
    """

    def __init__(
        self,
        dataset: Any,
        encoder: Any,
        options: SerializationOptions,
        source: TrainingSource,
        cache: Any,
        tasks: Sequence[str],
        max_labels: int | None,
    ):
        self.dataset, self.encoder, self.options, self.source, self.cache = dataset, encoder, options, source, cache
        self.problems: list[Problem] = []
        self.tasks: list[TaskLabels] = []
        for task in tasks:
            labels, problems = load_task_labels(dataset, task)
            self.problems += problems
            if len(labels):
                self.tasks.append(limit_rows(labels, max_labels, source.seed))
        if not self.tasks:
            raise InputError(f"{dataset.name} has no usable label of any task", "make labels and splits first")
        self.subject, self.time = unique_times(self.tasks)
        self.shared: np.ndarray | None = None
        self.attributes: list[RowAttributes | None] = [None] * len(self.subject)
        self.matrices: dict[str, np.ndarray] = {}

    def embed(self, progress: Progress | None = None) -> None:
        """Embed every record: once for all tasks, or once a task for encoders that read the instruction."""
        moments = [as_datetime(time) for time in self.time]

        def note(row: int, events: Any) -> None:
            if self.attributes[row] is None:
                self.attributes[row] = row_attributes(events, moments[row])

        if not takes_instruction(self.encoder):
            shared = embed_rows(
                self.dataset, self.encoder, self.subject, self.time, self.options, None, self.cache, progress, note
            )
            self.matrices = {labels.task: shared[self._rows(labels)] for labels in self.tasks}
            self.shared = shared
            self._leave_out_unreadable()
            return
        for labels in self.tasks:
            rows = self._rows(labels)

            def note_task(i: int, events: Any, rows: np.ndarray = rows) -> None:
                note(int(rows[i]), events)

            self.matrices[labels.task] = embed_rows(
                self.dataset,
                self.encoder,
                labels.subject,
                labels.time,
                self.options,
                instruction_for(labels.task, self.options.strategy),
                self.cache,
                progress,
                note_task,
            )
        self._leave_out_unreadable()

    def _leave_out_unreadable(self) -> None:
        """Leave out the labels whose record no encoder can read, and say so."""
        tasks = []
        for labels in self.tasks:
            read = np.isfinite(self.matrices[labels.task]).all(axis=1)
            if n := int((~read).sum()):
                message = (
                    f"{counted(n, 'label')} without a record that can be read in this serialisation "
                    f"{verb(n, 'was', 'were')} left out"
                )
                self.problems.append(Problem(labels.task, "unreadable_record", n, message))
            if read.any():
                tasks.append(labels.take(np.flatnonzero(read)))
                self.matrices[labels.task] = self.matrices[labels.task][read]
        if not tasks:
            raise InputError("no label has a record that can be read", "choose another profile or strategy")
        self.tasks = tasks

    def fit(self, dest: Path, progress: Progress | None = None) -> TrainedHeads:
        """Fit and write all heads, and neighbours where one embedding serves all tasks; no heads leave none there."""
        trained = train_heads(
            self.tasks,
            lambda labels: self.matrices[labels.task],
            feature_identity(self.encoder, self.options),
            self.source,
            dest,
            lambda labels: [self.attributes[i] for i in self._rows(labels)],  # type: ignore[misc]
            progress or silent,
        )
        if trained.heads and not takes_instruction(self.encoder):
            save_pool(self.neighbours(), dest)
        else:
            (Path(dest) / FILE).unlink(missing_ok=True)  # of an encoder that was trained into the folder before
        return trained

    def neighbours(self) -> NeighbourPool:
        """At most :data:`MAX_NEIGHBOURS` embedded records with outcomes, drawn without looking at the outcomes."""
        assert self.shared is not None  # embedded, and once for all tasks
        outcome = np.full((len(self.subject), len(SUBTASK_BY_KEY)), -1, dtype=np.int8)
        for labels in self.tasks:
            rows = self._rows(labels)
            for key, target in labels.target.items():
                outcome[rows, list(SUBTASK_BY_KEY).index(key)] = target
        rng = np.random.default_rng(self.source.seed)
        order = rng.permutation(len(self.subject))
        keep = np.sort(order[np.isfinite(self.shared[order]).all(axis=1)][:MAX_NEIGHBOURS])
        return NeighbourPool(self.shared[keep], self.subject[keep], self.time[keep], outcome[keep])

    def _rows(self, labels: TaskLabels) -> np.ndarray:
        return find_rows(labels.subject, labels.time, self.subject, self.time)
