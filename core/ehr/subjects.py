"""Search, filter and page over the subjects of a dataset, on the subject index alone.

No event is read, except for a filter by code, which scans one column once and remembers the answer.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import polars as pl

from core.ehr.store import Dataset
from core.errors import InputError

Sex = Literal["male", "female", "unknown"]
SORTS = ("subject_id", "age", "first", "last", "n_events")


@dataclass(frozen=True)
class SubjectFilter:
    """Which subjects to list; what is None or empty does not filter.

    Attributes:
        id_prefix: the subject id begins with it; what is no number begins none.
        min_age: at least this age in years at the last event.
        max_age: at most this age in whole years at the last event.
        sex: male, female or unknown.
        split: train, tuning or held_out.
        task: has a label of this task.
        code: has an event with this code; with a trailing ``*``, any code that begins so.
        sort: one of ``SORTS``.
        descending: sort downwards.
    """

    id_prefix: str = ""
    min_age: int | None = None
    max_age: int | None = None
    sex: Sex | None = None
    split: str | None = None
    task: str | None = None
    code: str = ""
    sort: str = "subject_id"
    descending: bool = False


def list_subjects(
    dataset: Dataset, filter: SubjectFilter | None = None, offset: int = 0, limit: int = 50
) -> tuple[pl.DataFrame, int]:
    """One page of the subjects that pass the filter, and how many pass in all.

    Returns:
        ``subject_id``, ``sex``, ``birth`` (time), ``birth_year``, ``age`` (whole years at the last event), ``first``,
        ``last``, ``n_events``, ``split``; and the number of subjects before paging.

    Raises:
        InputError: the sort column or the task is unknown.
    """
    found = matching_subjects(dataset, filter or SubjectFilter())
    return found.slice(max(0, offset), limit), found.height


def matching_subjects(dataset: Dataset, filter: SubjectFilter) -> pl.DataFrame:
    """All subjects that pass the filter, sorted; columns as in :func:`list_subjects`."""
    if filter.sort not in SORTS:
        raise InputError(f"cannot sort subjects by {filter.sort}", f"use one of {', '.join(SORTS)}")
    frame = subject_table(dataset).lazy()
    if filter.id_prefix.strip():
        frame = frame.filter(pl.col("subject_id").cast(pl.String).str.starts_with(filter.id_prefix.strip()))
    if filter.min_age is not None:
        frame = frame.filter(pl.col("age") >= filter.min_age)
    if filter.max_age is not None:
        frame = frame.filter(pl.col("age") <= filter.max_age)
    if filter.sex is not None:
        frame = frame.filter(pl.col("sex").is_null() if filter.sex == "unknown" else pl.col("sex") == filter.sex)
    if filter.split is not None:
        frame = frame.filter(pl.col("split") == filter.split)
    if filter.task is not None:
        labelled = dataset.labels(filter.task)["subject_id"].unique()
        frame = frame.filter(pl.col("subject_id").is_in(labelled.implode()))
    if filter.code.strip():
        frame = frame.filter(pl.col("subject_id").is_in(subjects_with_code(dataset, filter.code.strip()).implode()))
    return frame.sort(filter.sort, "subject_id", descending=[filter.descending, False], nulls_last=True).collect()


def neighbours_in_list(dataset: Dataset, filter: SubjectFilter, subject_id: int) -> tuple[int | None, int | None]:
    """The subjects before and after this one in the filtered list; None at its ends or when it is not in the list."""
    ids = matching_subjects(dataset, filter)["subject_id"]
    at = ids.index_of(subject_id)
    if at is None:
        return None, None
    return (int(ids[at - 1]) if at else None), (int(ids[at + 1]) if at + 1 < len(ids) else None)


def subject_table(dataset: Dataset) -> pl.DataFrame:
    """All subjects with the columns of :func:`list_subjects`, by ascending id."""
    return _subject_table(dataset)


@lru_cache(maxsize=8)
def _subject_table(dataset: Dataset) -> pl.DataFrame:
    last, birth = pl.col("last").dt, pl.col("birth").dt
    day, birthday = (when.month().cast(pl.Int32) * 100 + when.day() for when in (last, birth))
    before = (day < birthday) | ((day == birthday) & (last.time() < birth.time()))
    years = last.year() - birth.year() - before.cast(pl.Int32)
    return dataset.index.table.join(dataset.splits(), on="subject_id", how="left", maintain_order="left").select(
        "subject_id",
        "sex",
        "birth",
        pl.col("birth").dt.year().alias("birth_year"),
        years.alias("age"),
        "first",
        "last",
        "n_events",
        "split",
    )


def age_range(dataset: Dataset) -> tuple[int, int] | None:
    """The least and the greatest age of :func:`subject_table`; None where there are not two."""
    low, high = subject_table(dataset).select(low=pl.col("age").min(), high=pl.col("age").max()).row(0)
    return None if low is None or low == high else (low, high)


@lru_cache(maxsize=64)
def subjects_with_code(dataset: Dataset, code: str) -> pl.Series:
    """Ids of the subjects who have an event with this code (a trailing ``*`` matches any ending), ascending."""
    column = pl.col("code").cast(pl.String)
    wanted = column.str.starts_with(code[:-1]) if code.endswith("*") else column == code
    found = dataset.scan().filter(wanted).select(pl.col("subject_id").cast(pl.Int64)).unique()
    return found.collect(engine="streaming")["subject_id"].sort()
