"""Where a segmenter decides between background and object.

A network trained on few images is too sure of the background: it misses objects that it half sees. What is best for
Dice is also not what is likeliest: a pixel belongs into the mask from a probability of half the Dice that can be
reached (Lipton, Elkan, Narayanaswamy 2014, arXiv 1402.1892). So the background's logit is lowered by what is best for
the mean Dice of cases that were not trained on, and the network's last bias carries it: whatever reads the network
(mask, probability, explanation) sees the same decision.
"""

import numpy as np
import torch

from core.imaging.training.cases import Case
from core.imaging.training.evaluate import count_overlap, dice
from core.imaging.training.network import predict_logits
from core.imaging.training.recipes import Recipe

OFFSETS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""What may be taken from the background's logit; few, as one number is learnt from few cases."""

HEAD = "segmentation_head.0.bias"
"""The last bias in the state dict of every network of segmentation_models_pytorch."""


def best_offset(model: torch.nn.Module, recipe: Recipe, cases: list[Case]) -> tuple[float, float]:
    """The offset of ``OFFSETS`` with the highest mean Dice on ``cases``, the smallest of equals, and that Dice.

    The mean is that of ``fit.mean_dice``: over units and foreground classes, units without the class left out.
    """
    units: dict[str, np.ndarray] = {}
    for case in cases:
        logits = predict_logits(model, recipe.preprocessing, case.pixels)
        objects, mask = logits[1:].max(0)
        counts = np.stack(
            [
                count_overlap(
                    torch.where(objects > logits[0] - offset, mask + 1, 0).numpy().astype(np.uint8),
                    case.mask,
                    len(recipe.classes),
                )
                for offset in OFFSETS
            ]
        )
        units[case.unit] = units.get(case.unit, 0) + counts
    means = np.nanmean(dice(np.stack(list(units.values())))[..., 1:], axis=0).mean(-1)
    chosen = int(means.argmax())
    return OFFSETS[chosen], float(means[chosen])


def lower_background(weights: dict[str, torch.Tensor], offset: float) -> dict[str, torch.Tensor]:
    """The state dict of a network whose background logit is lower by ``offset``; all else is as in ``weights``."""
    bias = weights[HEAD].clone()
    bias[0] -= offset
    return weights | {HEAD: bias}
