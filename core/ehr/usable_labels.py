"""Labels that have a record: of a subject of the dataset, at a time when the subject was born.

One row without would stop a whole cohort; it is left out and counted instead, everywhere by this rule. That a record
is empty or begins later is known only once it is written in a profile and strategy (:mod:`core.embedding.parts`).
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

LEFT_OUT = {
    "unknown_subject": "of subjects that the dataset lacks",
    "before_birth": "from before the subject's birth",
    "before_first_event": "from before the subject's first event, with which the profile paper begins a record",
    "empty_record": "whose record is empty in this serialisation",
    "unfit_record": "whose record is too long for any encoder, or not valid Unicode",
}
"""Kind of a label without a record -> what it is."""


@dataclass(frozen=True)
class UsableLabels:
    """Labels in their order, and how many were left out.

    Attributes:
        frame: the labels that have a record, columns as given.
        left_out: rows by kind, one of the first two of :data:`LEFT_OUT`; kinds without rows are absent.
    """

    frame: pl.DataFrame
    left_out: dict[str, int]


def usable_labels(dataset: Any, labels: pl.DataFrame) -> UsableLabels:
    """Leave out the labels that have no record.

    Args:
        dataset: an open dataset.
        labels: with ``subject_id`` and ``prediction_time``, as of :meth:`core.ehr.store.Dataset.labels`.
    """
    known = dataset.index.table.select("subject_id", "birth", _known=pl.lit(True))
    joined = labels.join(known, on="subject_id", how="left", maintain_order="left")
    kind = (
        pl.when(pl.col("_known").is_null())
        .then(pl.lit("unknown_subject"))
        .when(pl.col("prediction_time") < pl.col("birth"))  # null where no birth is known
        .then(pl.lit("before_birth"))
    )
    joined = joined.with_columns(kind.alias("_kind"))
    counts = dict(joined["_kind"].drop_nulls().value_counts().iter_rows())
    frame = joined.filter(pl.col("_kind").is_null()).select(labels.columns)
    return UsableLabels(frame, {name: counts[name] for name in LEFT_OUT if name in counts})
