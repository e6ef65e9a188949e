"""What an alert threshold would have meant on the held-out cohort."""

from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.risk.metrics import cluster_intervals


@dataclass(frozen=True)
class ThresholdRow:
    """One threshold on held-out data.

    Attributes:
        threshold: calibrated probability from which on there is an alert.
        alerts_per_100: alerts per 100 predictions (a patient may have several).
        sensitivity: share of positives with an alert; None without positives.
        specificity: share of negatives without; None without negatives.
        ppv: share of alerts that are positives, None without alerts.
        ppv_interval: its 95 % interval over patients (:func:`core.risk.metrics.cluster_interval`).
        npv: share of silent rows that are negatives, None without silent rows.
        npv_interval: its 95 % interval over patients.
        net_benefit: Vickers & Elkin 2006; None at a threshold of 1.
        true_positives: count.
        false_positives: count.
        false_negatives: count.
        true_negatives: count.
    """

    threshold: float
    alerts_per_100: float
    sensitivity: float | None
    specificity: float | None
    ppv: float | None
    ppv_interval: tuple[float, float]
    npv: float | None
    npv_interval: tuple[float, float]
    net_benefit: float | None
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


def threshold_table(
    target: np.ndarray, probability: np.ndarray, cluster: np.ndarray, thresholds: np.ndarray
) -> list[ThresholdRow]:
    """Each threshold's counts and rates; an alert is ``probability >= threshold``.

    Args:
        target: ``(n,)`` 0/1.
        probability: ``(n,)`` calibrated.
        cluster: ``(n,)`` patient of each row, any numbers.
        thresholds: ``(t,)``.

    Raises:
        InputError: no rows, or a threshold outside of 0 to 1.
    """
    target, probability = np.asarray(target), np.asarray(probability, np.float64)
    if not len(target):
        raise InputError("there are no held-out rows", "use a head with held-out data")
    thresholds = np.atleast_1d(np.asarray(thresholds, np.float64))
    if not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise InputError("a threshold lies outside of 0 to 1", "give probabilities")
    alerts = [probability >= threshold for threshold in thresholds]
    of_alerts = cluster_intervals(target, cluster, alerts)
    of_silent = cluster_intervals(1 - target, cluster, [~alert for alert in alerts])
    found = zip(thresholds, alerts, of_alerts, of_silent, strict=True)
    return [_row(float(threshold), target, alert, ppv, npv) for threshold, alert, ppv, npv in found]


def _row(
    threshold: float,
    target: np.ndarray,
    alert: np.ndarray,
    ppv_interval: tuple[float, float],
    npv_interval: tuple[float, float],
) -> ThresholdRow:
    n, n_pos = len(target), int(target.sum())
    alerts, tp = int(alert.sum()), int(target[alert].sum())
    fp, fn = alerts - tp, n_pos - tp
    tn = n - alerts - fn
    return ThresholdRow(
        threshold,
        100 * alerts / n,
        tp / n_pos if n_pos else None,
        tn / (n - n_pos) if n > n_pos else None,
        tp / alerts if alerts else None,
        ppv_interval,
        tn / (tn + fn) if tn + fn else None,
        npv_interval,
        tp / n - fp / n * threshold / (1 - threshold) if threshold < 1 else None,
        tp,
        fp,
        fn,
        tn,
    )


def threshold_for_alert_rate(probability: np.ndarray, alerts_per_100: float) -> float:
    """The lowest threshold with at most that many alerts per 100 held-out predictions."""
    probability = np.sort(np.asarray(probability, np.float64))[::-1]
    allowed = int(np.floor(len(probability) * alerts_per_100 / 100))
    if allowed >= len(probability):
        return float(probability[-1])
    return float(np.nextafter(probability[allowed], 2))  # just above the first row that must stay silent
