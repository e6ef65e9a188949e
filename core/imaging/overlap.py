"""How a mask agrees with a ground truth: Dice and IoU by class."""

import numpy as np

IGNORE = 255
"""Value of a ground truth's pixels that no loss and no metric counts."""


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
