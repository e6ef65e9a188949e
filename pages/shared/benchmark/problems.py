"""Tab Problems: what was wrong with the input, counted; nothing was dropped silently."""

import pandas as pd
import streamlit as st

from core import files
from core.ehr.tasks import TASK_BY_ID
from core.risk.model_names import features_name
from core.risk.subtasks import SUBTASK_BY_KEY
from core.wording import counted
from pages.shared import downloads, empty, layout
from pages.shared.benchmark import source
from pages.shared.benchmark.source import Run

KINDS = {
    "unknown_subject": "labels of unknown subjects",
    "before_birth": "labels from before birth",
    "duplicate_label": "duplicated labels",
    "conflicting_label": "contradictory labels",
    "no_split": "labels outside of the splits",
    "two_splits": "labels of subjects in two splits",
    "bad_label": "labels without meaning",
    "missing_features": "labels without features",
    "other_records": "features made from other records",
    "wrong_dimension": "feature sets of another dimension",
    "one_class": "tasks or splits of one class",
    "no_labels": "tasks without labels",
    "shots_file": "unusable few-shot draws",
    "failed": "models that failed",
}


def show(run: Run) -> None:
    """Draw the counts by kind and the list."""
    if run.result is None:
        source.missing("Problems of the input")
        return
    problems = run.result.problems
    if not problems:
        empty.show(
            "Nothing was wrong with the input", "Every label had a subject, a split and features.",
            icon="task_alt", key="problems",
        )  # fmt: skip
        return
    table = pd.DataFrame(
        {
            "Task or model": [_about(problem.task) for problem in problems],
            "What": [KINDS.get(problem.kind, problem.kind) for problem in problems],
            "Count": [problem.count for problem in problems],
            "What was done": [problem.message for problem in problems],
        }
    )
    counts = table.groupby("What", sort=False)["Count"].agg(["size", "sum"])
    layout.facts(
        [
            (str(what).capitalize(), f"{rows:,} in {counted(n, 'place')}" if rows else f"{n:,}")
            for what, n, rows in counts.itertuples()
        ],
        key="problems",
    )
    st.dataframe(
        table,
        hide_index=True,
        key="problems-table",
        column_config={"What was done": st.column_config.TextColumn(width="large")},
        alt=f"{len(problems)} problems with task, kind, count and what was done",
    )
    downloads.button(
        "CSV", lambda: files.csv_text(table), "benchmark-problems.csv", "text/csv", "problems-csv", page="benchmark"
    )


def _about(key: str) -> str:
    """A task, a finding or a feature set in words."""
    if key in SUBTASK_BY_KEY:
        return SUBTASK_BY_KEY[key].name
    return TASK_BY_ID[key].name if key in TASK_BY_ID else features_name(key)
