"""Cross-entropy plus soft Dice, with pixels to ignore."""

import torch
from torch.nn import functional

from core.imaging.overlap import IGNORE


def dice_ce_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean of cross-entropy and 1 - soft Dice.

    Dice is taken over the batch for each foreground class (Milletari et al. 2016, with probabilities unsquared) and
    averaged over the classes that occur in the batch.

    Args:
        logits: (n, classes, h, w).
        target: int64 (n, h, w); IGNORE is not counted.
    """
    known = target != IGNORE
    entropy = functional.cross_entropy(logits, target, ignore_index=IGNORE)
    probability = logits.softmax(1) * known[:, None]
    truth = functional.one_hot(target * known, logits.shape[1]).movedim(-1, 1) * known[:, None]
    overlap, total, size = (value.sum((0, 2, 3))[1:] for value in (probability * truth, probability + truth, truth))
    present = size > 0
    if not present.any():
        return entropy
    return 0.5 * entropy + 0.5 * (1 - (2 * overlap / total.clamp_min(1e-6))[present].mean())
