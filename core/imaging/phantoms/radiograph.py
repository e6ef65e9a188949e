"""A drawn frontal chest radiograph with lung masks (the lung behind the heart included)."""

import numpy as np

from core.imaging.phantoms.canvas import blur, ellipse, fill, outline, smooth_noise, stroke, to_bytes

CLASSES = ("background", "lung")


def _lung(rng: np.random.Generator, side: int, top: float, bottom: float, inner: float, outer: float) -> np.ndarray:
    """Outline of one lung in units of the picture; ``side`` is -1 for the left of the picture, 1 for the right."""
    height = bottom - top
    dome = rng.uniform(0.05, 0.14) * height
    jitter = lambda: rng.normal(0, 0.006)
    apex = inner + 0.38 * (outer - inner)
    points = [
        (apex, top),
        (inner + 0.72 * (outer - inner), top + 0.16 * height + jitter()),
        (inner + 0.90 * (outer - inner) + jitter(), top + 0.42 * height),
        (outer + jitter(), top + 0.78 * height),
        (outer - 0.01, bottom),
        (inner + 0.62 * (outer - inner), bottom - dome - 0.02),
        (inner + 0.25 * (outer - inner), bottom - dome - 0.015 + jitter()),
        (inner + 0.02, bottom - dome + 0.02),
        (inner + jitter(), top + 0.70 * height),
        (inner + jitter(), top + 0.40 * height),
        (inner + 0.10 * (outer - inner), top + 0.10 * height),
    ]
    return outline(np.array([(0.5 + side * x, y) for x, y in points]))


def draw(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one; returns image uint8 (h, w) and mask uint8 (h, w) of class indices."""
    height, width = size
    scale = np.array([width, height])
    unit = min(size)
    shift = np.array([rng.normal(0, 0.02), rng.normal(0, 0.015)])
    zoom, tilt = rng.uniform(0.86, 1.08), rng.normal(0, 0.04)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])

    def place(curve: np.ndarray) -> np.ndarray:
        return (((curve - 0.5) * zoom) @ turn.T + 0.5 + shift) * scale

    top, bottom = rng.uniform(0.16, 0.24), rng.uniform(0.72, 0.80)
    inner, outer = rng.uniform(0.045, 0.075), rng.uniform(0.30, 0.37)
    lungs = [
        place(_lung(rng, -1, top, bottom - rng.uniform(0, 0.03), inner, outer)),
        place(_lung(rng, 1, top + rng.normal(0, 0.008), bottom, inner, outer * rng.uniform(0.95, 1.03))),
    ]
    lung = np.maximum(*[fill(curve, size) for curve in lungs])

    torso_width = outer + rng.uniform(0.05, 0.10)
    side = [(0.09, -0.2), (0.10, 0.06), (0.24, 0.13), (torso_width + 0.02, 0.24), (torso_width, 0.45)]
    side += [(torso_width + 0.01, 0.8), (torso_width - 0.02, 1.25)]
    torso_points = [(0.5 + x, y) for x, y in side] + [(0.5 - x, y) for x, y in reversed(side)]
    torso = blur(fill(place(outline(np.array(torso_points))), size), unit / 90)
    image = rng.uniform(0.0, 0.05) + torso * rng.uniform(0.40, 0.50)
    if rng.random() < 0.7:  # raised or hanging arms
        for direction in (-1, 1):
            start, reach = np.array([0.5 + direction * 0.24, 0.17]), rng.uniform(-0.25, 0.45)
            arm = np.linspace(start, start + np.array([direction * 0.30, reach]), 20)
            image += 0.22 * blur(stroke(place(arm), 0.09 * unit, size), unit / 80) * (1 - torso)

    abdomen = fill(place(np.array([(0.0, bottom - 0.04), (1.0, bottom - 0.04), (1.0, 1.4), (0.0, 1.4)])), size)
    image += rng.uniform(0.10, 0.2) * blur(abdomen * torso, unit / 25) * (1 - lung)
    air = np.maximum(blur(lung, unit / 160), 0)
    image -= rng.uniform(0.22, 0.34) * air * (0.75 + 0.25 * blur(lung, unit / 18))

    heart_centre = np.array([0.5 + rng.uniform(0.03, 0.07), bottom - rng.uniform(0.16, 0.22)])
    radii = (rng.uniform(0.12, 0.17), rng.uniform(0.15, 0.2))
    heart = fill(place(ellipse(tuple(heart_centre), radii, 0.3, rng, 0.05)), size)
    image += rng.uniform(0.16, 0.26) * blur(heart, unit / 110) * (torso > 0.5) * (0.35 + 0.65 * air)
    mediastinum = place(
        outline(np.array([(0.44, 0.05), (0.56, 0.05), (0.55, 0.35), (0.57, 0.9), (0.43, 0.9), (0.45, 0.35)]))
    )
    image += rng.uniform(0.12, 0.2) * blur(fill(mediastinum, size), unit / 60)

    spine_y = np.linspace(-0.05, 1.1, 400)
    spine = stroke(place(np.stack([np.full_like(spine_y, 0.5), spine_y], 1)), 0.055 * unit, size)
    rows = np.arange(height)[:, None] / height
    discs = 0.75 + 0.25 * np.cos(2 * np.pi * rows * rng.uniform(15, 19))
    image += rng.uniform(0.06, 0.12) * blur(spine, unit / 150) * discs

    count, strength = rng.integers(8, 11), rng.uniform(0.05, 0.11)
    backs, fronts = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for index in range(count):  # ribs: a posterior arc falling outwards and a fainter anterior one
        level = top - 0.04 + (bottom - top + 0.06) * index / count
        reach = (outer + 0.02) * np.sqrt(np.clip(1 - (1 - (index + 2.0) / (count * 0.75)) ** 2, 0.15, 1))
        along = np.linspace(0, 1, 40)
        for direction in (-1, 1):
            x = 0.5 + direction * (0.03 + (reach - 0.03) * np.sin(along * np.pi / 2))
            back = np.stack([x, level - 0.03 * np.sin(along * np.pi) + 0.11 * along**2], 1)
            backs += stroke(place(back), 0.020 * unit, size)
            front = np.stack([x[12:], level + 0.19 - 0.09 * along[12:] ** 2], 1)
            fronts += stroke(place(front), 0.018 * unit, size)
    image += strength * (blur(backs, unit / 260) + 0.4 * blur(fronts, unit / 220)) * torso
    for direction in (-1, 1):  # clavicles
        collar = np.array(
            [(0.5 + direction * x, top + y) for x, y in ((0.03, 0.04), (0.12, 0.0), (0.24, -0.03), (0.33, -0.07))]
        )
        image += 0.10 * blur(stroke(place(collar), 0.022 * unit, size), unit / 200)

    vessels = np.clip(smooth_noise(rng, size, unit / 130), 0, None) * blur(lung, unit / 40)
    image += rng.uniform(0.008, 0.03) * vessels
    if rng.random() < 0.3:  # a hazy opacity, as in pneumonia
        spot = lungs[rng.integers(2)].mean(0) / scale + rng.normal(0, 0.06, 2)
        image += rng.uniform(0.05, 0.15) * blur(
            fill(ellipse(tuple(spot * scale), (0.1 * unit, 0.12 * unit), 0, rng, 0.2), size), unit / 20
        )
    image = blur(image, rng.uniform(0.3, 1.0)) + rng.uniform(0.004, 0.015) * rng.standard_normal(size)
    image = np.clip(image, 0, 1) ** rng.uniform(0.8, 1.25) * rng.uniform(0.95, 1.25)
    return to_bytes(image), (lung >= 0.5).astype(np.uint8)
