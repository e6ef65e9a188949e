"""The 15 EHRSHOT prediction tasks: names, instructions, prediction times, horizons and label values.

Sources: Wornow et al. 2023 (EHRSHOT, arXiv 2307.02028) for the tasks, Hegselmann et al. 2025 (arXiv 2502.17403) for
the instructions. The definitions that turn events into labels are in ``core.ehr.labels``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np

from core.errors import InputError

LabelType = Literal["boolean", "severity", "findings"]
"""``boolean``: False or True. ``severity``: 0 normal, 1 mild, 2 moderate, 3 severe. ``findings``: 14 bits."""

Strategy = Literal["markdown", "recent_codes"]

INSTRUCTION_PREFIXES: dict[str, str] = {
    "markdown": "Given a patient's electronic healthcare record (EHR) in Markdown format, "
    "retrieve relevant passages that answer the query:",
    "recent_codes": "Given a patient's electronic healthcare record (EHR) as a newline separated list, "
    "retrieve relevant passages that answer the query:",
}
"""The paper's instruction prefix by serialisation strategy."""

NEUTRAL_QUERY = "what are the key clinical features of the patient to predict future medical events"
"""The paper's ablation: one query for all tasks."""

GROUPS: dict[str, str] = {
    "operational_outcomes": "Operational Outcomes",
    "lab_values": "Anticipating Lab Test Results",
    "new_diagnoses": "Assignment of New Diagnoses",
    "chexpert": "Anticipating Chest X-ray Findings",
}
"""Display name by group id, in the paper's order."""

CHEXPERT_LABELS: tuple[str, ...] = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""The 14 findings in bit order: the first is the most significant of the label's 14 bits (8192 = No Finding only)."""

SEVERITIES: tuple[str, ...] = ("normal", "mild", "moderate", "severe")
"""Meaning of the values of a ``severity`` label."""


@dataclass(frozen=True)
class Task:
    """One prediction task.

    Attributes:
        id: EHRSHOT's name ("guo_los").
        name: the paper's display name ("Long LOS").
        group: key of :data:`GROUPS`.
        question: what a score answers, for a reader.
        query: the paper's query text, the end of the instruction.
        prediction_time: the rule that sets the prediction time, in words.
        horizon: how far ahead the outcome may lie: a duration, or words where no fixed duration exists.
        label_type: see :data:`LabelType`.
    """

    id: str
    name: str
    group: str
    question: str
    query: str
    prediction_time: str
    horizon: timedelta | str
    label_type: LabelType

    @property
    def instruction(self) -> str:
        """The paper's instruction for Markdown records."""
        return self.instruction_for("markdown")

    def instruction_for(self, strategy: Strategy | str) -> str:
        """The paper's instruction for records of this serialisation strategy."""
        if strategy not in INSTRUCTION_PREFIXES:
            raise InputError(f"unknown strategy {strategy!r}", f"use one of {', '.join(INSTRUCTION_PREFIXES)}")
        return f"{INSTRUCTION_PREFIXES[strategy]} {self.query}"

    @property
    def horizon_text(self) -> str:
        """The horizon in words ("30 days", "until discharge")."""
        if isinstance(self.horizon, str):
            return self.horizon
        if self.horizon < timedelta(days=2):
            return f"{self.horizon // timedelta(hours=1)} hours"
        return f"{self.horizon.days} days"


_ADMISSION = "23:59 on the day of admission"
_DISCHARGE = "23:59 on the day of discharge"
_BEFORE_RESULT = "one minute before the result"


def _lab(name: str, question: str) -> Task:
    lower = name.lower()
    return Task(
        f"lab_{lower}",
        name,
        "lab_values",
        question,
        f"has the patient {lower}",
        _BEFORE_RESULT,
        "the next result",
        "severity",
    )


def _diagnosis(id: str, name: str, query: str, disease: str) -> Task:
    question = f"Will {disease} be diagnosed for the first time within a year of discharge?"
    horizon = timedelta(days=365)
    return Task(
        f"new_{id}", name, "new_diagnoses", question, f"has the patient {query}", _DISCHARGE, horizon, "boolean"
    )


TASKS: tuple[Task, ...] = (
    Task(
        "guo_los",
        "Long LOS",
        "operational_outcomes",
        "Will this stay last 7 days or more?",
        "will the patient stay in the hospital for more than 7 days",
        _ADMISSION,
        "until discharge",
        "boolean",
    ),
    Task(
        "guo_readmission",
        "30-day Readmission",
        "operational_outcomes",
        "Will the patient be admitted again within 30 days of discharge?",
        "will the patient be readmitted to the hospital within 30 days",
        _DISCHARGE,
        timedelta(days=30),
        "boolean",
    ),
    Task(
        "guo_icu",
        "ICU Admission",
        "operational_outcomes",
        "Will the patient be moved to intensive care during this stay?",
        "will the patient be transferred to the intensive care unit",
        _ADMISSION,
        "until discharge",
        "boolean",
    ),
    _lab("Thrombocytopenia", "Will the platelet count be low (below 150 x 10^3/uL)?"),
    _lab("Hyperkalemia", "Will the potassium be high (above 5.5 mmol/L)?"),
    _lab("Hypoglycemia", "Will the glucose be low (3.9 mmol/L or 70 mg/dL, or less)?"),
    _lab("Hyponatremia", "Will the sodium be low (135 mmol/L or less)?"),
    _lab("Anemia", "Will the hemoglobin be low (below 12 g/dL)?"),
    _diagnosis("hypertension", "Hypertension", "hypertension", "hypertension"),
    _diagnosis("hyperlipidemia", "Hyperlipidemia", "hyperlipidemia", "hyperlipidemia"),
    _diagnosis("pancan", "Pancreatic Cancer", "pancreatic cancer", "pancreatic cancer"),
    _diagnosis("celiac", "Celiac", "celiac disease", "celiac disease"),
    _diagnosis("lupus", "Lupus", "lupus", "lupus"),
    _diagnosis("acutemi", "Acute MI", "an acute myocardial infarction", "an acute myocardial infarction"),
    Task(
        "chexpert",
        "Chest X-ray Findings",
        "chexpert",
        "What will the chest X-ray report show?",
        "what are the chest x-ray findings of the patient",
        "24 hours before the report",
        timedelta(hours=24),
        "findings",
    ),
)
"""The 15 tasks in the paper's order."""

TASK_BY_ID: dict[str, Task] = {task.id: task for task in TASKS}


def get_task(task_id: str) -> Task:
    """The task with this id. Raises :class:`InputError` with the known ids otherwise."""
    try:
        return TASK_BY_ID[task_id]
    except KeyError:
        raise InputError(f"unknown task {task_id!r}", f"use one of {', '.join(TASK_BY_ID)}") from None


def task_name(task_id: str) -> str:
    """Display name ("Long LOS"); an id that is none of the 15 stays as it is."""
    return TASK_BY_ID[task_id].name if task_id in TASK_BY_ID else task_id


def binary_labels(task: Task, values: Sequence[bool | int] | np.ndarray) -> np.ndarray:
    """Label values as 0/1 targets: int8 ``(n,)``, or ``(n, 14)`` in the order of CHEXPERT_LABELS for chexpert.

    A severity counts as positive from 1 (mild) on, as in EHRSHOT.

    Raises:
        InputError: a value outside of the label type's range.
    """
    array = np.asarray(values)
    if task.label_type == "findings":
        return decode_findings(array)
    array = array.astype(np.int64)
    highest = 1 if task.label_type == "boolean" else len(SEVERITIES) - 1
    if array.size and (array.min() < 0 or array.max() > highest):
        raise InputError(
            f"a label of {task.id} lies outside of 0 to {highest}",
            "check the label file against the task's label type",
        )
    return (array >= 1).astype(np.int8)


def decode_findings(values: Sequence[int] | np.ndarray) -> np.ndarray:
    """Chexpert integers as an int8 matrix ``(n, 14)`` in the order of CHEXPERT_LABELS.

    Raises:
        InputError: a value that is not a 14-bit integer.
    """
    array = np.atleast_1d(np.asarray(values)).astype(np.int64)
    n_bits = len(CHEXPERT_LABELS)
    if array.size and (array.min() < 0 or array.max() >= 1 << n_bits):
        raise InputError(
            "a chexpert label is not a 14-bit integer",
            f"give values from 0 to {(1 << n_bits) - 1} (8192 = No Finding)",
        )
    return ((array[:, None] >> np.arange(n_bits - 1, -1, -1)) & 1).astype(np.int8)
