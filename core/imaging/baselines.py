"""What takes the place of deleted pixels: zero, the image's mean, a blur, or noisy linear imputation.

Zero is a value like any other after normalisation (often the image's mean), the mean and a blur leave an edge or a
shadow, and noisy linear imputation (ROAD, Rong et al. 2022) solves for pixels that blend in with their neighbours.
No choice is neutral, so curves name theirs.
"""

import numpy as np
import torch
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import cg

from core.errors import InputError

BASELINES: dict[str, str] = {
    "mean": "the image's mean",
    "zero": "zero after normalisation",
    "blur": "a strong blur of the image",
    "noisy_linear": "noisy linear imputation from the remaining neighbours (ROAD)",
}

_NEIGHBOURS = [(dy, dx, 1 / 6 if dy == 0 or dx == 0 else 1 / 12) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
NOISE = 0.01


def constant_baseline(image: torch.Tensor, baseline: str) -> torch.Tensor:
    """The replacement (c, H, W) of an input (c, H, W) for the baselines that do not depend on what is deleted."""
    if baseline == "zero":
        return torch.zeros_like(image)
    if baseline == "mean":
        return image.mean(dim=(1, 2), keepdim=True).expand_as(image).clone()
    if baseline == "blur":
        sigma = max(image.shape[-2:]) / 16
        blurred = np.stack([gaussian_filter(channel, sigma, mode="nearest") for channel in image.cpu().numpy()])
        return torch.from_numpy(blurred).to(image)
    raise InputError(f"there is no baseline {baseline!r}", f"choose one of {', '.join(BASELINES)}")


class NoisyLinearImputer:
    """Fills deleted pixels with weighted means of their eight neighbours, solved together, plus a little noise.

    Weights are 1/6 for neighbours that share an edge and 1/12 for those that share a corner, normalised at the
    border. The symmetric system is solved by conjugate gradients from a smooth start.
    """

    def __init__(self, image: torch.Tensor, noise: float = NOISE, seed: int = 0):
        self.image = image.cpu().numpy().astype(np.float64)
        self.noise = noise
        self.random = np.random.default_rng(seed)
        height, width = self.image.shape[-2:]
        index = np.arange(height * width).reshape(height, width)
        rows, columns, weights = [], [], []
        for dy, dx, weight in _NEIGHBOURS:
            here = index[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
            there = index[max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
            rows.append(here.ravel())
            columns.append(there.ravel())
            weights.append(np.full(here.size, weight))
        shape = (index.size, index.size)
        self.links = sparse.csr_array(
            (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=shape
        )
        self.degree = self.links.sum(axis=1)

    def __call__(self, deleted: np.ndarray) -> np.ndarray:
        """The image (c, H, W) with the pixels of ``deleted`` (H, W) imputed."""
        gone = np.flatnonzero(deleted)
        filled = self.image.reshape(len(self.image), -1).copy()
        kept = np.flatnonzero(~deleted.ravel())
        if gone.size and kept.size:
            rows = self.links[gone]
            inner = sparse.diags_array(self.degree[gone]) - rows[:, gone]
            jacobi = sparse.diags_array(1 / self.degree[gone])
            for channel in filled:
                known = rows[:, kept] @ channel[kept]
                start = np.full(gone.size, channel[kept].mean())
                channel[gone], _ = cg(inner, known, x0=start, rtol=1e-4, maxiter=2000, M=jacobi)
        elif gone.size:
            filled[:] = filled.mean(axis=1, keepdims=True)
        spread = self.noise * self.image.std(axis=(1, 2), keepdims=False)
        filled[:, gone] += self.random.normal(size=(len(filled), gone.size)) * spread[:, None]
        return filled.reshape(self.image.shape)
