"""Patient-level bootstrap of metrics, fast.

A replicate draws patients with replacement; a row's weight is how often its patient was drawn. Scores are sorted
once, and each metric is a weighted sum over the sorted rows for all replicates at a time, instead of sorting again
for each (Hegselmann et al. 2025 use 1,000 replicates of the test patients, percentiles 2.5 and 97.5, no refit).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.risk.metrics import auprc_from_counts, auroc_from_counts, group_counts, rank_scores

METRICS = ("auroc", "auprc", "brier")
N_REPLICATES = 1000
_BLOCK = 4_000_000  # weights held at a time: 32 MB


@dataclass(frozen=True)
class Summary:
    """A metric with its bootstrap distribution.

    Attributes:
        value: the metric on the data itself.
        mean: mean of the replicates.
        std: their standard deviation (divisor n).
        lower: 2.5 % percentile.
        upper: 97.5 % percentile.
        undefined: replicates without both classes, left out of mean, std and percentiles.
    """

    value: float
    mean: float
    std: float
    lower: float
    upper: float
    undefined: int = 0


class Resamples:
    """Draws of patients shared by all models that are compared on the same rows.

    Args:
        subject: ``(n,)`` patient of each row.
        replicates: number of draws.
        seed: the draws are the same for the same patients and seed, whatever the metric.
    """

    def __init__(self, subject: np.ndarray, replicates: int = N_REPLICATES, seed: int = 0):
        subjects, self.cluster = np.unique(np.asarray(subject), return_inverse=True)
        if not len(subjects):
            raise InputError("there are no rows to resample", "give held-out labels")
        rng, k = np.random.default_rng(seed), len(subjects)
        draws = rng.integers(0, k, size=(replicates, k), dtype=np.int32)
        draws += (np.arange(replicates, dtype=np.int32) * k)[:, None]
        counts = np.bincount(draws.ravel(), minlength=replicates * k)
        self.counts = counts.reshape(replicates, k).astype(np.uint16)

    @property
    def replicates(self) -> int:
        """Number of draws."""
        return len(self.counts)

    def blocks(self) -> Iterator[np.ndarray]:
        """Row weights, float64 ``(b, n)``, in blocks that fit in the processor's memory."""
        size = max(1, _BLOCK // max(len(self.cluster), 1))
        for start in range(0, self.replicates, size):
            yield self.counts[start : start + size][:, self.cluster].astype(np.float64)


def bootstrap_values(
    target: np.ndarray, probability: np.ndarray, resamples: Resamples, metrics: Sequence[str] = METRICS
) -> dict[str, np.ndarray]:
    """The metrics of every replicate, float64 ``(replicates,)`` each; NaN where a replicate has one class."""
    target, probability = np.asarray(target, np.float64), np.asarray(probability, np.float64)
    if target.shape != probability.shape or target.shape != resamples.cluster.shape:
        raise InputError("labels, scores and patients differ in number", "give one of each for every row")
    unknown = set(metrics) - set(METRICS)
    if unknown:
        raise InputError(f"unknown metric {sorted(unknown)[0]!r}", f"use {', '.join(METRICS)}")
    ranked = rank_scores(target, probability)
    square = (probability - target) ** 2
    out: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
    for weights in resamples.blocks():
        if "auroc" in out or "auprc" in out:
            positive, negative = group_counts(ranked, weights)
            if "auroc" in out:
                out["auroc"].append(auroc_from_counts(positive, negative))
            if "auprc" in out:
                out["auprc"].append(auprc_from_counts(positive, negative))
        if "brier" in out:
            out["brier"].append(weights @ square / weights.sum(axis=1))
    return {name: np.concatenate(values) for name, values in out.items()}


def summarise(value: float, replicates: np.ndarray) -> Summary:
    """Summary of one metric over its defined replicates; NaN bounds where none is defined."""
    defined = replicates[np.isfinite(replicates)]
    undefined = len(replicates) - len(defined)
    if not len(defined):
        nan = float("nan")
        return Summary(value, nan, nan, nan, nan, undefined)
    lower, upper = np.percentile(defined, [2.5, 97.5])
    return Summary(value, float(defined.mean()), float(defined.std()), float(lower), float(upper), undefined)


@dataclass(frozen=True)
class PairedDifference:
    """Model a minus model b on the same resamples.

    Attributes:
        difference: on the data itself.
        lower: 2.5 % percentile of the replicates.
        upper: 97.5 % percentile.
        p_value: two-sided, ``2 * min(share <= 0, share >= 0)`` with one added to both counts; at most 1.
        undefined: replicates in which either is not defined, left out of interval and p-value.
    """

    difference: float
    lower: float
    upper: float
    p_value: float
    undefined: int = 0


def paired_difference(value_a: float, value_b: float, a: np.ndarray, b: np.ndarray) -> PairedDifference:
    """Compare two models by their replicates (same resamples, same order)."""
    delta = a - b
    delta = delta[np.isfinite(delta)]
    undefined = len(a) - len(delta)
    if not len(delta):
        nan = float("nan")
        return PairedDifference(value_a - value_b, nan, nan, nan, undefined)
    lower, upper = np.percentile(delta, [2.5, 97.5])
    tail = min((delta <= 0).sum(), (delta >= 0).sum())
    p_value = min(1.0, 2 * (tail + 1) / (len(delta) + 1))
    return PairedDifference(value_a - value_b, float(lower), float(upper), float(p_value), undefined)


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p-values (Holm 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def group_summary(parts: Sequence[Summary]) -> Summary:
    """The paper's group value: mean over (sub)tasks, std ``sqrt(sum std^2) / n``, interval ± 1.96 std."""
    value = float(np.mean([part.value for part in parts]))
    mean = float(np.mean([part.mean for part in parts]))
    std = float(np.sqrt(np.sum([part.std**2 for part in parts])) / len(parts))
    return Summary(value, mean, std, value - 1.96 * std, value + 1.96 * std)


def macro_summary(groups: Mapping[str, Summary] | Sequence[Summary]) -> Summary:
    """The paper's macro value: mean of the groups, std ``sqrt(mean of the groups' variances)``.

    The paper's std is wider than that of a mean of independent groups, which would divide by the number of groups
    once more; it is kept so that intervals compare with the published ones.
    """
    parts = list(groups.values()) if isinstance(groups, Mapping) else list(groups)
    value = float(np.mean([part.value for part in parts]))
    mean = float(np.mean([part.mean for part in parts]))
    std = float(np.sqrt(np.mean([part.std**2 for part in parts])))
    return Summary(value, mean, std, value - 1.96 * std, value + 1.96 * std)
