"""Sub-tasks: the binary targets that heads are fitted on (14 for chexpert, one for every other task)."""

from dataclasses import dataclass

import numpy as np

from core.ehr.tasks import CHEXPERT_LABELS, TASK_BY_ID, TASKS, Task, binary_labels, get_task
from core.errors import InputError


@dataclass(frozen=True)
class SubTask:
    """One binary target.

    Attributes:
        task: task id.
        label: chexpert finding, None elsewhere.
    """

    task: str
    label: str | None = None

    @property
    def key(self) -> str:
        """Id that is safe as a file name ("guo_los", "chexpert.pleural_effusion")."""
        return self.task if self.label is None else f"{self.task}.{self.label.lower().replace(' ', '_')}"

    @property
    def name(self) -> str:
        """Display name ("Long LOS", "Pleural Effusion")."""
        return self.label or TASK_BY_ID[self.task].name

    @property
    def paper_name(self) -> str:
        """EHRSHOT's ``sub_task`` value: the task id, or the finding."""
        return self.label or self.task


def subtasks_of(task: Task | str) -> list[SubTask]:
    """The binary targets of one task, in bit order for chexpert."""
    task = get_task(task) if isinstance(task, str) else task
    if task.label_type == "findings":
        return [SubTask(task.id, label) for label in CHEXPERT_LABELS]
    return [SubTask(task.id)]


ALL_SUBTASKS: tuple[SubTask, ...] = tuple(sub for task in TASKS for sub in subtasks_of(task))
"""All 28 binary targets in the paper's order."""

SUBTASK_BY_KEY: dict[str, SubTask] = {sub.key: sub for sub in ALL_SUBTASKS}


def targets(task: Task | str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Label values as int8 0/1 arrays ``(n,)`` by sub-task key."""
    task = get_task(task) if isinstance(task, str) else task
    subtasks = subtasks_of(task)
    matrix = binary_labels(task, values).reshape(len(values), len(subtasks))
    return {sub.key: matrix[:, i] for i, sub in enumerate(subtasks)}


def parse_tasks(text: str | None) -> list[str]:
    """Task ids of a comma-separated list, all 15 for None or ''. Unknown ids: :class:`InputError`."""
    if not text:
        return [task.id for task in TASKS]
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise InputError("the list of tasks is empty", f"name some of {', '.join(TASK_BY_ID)}")
    return list(dict.fromkeys(get_task(name).id for name in names))
