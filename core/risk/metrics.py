"""Discrimination and calibration metrics of binary scores.

AUROC, AUPRC (average precision) and Brier equal scikit-learn's, ties included; each takes row weights, which is what
the bootstrap of :mod:`core.risk.bootstrap` uses. Where a metric is not defined (one class) the value is NaN.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] where their log-odds are needed."""


@dataclass(frozen=True)
class RankedScores:
    """Scores sorted once, for metrics under many weights.

    Attributes:
        order: ``(n,)`` row numbers by ascending score.
        group_start: ``(g,)`` first position of each group of equal scores in that order.
        target: float64 ``(n,)`` 0/1 in that order.
    """

    order: np.ndarray
    group_start: np.ndarray
    target: np.ndarray


def rank_scores(target: np.ndarray, score: np.ndarray) -> RankedScores:
    """Sort scores once. ``target`` and ``score`` are ``(n,)``."""
    score = np.asarray(score, dtype=np.float64)
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else np.zeros(0, np.int64)
    return RankedScores(order, start, np.asarray(target, dtype=np.float64)[order])


def group_counts(ranked: RankedScores, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted positives and negatives of each group of equal scores, ``(b, g)`` each, for weights ``(b, n)``."""
    ordered = np.take(weights, ranked.order, axis=1)
    positive = ordered * ranked.target
    if len(ranked.group_start) == len(ranked.order):
        return positive, ordered - positive
    total = np.add.reduceat(ordered, ranked.group_start, axis=1)
    positive = np.add.reduceat(positive, ranked.group_start, axis=1)
    return positive, total - positive


def auroc_from_counts(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """AUROC ``(b,)`` from group counts ``(b, g)`` in ascending order of score; ties count one half."""
    below = np.cumsum(negative, axis=1)
    n_neg = below[:, -1].copy()
    below -= 0.5 * negative  # negatives with a lower score, plus half of the tied ones
    area = np.einsum("bg,bg->b", positive, below)
    with np.errstate(invalid="ignore", divide="ignore"):
        return area / (positive.sum(axis=1) * n_neg)


def auprc_from_counts(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Average precision ``(b,)`` from group counts ``(b, g)`` in ascending order of score."""
    caught = np.cumsum(positive[:, ::-1], axis=1)
    alarms = np.cumsum(negative[:, ::-1], axis=1)
    alarms += caught
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.divide(caught, alarms, out=np.zeros_like(caught), where=alarms > 0)
        return np.einsum("bg,bg->b", positive[:, ::-1], precision) / caught[:, -1]


def _one(weight: np.ndarray | None, n: int) -> np.ndarray:
    return np.ones((1, n)) if weight is None else np.asarray(weight, dtype=np.float64)[None]


def auroc(target: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Area under the ROC curve; NaN with one class."""
    if not len(target):
        return float("nan")
    return float(auroc_from_counts(*group_counts(rank_scores(target, score), _one(weight, len(target))))[0])


def auprc(target: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Average precision (scikit-learn's step-wise AUPRC); NaN without positives."""
    if not len(target):
        return float("nan")
    return float(auprc_from_counts(*group_counts(rank_scores(target, score), _one(weight, len(target))))[0])


def brier(target: np.ndarray, probability: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean squared difference of probability and outcome; NaN without rows."""
    if not len(target):
        return float("nan")
    square = (np.asarray(probability, np.float64) - np.asarray(target, np.float64)) ** 2
    weight = _one(weight, len(square))[0]
    return float(weight @ square / weight.sum())


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities clipped to [EPSILON, 1 - EPSILON]."""
    return logit(np.clip(np.asarray(probability, np.float64), EPSILON, 1 - EPSILON))


def calibration_slope_intercept(target: np.ndarray, probability: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the outcome on the log-odds (Cox 1958); ideal (1, 0).

    NaN where it is not defined: one class, constant probabilities, or separated classes.
    """
    x, y = log_odds(probability), np.asarray(target, np.float64)
    if not len(y) or not 0 < y.mean() < 1 or np.ptp(x) < 1e-12 or _separated(x, y):
        return float("nan"), float("nan")
    design, theta = np.column_stack([x, np.ones_like(x)]), np.array([1.0, 0.0])
    return tuple(float(v) for v in _newton(design, y, theta, np.zeros_like(x)))  # type: ignore[return-value]


def _separated(x: np.ndarray, target: np.ndarray) -> bool:
    positive, negative = x[target == 1], x[target == 0]
    return bool(negative.max() <= positive.min() or positive.max() <= negative.min())


def calibration_in_the_large(target: np.ndarray, probability: np.ndarray) -> float:
    """Intercept of the logistic regression with the log-odds as offset (slope fixed at 1); ideal 0."""
    x, y = log_odds(probability), np.asarray(target, np.float64)
    if not len(y) or not 0 < y.mean() < 1:
        return float("nan")
    return float(_newton(np.ones((len(x), 1)), y, np.zeros(1), x)[0])


def _newton(design: np.ndarray, target: np.ndarray, theta: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Unpenalised logistic regression by damped Newton; NaN where it does not converge (separation)."""

    def loss(theta: np.ndarray) -> float:
        margin = design @ theta + offset
        return float(np.logaddexp(0, margin).sum() - target @ margin)

    value = loss(theta)
    for _ in range(200):
        p = expit(design @ theta + offset)
        gradient = design.T @ (p - target)
        if np.abs(gradient).max() < 1e-9 * len(target):
            return theta
        hessian = (design * (p * (1 - p))[:, None]).T @ design
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            break
        size, new = 1.0, loss(theta - step)
        while new > value and size > 1e-10:
            size /= 2
            new = loss(theta - size * step)
        theta = theta - size * step
        if np.abs(theta).max() > 1e4:
            break
        if value - new < 1e-14 * max(abs(value), 1):
            return theta
        value = new
    return np.full_like(theta, np.nan)


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability curve: ``n`` rows, mean probability, observed share, its 95 % interval.

    The interval is that of :func:`cluster_interval`.
    """

    n: int
    predicted: float
    observed: float
    lower: float
    upper: float


def reliability_curve(
    target: np.ndarray, probability: np.ndarray, cluster: np.ndarray, bins: int = 10
) -> list[ReliabilityBin]:
    """Observed share against predicted probability in bins of equal size (quantiles); ties stay together.

    ``target``, ``probability`` and ``cluster`` (the patient of each row) are ``(n,)``.
    """
    target, probability = np.asarray(target, np.float64), np.asarray(probability, np.float64)
    if not len(target):
        return []
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, max(len(edges) - 2, 0))
    parts = [place == b for b in np.unique(place)]
    return [
        ReliabilityBin(int(rows.sum()), float(probability[rows].mean()), float(target[rows].mean()), low, high)
        for rows, (low, high) in zip(parts, cluster_intervals(target, cluster, parts), strict=True)
    ]


def ece(target: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Naeini et al. 2015); NaN without rows."""
    target, probability = np.asarray(target, np.float64), np.asarray(probability, np.float64)
    if not len(target):
        return float("nan")
    place = np.minimum((probability * bins).astype(int), bins - 1)
    gap = np.bincount(place, weights=probability - target, minlength=bins)
    return float(np.abs(gap).sum() / len(target))


def ici(target: np.ndarray, probability: np.ndarray, span: float = 0.75, grid: int = 200) -> float:
    """Integrated calibration index: mean distance of the probability from the smoothed observed share.

    Austin & Steyerberg 2019, with the same smoother (loess of degree 1, tricube weights over the nearest ``span`` of
    the rows), evaluated at ``grid`` quantiles and interpolated between them.
    """
    target, probability = np.asarray(target, np.float64), np.asarray(probability, np.float64)
    if len(target) < 2:
        return float("nan")
    at = np.unique(np.quantile(probability, np.linspace(0, 1, grid)))
    smooth = local_linear(probability, target, at, span)
    return float(np.abs(np.interp(probability, at, smooth) - probability).mean())


def local_linear(x: np.ndarray, y: np.ndarray, at: np.ndarray, span: float = 0.75) -> np.ndarray:
    """Loess of degree 1 at the points ``at``: tricube weights over the nearest ``span`` of the rows."""
    k = max(2, int(np.ceil(span * len(x))))
    out = np.empty(len(at))
    for i, centre in enumerate(at):
        distance = np.abs(x - centre)
        width = np.partition(distance, k - 1)[k - 1]
        if width <= 0:
            out[i] = y[distance == 0].mean()
            continue
        w = np.clip(1 - (distance / (width * (1 + 1e-9))) ** 3, 0, None) ** 3
        total = w.sum()
        mx, my = w @ x / total, w @ y / total
        spread = w @ (x - mx) ** 2
        slope = (w @ ((x - mx) * (y - my))) / spread if spread > 1e-12 * total else 0.0
        out[i] = my + slope * (centre - mx)
    return np.clip(out, 0, 1)


def wilson_interval(k: float, n: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson score interval of ``k`` of ``n``, which may be effective numbers; (0, 1) without rows."""
    if n == 0:
        return 0.0, 1.0
    p, shrink = k / n, 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / shrink
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / shrink
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def effective_rows(hit: np.ndarray, cluster: np.ndarray) -> float:
    """How many independent rows a share rests on where patients have several rows.

    The number of rows over the design effect (the ratio estimator's variance between patients over that of independent
    rows, at least 1) and corrected for few patients by quantiles of t (Korn & Graubard 1998, Survey Methodology
    24:193). A share of 0 or 1 has no variance to go by: rows of a patient then count as repeats of one another
    (Kish's ``n^2 / sum m^2``). It is the number of rows where every patient has one.

    Args:
        hit: ``(n,)`` 0/1.
        cluster: ``(n,)`` patient of each row, any numbers.
    """
    return _effective_rows(np.asarray(hit, np.float64), _numbered(cluster))


def cluster_interval(hit: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """95 % Wilson interval of a share of rows of patients: that of :func:`effective_rows`; (0, 1) without rows."""
    return cluster_intervals(hit, cluster, [np.ones(len(hit), bool)])[0]


def cluster_intervals(hit: np.ndarray, cluster: np.ndarray, parts: Iterable[np.ndarray]) -> list[tuple[float, float]]:
    """:func:`cluster_interval` of parts (boolean ``(n,)``) of the same rows, whose patients are numbered once."""
    hit, patient = np.asarray(hit, np.float64), _numbered(cluster)
    found = []
    for part in parts:
        rows = _effective_rows(hit[part], patient[part]) if part.any() else 0.0
        found.append(wilson_interval(float(hit[part].mean()) * rows, rows) if rows else (0.0, 1.0))
    return found


def _numbered(cluster: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(cluster), return_inverse=True)[1]


def _effective_rows(hit: np.ndarray, patient: np.ndarray) -> float:
    """:func:`effective_rows` where patients are numbered from 0; some may have no row."""
    n, size = len(hit), np.bincount(patient)
    hits, size = np.bincount(patient, hit)[size > 0], size[size > 0]
    patients = len(size)
    if patients == n:
        return float(n)
    share = hit.mean()
    if patients < 2 or share in (0.0, 1.0):
        return float(n**2 / (size.astype(np.float64) ** 2).sum())
    between = ((hits - share * size) ** 2).sum() * patients / (patients - 1) / n**2
    effect = max(1.0, between * (n - 1) / (share * (1 - share)))
    few = stdtrit(n - 1, 0.975) / stdtrit(patients - 1, 0.975)
    return float(n / effect * few**2)


def net_benefit(target: np.ndarray, probability: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Net benefit (Vickers & Elkin 2006) at each threshold in (0, 1): ``TP/n - FP/n * t / (1 - t)``."""
    target, probability = np.asarray(target, np.float64), np.asarray(probability, np.float64)
    order = np.argsort(probability)
    suffix = np.append(np.cumsum(target[order][::-1])[::-1], 0)
    first = np.searchsorted(probability[order], thresholds, side="left")
    caught, alarms = suffix[first], len(target) - first
    return (caught - (alarms - caught) * thresholds / (1 - thresholds)) / len(target)


def all_metrics(target: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """AUROC, AUPRC, Brier, calibration slope, intercept, in the large, ECE and ICI by name."""
    slope, intercept = calibration_slope_intercept(target, probability)
    return {
        "auroc": auroc(target, probability),
        "auprc": auprc(target, probability),
        "brier": brier(target, probability),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "calibration_in_the_large": calibration_in_the_large(target, probability),
        "ece": ece(target, probability),
        "ici": ici(target, probability),
    }
