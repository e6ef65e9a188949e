"""A drawn sagittal MR crop around the hippocampus: head (anterior) and body with tail (posterior)."""

import numpy as np

from core.imaging.phantoms.canvas import blur, ellipse, fill, outline, smooth_noise, to_bytes

CLASSES = ("background", "anterior", "posterior")


def draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one; returns image uint8 (h, w) and mask uint8 (h, w) of class indices.

    Rows run along the slice's first array axis and columns along its second, as the reader shows them.
    """
    height, width = size
    scale = np.array([width, height])
    image = 0.62 + 0.06 * smooth_noise(rng, size, min(size) / 8)
    for _ in range(4):  # folds of grey matter and fluid
        centre = rng.uniform(0, 1, 2) * scale
        fold = fill(
            ellipse(
                tuple(centre),
                (rng.uniform(0.1, 0.3) * width, rng.uniform(0.04, 0.1) * height),
                rng.uniform(0, np.pi),
                rng,
                0.2,
            ),
            size,
        )
        image -= rng.uniform(0.1, 0.35) * blur(fold, 1.2)
    bend, thick = rng.uniform(-0.05, 0.12), rng.uniform(0.075, 0.11)
    along = np.linspace(0.2, 0.8, 9) + rng.normal(0, 0.02)
    middle = 0.5 + rng.normal(0, 0.04) + bend * np.sin((along - 0.2) / 0.6 * np.pi)
    half = thick * np.interp(along, [0.2, 0.32, 0.5, 0.8], [0.5, 1.25, 0.9, 0.35])
    upper, lower = np.stack([along, middle - half], 1), np.stack([along, middle + half], 1)
    shape = fill(outline(np.vstack([upper, lower[::-1]])) * scale, size)
    fluid = blur(fill(outline(np.vstack([upper - [0, 0.05], lower[::-1] - [0, 0.05]])) * scale, size), 1.0)
    image = image * (1 - fluid) + 0.22 * fluid
    soft = blur(shape, 0.8)
    image = image * (1 - soft) + soft * rng.uniform(0.44, 0.5)
    border = (0.40 + rng.normal(0, 0.02)) * width
    columns = np.arange(width)[None, :]
    mask = np.where(shape >= 0.5, np.where(columns < border, 1, 2), 0).astype(np.uint8)
    image += 0.025 * rng.standard_normal(size)
    return to_bytes(blur(image, 0.5) * rng.uniform(0.8, 1.1)), mask
