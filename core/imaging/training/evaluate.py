"""Dice and IoU of a segmenter on cases, per class and per image or volume."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from core.imaging.training.cases import IGNORE, Case

Predict = Callable[[np.ndarray], np.ndarray]


def count_overlap(prediction: np.ndarray, truth: np.ndarray, n_classes: int) -> np.ndarray:
    """Pixels (n_classes, 3): in both, in the prediction, in the truth; pixels to ignore are not counted."""
    known = truth != IGNORE
    pairs = truth[known].astype(np.int64) * n_classes + prediction[known]
    table = np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)
    return np.stack([np.diag(table), table.sum(0), table.sum(1)], 1)


def dice(counts: np.ndarray) -> np.ndarray:
    """2 |P and T| / (|P| + |T|) from counts (..., 3); NaN where both are empty."""
    total = counts[..., 1] + counts[..., 2]
    return np.where(total > 0, 2 * counts[..., 0] / np.maximum(total, 1), np.nan)


def iou(counts: np.ndarray) -> np.ndarray:
    """|P and T| / |P or T| from counts (..., 3); NaN where both are empty."""
    union = counts[..., 1] + counts[..., 2] - counts[..., 0]
    return np.where(union > 0, counts[..., 0] / np.maximum(union, 1), np.nan)


def count_units(cases: Iterable[Case], predict: Predict, n_classes: int) -> dict[str, np.ndarray]:
    """Counts (n_classes, 3) by unit (image or volume)."""
    units: dict[str, np.ndarray] = {}
    for case in cases:
        counts = count_overlap(predict(case.pixels), case.mask, n_classes)
        units[case.unit] = units.get(case.unit, 0) + counts
    return units


def summarize(units: dict[str, np.ndarray], classes: Sequence[str], unit: str) -> dict[str, object]:
    """What a card says: n, and per foreground class the mean, sd and worst of Dice and IoU over units.

    A unit in which neither the truth nor the prediction has the class is left out of that class's figures and
    counted in ``n``'s absence; one that has it in only one of the two counts with 0. ``mean_dice`` is the mean over
    foreground classes.
    """
    counts = np.stack(list(units.values()))
    summary: dict[str, object] = {"n": len(units), "unit": unit}
    means = []
    per_class = {}
    for index, name in enumerate(classes[1:], start=1):
        scores, overlaps = (values[~np.isnan(values)] for values in (dice(counts[:, index]), iou(counts[:, index])))
        per_class[name] = {"n": len(scores)} | {
            measure: {key: round(float(value), 4) for key, value in figures.items()}
            for measure, figures in (
                ("dice", {"mean": scores.mean(), "sd": scores.std(ddof=1), "worst": scores.min()}),
                ("iou", {"mean": overlaps.mean(), "sd": overlaps.std(ddof=1), "worst": overlaps.min()}),
            )
        }
        means.append(scores.mean())
    summary["mean_dice"] = round(float(np.mean(means)), 4)
    summary["classes"] = per_class
    return summary
