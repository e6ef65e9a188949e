"""Where a segmenter decides between background and object.

A network trained on few images is too sure of the background: it misses objects that it half sees. What is best for
Dice is also not what is likeliest: a pixel belongs into the mask from a probability of half the Dice that can be
reached (Lipton, Elkan, Narayanaswamy 2014, arXiv 1402.1892). So the background's logit is lowered by what is best for
the mean Dice of cases that were not trained on, and the network's last bias carries it: whatever reads the network
(mask, probability, explanation) sees the same decision.
"""

from collections.abc import Callable

import torch

OFFSETS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""What may be taken from the background's logit; few, as one number is learnt from few cases."""

HEAD = "segmentation_head.0.bias"
"""The last bias in the state dict of every network of segmentation_models_pytorch."""

Weights = dict[str, torch.Tensor]


def best_offset(weights: Weights, score: Callable[[Weights], float]) -> tuple[float, float]:
    """The offset of ``OFFSETS`` whose network has the highest score, the smallest of equals, and that score."""
    scores = {offset: score(lower_background(weights, offset)) for offset in OFFSETS}
    offset = max(scores, key=lambda offset: scores[offset])
    return offset, scores[offset]


def lower_background(weights: Weights, offset: float) -> Weights:
    """The state dict of a network whose background logit is lower by ``offset``; all else is as in ``weights``."""
    bias = weights[HEAD].clone()
    bias[0] -= offset
    return weights | {HEAD: bias}
