"""Count features: how often each code occurred before the prediction time.

The strong count baseline of Hegselmann et al. 2025 (v5): counts of codes and of all their ancestors (ontology
expansion), of value deciles and of text values, in time bins before the prediction time, and age. Everything that is
learned (deciles, which columns exist, mean age) is learned on the train rows only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from core.errors import InputError
from core.progress import Progress, silent

TIME_BINS_DAYS: tuple[int, ...] = (30, 180, 365)
"""Upper ends of the bins before prediction time, in days; a last bin holds everything older (static events too)."""
TEXT_LENGTH = 100
_DAY = 86_400_000_000
_STATIC = np.iinfo(np.int64).min // 2


@dataclass(frozen=True)
class CountOptions:
    """What is counted.

    Attributes:
        ancestors: count every ancestor of a code too, where the vocabulary has parents.
        bins_days: upper ends of the time bins in days, ascending; () for one bin.
        deciles: count the decile of numeric values.
        texts: count text values that the train events hold more than once.
    """

    ancestors: bool = True
    bins_days: tuple[int, ...] = TIME_BINS_DAYS
    deciles: bool = True
    texts: bool = True


@dataclass(frozen=True, eq=False)
class CountFeatures:
    """Count features of rows (subject, prediction time).

    Attributes:
        matrix: CSR float64 ``(n, d)``; the first column is age in years, z-scored on the train rows.
        names: ``(d,)`` column names, ``<code>[ = decile 3| = text][ @bin]``.
    """

    matrix: sparse.csr_matrix
    names: list[str]


class _Tokens:
    """Numbers for what can be counted: codes, code deciles, code texts."""

    def __init__(self, options: CountOptions):
        self.options = options
        self.number: dict[str, int] = {}
        self.edges: dict[str, np.ndarray] = {}
        self.texts: set[tuple[str, str]] = set()

    def learn(self, events: pl.DataFrame) -> None:
        """Learn deciles and frequent texts from the events of the train subjects."""
        if self.options.deciles:
            numeric = events.filter(pl.col("numeric_value").is_not_null())
            for (code,), part in numeric.group_by(["code"], maintain_order=True):
                values = part["numeric_value"].to_numpy().astype(np.float64)
                self.edges[str(code)] = np.unique(np.quantile(values, np.linspace(0.1, 0.9, 9)))
        if self.options.texts:
            seen = (
                events.filter(pl.col("text_value").is_not_null() & (pl.col("text_value") != ""))
                .group_by("code", pl.col("text_value").str.slice(0, TEXT_LENGTH).alias("text"))
                .len()
                .filter(pl.col("len") > 1)
            )
            self.texts = set(zip(seen["code"].to_list(), seen["text"].to_list()))

    def of(self, events: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Token number and event position of everything that the events count."""
        tokens, positions = [], []
        codes = events["code"].to_list()
        numbers = events["numeric_value"].to_list()
        texts = events["text_value"].to_list()
        for position, (code, number, text) in enumerate(zip(codes, numbers, texts)):
            names = [code]
            if number is not None and (edges := self.edges.get(code)) is not None:
                names.append(f"{code} = decile {int(np.searchsorted(edges, number, 'right')) + 1}")
            if text and (code, text[:TEXT_LENGTH]) in self.texts:
                names.append(f"{code} = {text[:TEXT_LENGTH]}")
            for name in names:
                tokens.append(self.number.setdefault(name, len(self.number)))
                positions.append(position)
        return np.array(tokens, dtype=np.int64), np.array(positions, dtype=np.int64)


def count_features(
    dataset: Any,
    subject: np.ndarray,
    time: np.ndarray,
    train: np.ndarray,
    options: CountOptions | None = None,
    progress: Progress | None = None,
) -> CountFeatures:
    """Count features of many rows.

    Args:
        dataset: an open dataset (``iter_events``, ``vocabulary``).
        subject: int64 ``(n,)`` subject of each row.
        time: datetime64[us] ``(n,)`` prediction time of each row; events up to and including it are counted.
        train: bool ``(n,)`` rows on whose subjects deciles, texts, columns and mean age are learned.
        options: what is counted.
        progress: called by subject.

    Raises:
        InputError: no train row, or a subject that the dataset lacks.
    """
    options, progress = options or CountOptions(), progress or silent
    subject, train = np.asarray(subject, np.int64), np.asarray(train, bool)
    moments = np.asarray(time, "datetime64[us]").astype(np.int64)
    if not train.any():
        raise InputError("no label lies in the train split", "give splits with a train part")
    ids = np.unique(subject)
    tokens = _Tokens(options)
    train_ids = np.unique(subject[train]).tolist()
    if options.deciles or options.texts:
        parts = [events.select("code", "numeric_value", "text_value") for _, events in dataset.iter_events(train_ids)]
        tokens.learn(pl.concat(parts))
    by_subject = _rows_by_subject(subject)
    ages, blocks, seen = np.full(len(subject), np.nan), [], 0
    for subject_id, events in dataset.iter_events(ids.tolist()):
        rows = by_subject[subject_id]
        blocks.append(_count_subject(events, rows, moments[rows], tokens, options.bins_days, ages))
        seen += 1
        progress(seen, len(ids), "count features")
    if seen < len(ids):
        raise InputError(f"{len(ids) - seen} labelled subjects are not in the dataset", "check the label files")
    n_bins, n_tokens = len(options.bins_days) + 1, len(tokens.number)
    row, token, bin_, count = (np.concatenate(part) for part in zip(*blocks))
    names = list(tokens.number)
    expansion, names = _expansion(names, dataset.vocabulary if options.ancestors else None)
    counted = []
    for b in range(n_bins):
        keep = bin_ == b
        shape = (len(subject), n_tokens)
        counted.append(sparse.csr_matrix((count[keep], (row[keep], token[keep])), shape=shape) @ expansion)
    matrix = sparse.hstack(counted, format="csc")
    labels = [f"{name}{suffix}" for suffix in _bin_names(options.bins_days) for name in names]
    used = np.flatnonzero(np.diff(matrix[np.flatnonzero(train)].tocsc().indptr))
    mean, std = np.nanmean(ages[train]), np.nanstd(ages[train]) or 1.0
    age = np.nan_to_num((ages - mean) / std)[:, None]
    return CountFeatures(
        sparse.hstack([sparse.csc_matrix(age), matrix[:, used]], format="csr"), ["age", *(labels[i] for i in used)]
    )


def _rows_by_subject(subject: np.ndarray) -> dict[int, np.ndarray]:
    order = np.argsort(subject, kind="stable")
    ids, start = np.unique(subject[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(order, start[1:])))


def _count_subject(
    events: pl.DataFrame,
    rows: np.ndarray,
    moments: np.ndarray,
    tokens: _Tokens,
    bins_days: Sequence[int],
    ages: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(row, token, bin, count) of one subject's rows; fills in their ages in years."""
    when = events["time"].cast(pl.Int64).fill_null(_STATIC).to_numpy()
    events = events[np.argsort(when, kind="stable")] if np.any(np.diff(when) < 0) else events
    when = np.sort(when)
    births = events.filter(pl.col("code").is_in(["MEDS_BIRTH", "SNOMED/3950001"]))["time"].cast(pl.Int64).drop_nulls()
    dated = when[when > _STATIC]
    birth = int(births[0]) if len(births) else int(dated[0]) if len(dated) else None
    token, position = tokens.of(events)
    token_time = when[position]
    out: list[list[np.ndarray]] = [[], [], [], []]
    for row, moment in zip(rows.tolist(), moments.tolist()):
        if birth is not None:
            ages[row] = (moment - birth) / (365.25 * _DAY)
        ends = [moment, *(moment - days * _DAY for days in bins_days)]
        cuts = [*np.searchsorted(token_time, ends, side="right"), 0]  # bin b: (moment - bins[b], moment - bins[b - 1]]
        for b in range(len(bins_days) + 1):
            found, count = np.unique(token[cuts[b + 1] : cuts[b]], return_counts=True)
            out[0].append(np.full(len(found), row))
            out[1].append(found)
            out[2].append(np.full(len(found), b))
            out[3].append(count.astype(np.float64))
    row_, token_, bin_, count_ = (np.concatenate(part) for part in out)
    return row_, token_, bin_, count_


def _expansion(names: list[str], vocabulary: Any) -> tuple[sparse.csr_matrix, list[str]]:
    """Matrix ``(tokens, columns)`` that adds each code to itself and its ancestors, and the columns' names."""
    columns = {name: i for i, name in enumerate(names)}
    rows, cols = list(range(len(names))), list(range(len(names)))
    if vocabulary is not None:
        for i, name in enumerate(names):
            for ancestor in sorted(vocabulary.ancestors(name)):
                rows.append(i)
                cols.append(columns.setdefault(ancestor, len(columns)))
    matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, cols)), shape=(len(names), len(columns)))
    return matrix, list(columns)


def _bin_names(bins_days: Sequence[int]) -> list[str]:
    if not bins_days:
        return [""]
    starts = [0, *bins_days]
    return [f" @{a}-{b} d" for a, b in zip(starts, bins_days)] + [f" @>{bins_days[-1]} d"]
