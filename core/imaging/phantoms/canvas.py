"""What all phantom drawings share: smooth closed outlines, soft edges, smooth noise and the printed label."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.interpolate import CubicSpline

LABEL = "DRAWN PHANTOM"
SUPERSAMPLING = 2


def outline(points: np.ndarray, samples: int = 200) -> np.ndarray:
    """Smooth closed curve through points (n, 2) of (x, y); returns (samples, 2)."""
    closed = np.vstack([points, points[:1]])
    steps = np.r_[0, np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1) + 1e-9)]
    return CubicSpline(steps, closed, bc_type="periodic")(np.linspace(0, steps[-1], samples, endpoint=False))


def fill(curve: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Coverage in 0..1 (height, width) of the inside of a closed curve given in pixels, antialiased."""
    height, width = size
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING), 0)
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in curve * SUPERSAMPLING], fill=255)
    return _coverage(canvas)


def stroke(curve: np.ndarray, width: float, size: tuple[int, int]) -> np.ndarray:
    """Coverage in 0..1 of an open curve (n, 2) in pixels drawn with a round brush of the given width."""
    height, columns = size
    canvas = Image.new("L", (columns * SUPERSAMPLING, height * SUPERSAMPLING), 0)
    brush = max(1, round(width * SUPERSAMPLING))
    ImageDraw.Draw(canvas).line(
        [tuple(point) for point in curve * SUPERSAMPLING], fill=255, width=brush, joint="curve"
    )
    return _coverage(canvas)


def _coverage(canvas: Image.Image) -> np.ndarray:
    """Share of each pixel that is painted, float32: the mean of its 2 x 2 subpixels."""
    width, height = canvas.size
    coverage = np.zeros((height // SUPERSAMPLING, width // SUPERSAMPLING), np.float32)
    if box := canvas.getbbox():  # most strokes are a small part of the picture
        left, top = (edge // 2 for edge in box[:2])
        right, bottom = ((edge + 1) // 2 for edge in box[2:])
        painted = np.asarray(canvas.crop((2 * left, 2 * top, 2 * right, 2 * bottom))) >> 7  # 255 to 1
        total = painted[0::2, 0::2] + painted[0::2, 1::2] + painted[1::2, 0::2] + painted[1::2, 1::2]
        coverage[top:bottom, left:right] = total * np.float32(1 / SUPERSAMPLING**2)
    return coverage


def ellipse(
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
    rng: np.random.Generator | None = None,
    wobble: float = 0.0,
) -> np.ndarray:
    """Closed curve of an ellipse, its radius disturbed by ``wobble`` (a share of it) in low harmonics."""
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(turn)
    if rng is not None and wobble:
        for harmonic in (2, 3, 4):
            radius += wobble / harmonic * rng.normal() * np.cos(harmonic * turn + rng.uniform(0, 2 * np.pi))
    x, y = radii[0] * radius * np.cos(turn), radii[1] * radius * np.sin(turn)
    return np.stack(
        [centre[0] + x * np.cos(angle) - y * np.sin(angle), centre[1] + x * np.sin(angle) + y * np.cos(angle)], 1
    )


def blur(image: np.ndarray, sigma: float | tuple[float, float]) -> np.ndarray:
    """Gaussian blur of a float image (h, w); the border's values go on beyond it.

    Args:
        image: float32 or float64.
        sigma: in pixels, along both axes or (down, across); the kernel ends at 4 sigma.
    """
    down, across = np.broadcast_to(sigma, 2)
    return cv2.sepFilter2D(image, -1, _kernel(across), _kernel(down), borderType=cv2.BORDER_REPLICATE)


def _kernel(sigma: float) -> np.ndarray:
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    return weights / weights.sum()


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], scale: float | tuple[float, float]) -> np.ndarray:
    """Unit-variance noise with structures of about ``scale`` pixels."""
    noise = blur(rng.standard_normal(size).astype(np.float32), scale)
    return noise / (noise.std() + 1e-9)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """0..1 to uint8."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def print_label(image: np.ndarray, seed: int, shade: int = 200) -> np.ndarray:
    """The image with the words that say it is drawn, in its lower left corner. uint8 in and out."""
    picture = Image.fromarray(image)
    size = max(8, min(image.shape[:2]) // 40)
    text = f"{LABEL} {seed}"
    colour = shade if image.ndim == 2 else (shade,) * 3
    position = (size // 2, image.shape[0] - 2 * size)
    ImageDraw.Draw(picture).text(position, text, fill=colour, font=ImageFont.load_default(size))
    return np.array(picture)
