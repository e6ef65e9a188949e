"""The times at which a subject's record can be read "as of": prediction times of its labels, starts of its visits,
the end of the record.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from core.ehr.store import Dataset
from core.ehr.tasks import task_name
from core.ehr.visits import is_visit
from core.ehr.vocabulary import Vocabulary

LABEL, VISIT, END, LINK = "label", "visit", "end", "link"


@dataclass(frozen=True)
class Timepoint:
    """A time of a subject and what it is.

    Attributes:
        time: the time.
        kind: ``label``, ``visit``, ``end`` or ``link`` (named by a link only); the first that applies.
        note: what happens then, in words: tasks of the labels, the visit that starts.
        tasks: ids of the tasks that have a label then.
    """

    time: datetime
    kind: str
    note: str
    tasks: tuple[str, ...] = ()


def labels_by_subject(dataset: Dataset) -> pl.DataFrame:
    """Labels of all tasks: ``subject_id``, ``prediction_time``, ``task``, ``value`` (text); sorted, for slicing."""
    frames = [
        dataset.labels(task).select(
            "subject_id", "prediction_time", task=pl.lit(task), value=pl.col("value").cast(pl.String)
        )
        for task in dataset.tasks()
    ]
    if not frames:
        return pl.DataFrame(
            schema={
                "subject_id": pl.Int64,
                "prediction_time": pl.Datetime("us"),
                "task": pl.String,
                "value": pl.String,
            }
        )
    return pl.concat(frames).sort("subject_id", "prediction_time", "task")


def labels_of(labels: pl.DataFrame, subject_id: int) -> pl.DataFrame:
    """Slice one subject out of :func:`labels_by_subject` by bisection."""
    ids = labels["subject_id"]
    start = ids.search_sorted(subject_id, side="left")
    return labels.slice(start, ids.search_sorted(subject_id, side="right") - start)


def tasks_labelled_at(labels: pl.DataFrame, at: datetime) -> tuple[str, ...]:
    """Tasks with a label at a time, from one subject's rows of :func:`labels_by_subject`, each once, sorted."""
    return tuple(sorted(set(labels.filter(pl.col("prediction_time") == at)["task"])))


def timepoints(events: pl.DataFrame, labels: pl.DataFrame, vocabulary: Vocabulary) -> list[Timepoint]:
    """Return the subject's own times, newest first; one entry a time.

    Args:
        events: ``Dataset.events`` of the subject.
        labels: its rows of :func:`labels_by_subject`.
        vocabulary: describes the visits.
    """
    notes: dict[datetime, tuple[str, list[str], list[str]]] = {}

    def add(time: datetime, kind: str, note: str, task: str = "") -> None:
        _, texts, tasks = notes.setdefault(time, (kind, [], []))
        if note not in texts:
            texts.append(note)
        if task:
            tasks.append(task)

    for time, task in labels.select("prediction_time", "task").iter_rows():
        add(time, LABEL, task_name(task), task)
    visits = events.filter(is_visit(pl.col("code")) & pl.col("time").is_not_null())
    for time, code in visits.select("time", "code").iter_rows():
        add(time, VISIT, vocabulary.describe(code) or code)
    last = events["time"].max()
    if isinstance(last, datetime):
        add(last, END, "end of the record")
    return [
        Timepoint(time, kind, ", ".join(texts), tuple(tasks))
        for time, (kind, texts, tasks) in sorted(notes.items(), reverse=True)
    ]
