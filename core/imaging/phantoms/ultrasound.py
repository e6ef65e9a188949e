"""A drawn ultrasound frame of soft tissue with a nerve (honeycomb, bright) and vessels (dark, round)."""

import numpy as np

from core.imaging.phantoms.canvas import blur, ellipse, fill, smooth_noise, stroke, to_bytes

CLASSES = ("background", "nerve", "vessel")


def draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one; returns image uint8 (h, w) and mask uint8 (h, w) of class indices."""
    height, width = size
    unit = min(size)
    mask = np.zeros(size, np.uint8)
    top = round(rng.uniform(0.0, 0.12) * height)
    end = round(rng.uniform(0.75, 1.0) * height)
    echo = 0.28 + 0.10 * smooth_noise(rng, size, (unit / 14, unit / 6))

    for _ in range(rng.integers(2, 4)):  # muscle bellies: dark, with bright fascia around
        centre = (rng.uniform(0, width), rng.uniform(top + 0.15 * height, end))
        belly = ellipse(
            centre, (rng.uniform(0.2, 0.45) * width, rng.uniform(0.06, 0.14) * height), rng.normal(0, 0.12), rng, 0.12
        )
        inside = blur(fill(belly, size), 2)
        echo -= 0.12 * inside
        echo += 0.30 * blur(stroke(np.vstack([belly, belly[:1]]), 0.008 * unit, size), 1.2)
    x = np.linspace(-0.05 * width, 1.05 * width, 80)
    for _ in range(rng.integers(4, 9)):  # fascia lines and fibres
        level = rng.uniform(top + 0.03 * height, top + 0.55 * height)
        wave = (
            level
            + 0.02 * height * np.sin(x / width * rng.uniform(2, 6) + rng.uniform(0, 6))
            + rng.normal(0, 0.05) * (x - width / 2)
        )
        echo += rng.uniform(0.15, 0.4) * blur(stroke(np.stack([x, wave], 1), 0.005 * unit, size), (0.8, 2.0))

    vessel_x, depth = rng.uniform(0.2, 0.8) * width, top + rng.uniform(0.35, 0.55) * (end - top)
    radius = rng.uniform(0.05, 0.10) * unit
    vessels = [((vessel_x, depth), radius)]
    if rng.random() < 0.4:
        vessels.append(
            (
                (vessel_x + rng.choice([-1, 1]) * rng.uniform(2.2, 3.0) * radius, depth + rng.normal(0, 0.4) * radius),
                radius * rng.uniform(0.6, 0.9),
            )
        )
    for centre, size_of in vessels:
        wall = ellipse(centre, (size_of * rng.uniform(1.0, 1.3), size_of), rng.normal(0, 0.2), rng, 0.04)
        lumen = fill(wall, size)
        echo = echo * (1 - blur(lumen, 1.0)) + 0.05 * blur(lumen, 1.0)
        echo += 0.18 * blur(stroke(np.vstack([wall, wall[:1]]), 0.007 * unit, size), 1.0)
        below = fill(wall + np.array([0, 1.4 * size_of]), size) * (1 - lumen)
        echo += 0.14 * blur(below, unit / 40)  # enhancement behind fluid
        mask[lumen >= 0.5] = 2

    direction = -1 if vessel_x > width / 2 else 1
    nerve_centre = (vessel_x + direction * rng.uniform(1.9, 2.8) * radius, depth + rng.uniform(-0.6, 0.8) * radius)
    radii = (rng.uniform(0.9, 1.4) * radius, rng.uniform(0.55, 0.8) * radius)
    nerve = fill(ellipse(nerve_centre, radii, rng.normal(0, 0.35), rng, 0.08), size) * (mask != 2)
    honeycomb = smooth_noise(rng, size, max(1.0, unit / 150))
    soft = blur(nerve, 1.5)
    echo = echo * (1 - soft) + soft * (0.46 + 0.16 * honeycomb)
    mask[nerve >= 0.5] = 1

    speckle = np.abs(blur(rng.standard_normal(size), (0.6, 1.2)) + 1j * blur(rng.standard_normal(size), (0.6, 1.2)))
    speckle /= speckle.mean()
    image = np.clip(echo, 0.01, None) * (0.45 + 0.55 * speckle)
    depth_gain = np.exp(-np.clip(np.arange(height)[:, None] - top, 0, None) / height * rng.uniform(0.3, 1.3))
    image = image * depth_gain
    image[:top] = 0
    image[end:] = 0
    image[top : top + 3] = 0.7
    mask[:top] = 0
    mask[end:] = 0
    return to_bytes(image * rng.uniform(0.8, 1.3)), mask
