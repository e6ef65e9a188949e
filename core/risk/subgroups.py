"""Performance in subgroups: sex, age band and record length, with small cells suppressed.

The cells of an attribute add up to all rows, whose figures are known. A small cell alone would be had by subtraction,
so the next smallest is suppressed with it, until those suppressed hold enough patients together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from core.ehr.meds_layout import BIRTH_CODES
from core.ehr.relative_time import whole_years
from core.ehr.sex import last_sex
from core.risk.bootstrap import Resamples, Summary, bootstrap_values, summarise
from core.risk.metrics import auprc, auroc, brier, calibration_in_the_large

MIN_CELL = 10
"""Patients below which a cell is suppressed: nothing of it is shown, not even its exact size."""
MIN_EVENTS = 10
"""Positives, and negatives, below which a cell's metrics are not computed."""
AGE_BANDS: tuple[tuple[int, int], ...] = ((0, 17), (18, 39), (40, 59), (60, 74), (75, 200))
RECORD_LENGTHS: tuple[tuple[int, int], ...] = ((0, 99), (100, 499), (500, 1999), (2000, 10**9))
ATTRIBUTES = ("sex", "age band", "record length")


@dataclass(frozen=True)
class RowAttributes:
    """What a row is grouped by."""

    sex: str
    age_band: str
    record_length: str

    def get(self, attribute: str) -> str:
        """Value of one of :data:`ATTRIBUTES`."""
        return {"sex": self.sex, "age band": self.age_band, "record length": self.record_length}[attribute]


def row_attributes(events: pl.DataFrame, at: datetime) -> RowAttributes:
    """Sex, age band and record length of a subject at a time, from events up to that time."""
    past = events.filter(pl.col("time").is_null() | (pl.col("time") <= at))
    births = past.filter(pl.col("code").is_in(BIRTH_CODES))["time"].drop_nulls()
    age = whole_years(births[0], at) if len(births) else None
    return RowAttributes(
        last_sex(past["code"].to_list()) or "unknown",
        "unknown" if age is None else _band(age, AGE_BANDS, " years"),
        _band(past.height, RECORD_LENGTHS, " events"),
    )


def attributes_of_rows(dataset: Any, subject: np.ndarray, time: np.ndarray) -> dict[str, list[str]]:
    """Each of :data:`ATTRIBUTES` for many rows, for :func:`subgroup_table`; one read a subject.

    Args:
        dataset: an open dataset that holds every subject.
        subject: int64 ``(n,)``.
        time: datetime64[us] ``(n,)``.
    """
    subject = np.asarray(subject, np.int64)
    moments = np.asarray(time, "datetime64[us]").astype(datetime)
    found: list[RowAttributes | None] = [None] * len(subject)
    order = np.argsort(subject, kind="stable")
    ids, start = np.unique(subject[order], return_index=True)
    rows_of = dict(zip(ids.tolist(), np.split(order, start[1:])))
    for subject_id, events in dataset.iter_events(ids.tolist()):
        for row in rows_of[subject_id].tolist():
            found[row] = row_attributes(events, moments[row])
    return {name: ["unknown" if one is None else one.get(name) for one in found] for name in ATTRIBUTES}


def _band(value: int, bands: Sequence[tuple[int, int]], unit: str) -> str:
    for low, high in bands:
        if low <= value <= high:
            if high >= 200 and (low, high) == bands[-1]:
                return f"{low:,} and more{unit}"
            return f"{low:,} to {high:,}{unit}"
    return "unknown"


@dataclass(frozen=True)
class SubgroupRow:
    """One cell of a subgroup table.

    Attributes:
        attribute: one of :data:`ATTRIBUTES`.
        group: value ("female", "60 to 74 years").
        suppressed: nothing else is given, because the cell has fewer than :data:`MIN_CELL` patients, or so that such
            a cell cannot be had by subtraction.
        n: rows, None when suppressed.
        patients: patients, None when suppressed.
        positives: None when suppressed.
        auroc: with patient-level bootstrap interval; None with too few of a class.
        auprc: value; None with too few of a class.
        brier: value; None when suppressed.
        calibration_in_the_large: None with too few of a class.
        missed: share of positives below the threshold (false negative rate); None without threshold or positives.
    """

    attribute: str
    group: str
    suppressed: bool
    n: int | None = None
    patients: int | None = None
    positives: int | None = None
    auroc: Summary | None = None
    auprc: float | None = None
    brier: float | None = None
    calibration_in_the_large: float | None = None
    missed: float | None = None


def subgroup_table(
    target: np.ndarray,
    probability: np.ndarray,
    subject: np.ndarray,
    groups: Mapping[str, Sequence[str]],
    threshold: float | None = None,
    replicates: int = 200,
) -> list[SubgroupRow]:
    """Metrics by subgroup.

    Args:
        target: 0/1 ``(n,)``.
        probability: calibrated, ``(n,)``.
        subject: patient of each row ``(n,)``.
        groups: for each attribute the value of each row.
        threshold: alert threshold for the share of missed positives.
        replicates: of the bootstrap behind the AUROC's interval.
    """
    target, probability, subject = np.asarray(target), np.asarray(probability), np.asarray(subject)
    table = []
    for attribute, values in groups.items():
        value_of = np.asarray(values)
        rows_of = {group: value_of == group for group in sorted(set(value_of.tolist()), key=_natural)}
        hidden = suppressed_groups({group: set(subject[rows].tolist()) for group, rows in rows_of.items()})
        for group, rows in rows_of.items():
            if group in hidden:
                table.append(SubgroupRow(attribute, group, True))
            else:
                table.append(
                    _cell(attribute, group, target[rows], probability[rows], subject[rows], threshold, replicates)
                )
    return table


def suppressed_groups(patients: Mapping[str, set[int]]) -> set[str]:
    """Groups of one attribute that must not be shown.

    Args:
        patients: of each group; a patient may be in several (of another age at another time).

    Returns:
        Groups with fewer than :data:`MIN_CELL` patients. Where there are any, the smallest others are added until at
        least two are suppressed and they hold :data:`MIN_CELL` patients together, so that the total minus what is
        shown gives no small cell away.
    """
    by_size = sorted(patients, key=lambda group: (len(patients[group]), group))
    hidden = [group for group in by_size if len(patients[group]) < MIN_CELL]
    if not hidden:
        return set()
    for group in by_size[len(hidden) :]:
        if len(hidden) >= 2 and len(set().union(*(patients[name] for name in hidden))) >= MIN_CELL:
            break
        hidden.append(group)
    return set(hidden)


def _cell(
    attribute: str,
    group: str,
    target: np.ndarray,
    probability: np.ndarray,
    subject: np.ndarray,
    threshold: float | None,
    replicates: int,
) -> SubgroupRow:
    patients = len(np.unique(subject))
    positives = int(target.sum())
    missed = None
    if threshold is not None and positives >= MIN_EVENTS:
        missed = float((probability[target == 1] < threshold).mean())
    common: dict[str, Any] = {
        "n": len(target),
        "patients": patients,
        "positives": positives,
        "brier": brier(target, probability),
        "missed": missed,
    }
    if min(positives, len(target) - positives) < MIN_EVENTS:
        return SubgroupRow(attribute, group, False, **common)
    replicate = bootstrap_values(target, probability, Resamples(subject, replicates), ["auroc"])["auroc"]
    return SubgroupRow(
        attribute,
        group,
        False,
        auroc=summarise(auroc(target, probability), replicate),
        auprc=auprc(target, probability),
        calibration_in_the_large=calibration_in_the_large(target, probability),
        **common,
    )


def _natural(text: str) -> tuple[int, str]:
    digits = text.split()[0].replace(",", "")
    return (int(digits) if digits.isdigit() else -1, text)
