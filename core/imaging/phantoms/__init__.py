"""Drawn sample images with ground truth: nothing of a person is in them.

They make the app usable without anyone's data and are mixed into training (about one in ten) so that the shipped
segmenters read them. They resemble a modality; they are no simulation of its physics.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import InputError
from core.imaging.phantoms import brain, microscopy, radiograph, ultrasound
from core.imaging.phantoms.canvas import LABEL, print_label

__all__ = ["KINDS", "LABEL", "Phantom", "draw_phantom"]

Draw = Callable[[np.random.Generator, tuple[int, int]], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Kind:
    """One kind of drawing: the segmenter that reads it, its classes, its usual size (height, width)."""

    name: str
    title: str
    model: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    draw: Draw


KINDS = {
    kind.name: kind
    for kind in (
        Kind("radiograph", "Chest radiograph", "chest-xray", radiograph.CLASSES, (512, 640), radiograph.draw),
        Kind(
            "ultrasound", "Ultrasound of a nerve", "ultrasound-nerve", ultrasound.CLASSES, (512, 534), ultrasound.draw
        ),
        Kind("microscopy", "Microscopy of nuclei", "nuclei", microscopy.CLASSES, (256, 320), microscopy.draw),
        Kind("brain", "MR slice of the hippocampus", "hippocampus", brain.CLASSES, (35, 50), brain.draw),
    )
}


@dataclass(frozen=True)
class Phantom:
    """A drawn image: ``image`` uint8 (h, w) or (h, w, 3), ``mask`` uint8 (h, w) of class indices."""

    kind: str
    seed: int
    title: str
    model: str
    classes: tuple[str, ...]
    image: np.ndarray
    mask: np.ndarray

    def describe(self) -> dict[str, Any]:
        """What a sample's JSON says."""
        title = f"{self.title} (drawn, seed {self.seed})"
        return {
            "title": title,
            "model": self.model,
            "kind": self.kind,
            "seed": self.seed,
            "classes": list(self.classes),
        }


def draw_phantom(kind: str, seed: int, size: tuple[int, int] | None = None, label: bool = True) -> Phantom:
    """Draw a phantom; the same kind, seed and size give the same pixels.

    Args:
        kind: a key of ``KINDS``.
        seed: any non-negative integer.
        size: (height, width) in pixels, at least 32 each.
        label: print the words DRAWN PHANTOM into the picture.

    Raises:
        InputError: unknown kind or a size that is too small.
    """
    if kind not in KINDS:
        raise InputError(f"there is no phantom {kind!r}", f"choose one of {', '.join(KINDS)}")
    chosen = KINDS[kind]
    size = size or chosen.size
    if min(size) < 32:
        raise InputError(f"a phantom of {size[1]} x {size[0]} pixels is too small", "give at least 32 x 32")
    image, mask = chosen.draw(np.random.default_rng([seed, *kind.encode()]), size)
    if label and min(size) >= 128:
        image = print_label(image, seed, 60 if image.mean() > 150 else 200)
    return Phantom(kind, seed, chosen.title, chosen.model, chosen.classes, image, mask)
