"""The albumentations pipelines of training. The one module that imports albumentations (MIT line, 2.0.8)."""

import os
from typing import Any, TypeAlias

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # before the import: it would look for updates on the network

import albumentations as A
import cv2
import numpy as np

from core.imaging.overlap import IGNORE

Pipeline: TypeAlias = A.Compose
MOST_ERASED = 0.6
"""Share of a picture above which its objects are not painted over."""


def _affine(
    scale: tuple[float, float], rotate: float, shift: float, shear: float, p: float = 0.9, mirrored: bool = False
) -> A.Affine:
    """Scale, shift, turn and shear; outside of the image is black background, or its mirror image."""
    return A.Affine(
        scale={"x": scale, "y": scale},
        translate_percent={"x": (-shift, shift), "y": (-shift, shift)},
        rotate=(-rotate, rotate),
        shear={"x": (-shear, shear), "y": (-shear, shear)},
        interpolation=cv2.INTER_LINEAR,
        border_mode=cv2.BORDER_REFLECT_101 if mirrored else cv2.BORDER_CONSTANT,
        fill=0,
        fill_mask=0,
        p=p,
    )


def _steps(kind: str) -> list[A.BasicTransform]:
    contrast = A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.25, p=0.6)
    gamma = A.RandomGamma(gamma_limit=(70, 140), p=0.4)
    if kind == "radiograph":
        return [
            A.HorizontalFlip(p=0.5),
            _affine((0.80, 1.20), 12, 0.06, 4),
            A.GridDistortion(num_steps=4, distort_limit=0.12, p=0.2),
            contrast,
            gamma,
            A.GaussianBlur(blur_limit=(3, 5), p=0.15),
            A.GaussNoise(std_range=(0.01, 0.05), p=0.25),
            A.CoarseDropout(
                num_holes_range=(1, 3), hole_height_range=(0.05, 0.2), hole_width_range=(0.05, 0.2), p=0.15
            ),
        ]
    if kind == "microscopy":
        return [
            EraseObjects(margin=3, p=0.15),
            A.D4(p=1.0),
            _affine((0.60, 1.60), 45, 0.05, 4, p=0.6, mirrored=True),
            contrast,
            A.RandomGamma(gamma_limit=(50, 180), p=0.5),
            A.HueSaturationValue(hue_shift_limit=20, sat_shift_limit=30, val_shift_limit=0, p=0.3),
            A.ChannelShuffle(p=0.2),
            A.ToGray(p=0.2),
            A.InvertImg(p=0.25),  # dark nuclei on light: stained pictures are rare
            A.GaussianBlur(blur_limit=(3, 7), p=0.2),
            A.GaussNoise(std_range=(0.01, 0.06), p=0.3),
        ]
    if kind == "ultrasound":
        return [
            A.HorizontalFlip(p=0.5),
            _affine((0.75, 1.30), 15, 0.10, 6),
            A.ElasticTransform(alpha=40, sigma=8, p=0.3),
            contrast,
            A.RandomGamma(gamma_limit=(60, 170), p=0.5),
            A.GaussianBlur(blur_limit=(3, 5), p=0.2),
            A.MultiplicativeNoise(multiplier=(0.7, 1.3), elementwise=True, p=0.3),
            A.CoarseDropout(
                num_holes_range=(1, 4), hole_height_range=(0.05, 0.2), hole_width_range=(0.05, 0.2), p=0.3
            ),
        ]
    if kind == "brain":
        return [
            _affine((0.85, 1.15), 15, 0.08, 5, mirrored=True),
            A.ElasticTransform(alpha=8, sigma=5, p=0.2),
            contrast,
            gamma,
            A.GaussNoise(std_range=(0.01, 0.06), p=0.3),
        ]
    raise ValueError(f"no augmentation {kind!r}")


class EraseObjects(A.DualTransform):  # type: ignore[misc]
    """Paint over all that the mask marks, from what lies around it: a picture of the background alone.

    Pictures with hardly any object are rare, and a model that has seen none takes their background for one.
    """

    def __init__(self, margin: int, p: float) -> None:
        """``margin`` in pixels around each object is painted over too: outlines run close to the edge."""
        super().__init__(p=p)
        self.margin = margin

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The pixels to paint, uint8 (h, w); none where nothing would be left to paint from."""
        marked = (data["mask"] > 0).astype(np.uint8)
        hole = cv2.dilate(marked, np.ones((2 * self.margin + 1,) * 2, np.uint8))
        return {"hole": hole if hole.mean() <= MOST_ERASED else np.zeros_like(hole)}

    def apply(self, img: np.ndarray, hole: np.ndarray, **params: Any) -> np.ndarray:
        """Image float32 (h, w, channels) in 0..1."""
        if not hole.any():
            return img
        painted = cv2.inpaint((img * 255).astype(np.uint8), hole, 3, cv2.INPAINT_TELEA)
        return np.where(hole[..., None] > 0, painted.reshape(img.shape).astype(np.float32) / 255, img)

    def apply_to_mask(self, mask: np.ndarray, hole: np.ndarray, **params: Any) -> np.ndarray:
        """Nothing that was painted over is marked any more."""
        return np.where((hole > 0) & (mask != IGNORE), 0, mask).astype(mask.dtype)


def build_pipeline(kind: str, crop: int = 0) -> Pipeline:
    """A pipeline over ``image`` float32 (h, w, channels) in 0..1 and ``mask`` uint8 (h, w).

    Args:
        kind: radiograph, microscopy, ultrasound or brain.
        crop: side of random square crops (smaller images are mirrored at the border), or 0 for none.
    """
    steps = _steps(kind)
    if crop:
        pad = A.PadIfNeeded(crop, crop, border_mode=cv2.BORDER_REFLECT_101)
        steps = [pad, A.RandomCrop(crop, crop), *steps]
    return A.Compose(steps)


def augment(pipeline: Pipeline, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Augment one image (h, w, channels) and its mask; the same seed gives the same result."""
    pipeline.set_random_seed(seed)
    out = pipeline(image=image, mask=mask)
    picture = out["image"]
    return np.clip(picture if picture.ndim == 3 else picture[..., None], 0, 1), out["mask"]
