"""What logits say of each pixel: the probability of a class, how far it is from its rival, and how undecided it is.

These are the network's own numbers, softmax (or, for one channel, sigmoid) of its logits. Networks are mostly too sure
of themselves (Guo et al. 2017, arXiv 1706.04599): none of them is a calibrated chance of being right.
"""

import numpy as np
import torch


def class_probability(logits: np.ndarray, class_index: int) -> np.ndarray:
    """Probability (H, W) of a class out of logits (C, H, W): softmax, or sigmoid for one channel."""
    return _probabilities(logits)[class_index].numpy()


def mean_probability(logits: np.ndarray, mask: np.ndarray, class_index: int) -> float:
    """Mean probability of a class over a region, out of logits (C, H, W) and M (H, W)."""
    return float(class_probability(logits[:, mask][..., None], class_index).mean())


def rival_margin(logits: np.ndarray, class_index: int) -> np.ndarray:
    """Probability (H, W) of a class less that of its strongest rival: -1..1, 0 where the two are even."""
    values = _probabilities(logits)
    rivals = torch.cat([values[:class_index], values[class_index + 1 :]])
    return (values[class_index] - rivals.max(dim=0).values).numpy()


def entropy(logits: np.ndarray) -> np.ndarray:
    """Entropy (H, W) of the classes' probabilities as a share of its highest value: 0 decided, 1 all classes even."""
    values = _probabilities(logits)
    return (torch.special.entr(values).sum(dim=0) / np.log(len(values))).clamp(0, 1).numpy()


def _probabilities(logits: np.ndarray) -> torch.Tensor:
    """Probability (classes, H, W); one channel has the two classes background and object."""
    values = torch.from_numpy(np.ascontiguousarray(logits))
    if len(values) == 1:
        return torch.cat([torch.sigmoid(-values), torch.sigmoid(values)])
    return values.softmax(dim=0)
