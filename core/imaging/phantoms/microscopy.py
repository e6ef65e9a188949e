"""A drawn microscopy field with nuclei: fluorescence (bright on dark) or stained (purple on pale)."""

import numpy as np

from core.imaging.phantoms.canvas import blur, ellipse, fill, smooth_noise, to_bytes

CLASSES = ("background", "nucleus")


def draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one; returns image uint8 (h, w, 3) and mask uint8 (h, w) of class indices."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    light: np.ndarray = np.zeros(size, np.float32)
    radius = rng.uniform(6, 14)
    texture = smooth_noise(rng, size, radius / 5)
    wanted = int(height * width / (radius**2 * rng.uniform(14, 60)))
    placed: list[np.ndarray] = []
    for _ in range(4 * wanted):
        if len(placed) >= wanted:
            break
        centre = rng.uniform(-radius / 2, [width + radius / 2, height + radius / 2])
        if any(np.hypot(*(centre - other)) < 1.9 * radius for other in placed):
            continue
        placed.append(centre)
        stretch = rng.uniform(1.0, 1.5)
        curve = ellipse(
            tuple(centre), (radius * stretch * 0.95, radius / stretch * 1.05), rng.uniform(0, np.pi), rng, 0.06
        )
        shape = fill(curve, size)
        light = np.maximum(light, shape * rng.uniform(0.55, 1.0))
        mask[shape >= 0.5] = 1
    light = blur(light, rng.uniform(0.6, 1.2)) * (1 + 0.12 * texture)
    field = smooth_noise(rng, size, min(size) / 4)
    if rng.random() < 0.65:
        image = rng.uniform(0.01, 0.06) * (1 + 0.3 * field) + rng.uniform(0.15, 0.8) * light
        image = np.repeat((image + rng.uniform(0.003, 0.015) * rng.standard_normal(size))[..., None], 3, 2)
    else:
        ground = np.array([0.92, 0.80, 0.90]) + rng.normal(0, 0.03, 3)
        stain = np.array([0.42, 0.62, 0.30]) + rng.normal(0, 0.04, 3)
        tissue = 0.06 * smooth_noise(rng, size, 5)[..., None] * np.array([0.5, 1.2, 0.5])
        image = ground + tissue - light[..., None] * stain + 0.02 * rng.standard_normal((*size, 3))
    return to_bytes(image), mask
