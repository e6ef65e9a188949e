"""A segmenter's Dice and IoU on cases, per class and per image or volume, with intervals."""

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.stats import bootstrap

from core.imaging.overlap import count_overlap, dice, iou
from core.imaging.training.cases import Case

Predict = Callable[[np.ndarray], np.ndarray]
RESAMPLES = 2000


def count_units(cases: Iterable[Case], predict: Predict, n_classes: int) -> dict[str, np.ndarray]:
    """Counts (n_classes, 3) by unit (image or volume)."""
    units: dict[str, np.ndarray] = {}
    for case in cases:
        counts = count_overlap(predict(case.pixels), case.mask, n_classes)
        units[case.unit] = units.get(case.unit, 0) + counts
    return units


def summarize(units: dict[str, np.ndarray], classes: Sequence[str], unit: str) -> dict[str, object]:
    """What a card says: n, and per foreground class the mean of Dice and IoU over units, its interval, sd and worst.

    A unit in which neither the truth nor the prediction has the class is left out of that class's figures and
    counted in ``n``'s absence; one that has it in only one of the two counts with 0. ``mean_dice`` is the mean over
    foreground classes. Intervals are 95 % percentile bootstraps over units; they need two of them.
    """
    counts = np.stack(list(units.values()))
    scores = {"dice": dice(counts)[:, 1:], "iou": iou(counts)[:, 1:]}
    per_class: dict[str, object] = {}
    for index, name in enumerate(classes[1:]):
        known = {measure: values[~np.isnan(values[:, index]), index] for measure, values in scores.items()}
        per_class[name] = {"n": len(known["dice"])} | {
            measure: _mean(values[:, None])
            | ({"sd": round(float(values.std(ddof=1)), 4)} if len(values) > 1 else {})
            | {"worst": round(float(values.min()), 4)}
            for measure, values in known.items()
        }
    return {"n": len(units), "unit": unit, "mean_dice": _mean(scores["dice"]), "classes": per_class}


def _mean(values: np.ndarray) -> dict[str, float]:
    """The mean over columns of their means over rows (NaN left out), with the interval that resampled rows give."""

    def mean(rows: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.nanmean(np.nanmean(values[rows.astype(int)], axis=-2), axis=-1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample may leave a rare class out
        figures = {"value": float(mean(np.arange(len(values))))}
        if len(values) > 1:
            interval = bootstrap(
                (np.arange(len(values)),), mean, n_resamples=RESAMPLES, method="percentile", rng=0
            ).confidence_interval
            figures |= {"lower": float(interval.low), "upper": float(interval.high)}
    return {name: round(figure, 4) for name, figure in figures.items()}
