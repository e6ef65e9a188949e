"""Read the training data folders into cases and split them by group."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
from PIL import Image

from core.errors import InputError
from core.imaging.overlap import IGNORE
from core.imaging.preprocess import resize_to

BLOCK = 12  # ultrasound frames a block
ALIKE = 0.95  # correlation from which two ultrasound frames count as one


@dataclass(frozen=True)
class Case:
    """One image with its mask.

    Attributes:
        name: file name, with the slice's number for a volume.
        group: what must not be split (person, image, block of frames, volume).
        unit: what one Dice value is about (the image, or the volume that the slice is of).
        pixels: (h, w) or (h, w, 3), as the reader hands them on.
        mask: uint8 (h, w) of class indices; IGNORE where unknown.
    """

    name: str
    group: str
    unit: str
    pixels: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Split:
    """Cases of the three parts."""

    train: list[Case]
    validation: list[Case]
    test: list[Case]


def load_cases(name: str, folder: Path) -> list[Case]:
    """Read the data of a recipe in name order.

    Raises:
        InputError: the folder is not that dataset.
    """
    loaders = {
        "chest-xray": _chest_xray,
        "nuclei": _nuclei,
        "ultrasound-nerve": _ultrasound,
        "hippocampus": _hippocampus,
    }
    if not (folder / "images").is_dir():
        raise InputError(f"{folder} has no folder images", "give the data folder as the data README describes it")
    cases = loaders[name](folder)
    if len({case.group for case in cases}) < 10:
        raise InputError(f"{folder} has fewer than 10 cases", "give the whole data set")
    return cases


def split_cases(name: str, cases: list[Case], fractions: tuple[float, float], seed: int) -> Split:
    """Split by group: a seeded permutation of the groups, test first, then validation.

    The ultrasound frames are in shuffled order: neighbours in number correlate no more than distant frames do (0.36
    against 0.35 at 48 x 48), while a few far apart are nearly one picture. So no frames beside a held-out block are
    dropped, but those of correlation ALIKE with a test frame, or in training with a validation frame, are.
    """
    groups = sorted({case.group for case in cases})
    order = np.random.default_rng(seed).permutation(len(groups))
    n_validation, n_test = (round(fraction * len(groups)) for fraction in fractions)
    part = {groups[index]: "test" for index in order[:n_test]}
    part |= {groups[index]: "validation" for index in order[n_test : n_test + n_validation]}
    chosen: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        chosen[part.get(case.group, "train")].append(case)
    if name == "ultrasound-nerve":
        chosen["validation"] = _unlike(chosen["validation"], chosen["test"])
        chosen["train"] = _unlike(chosen["train"], chosen["validation"] + chosen["test"])
    return Split(chosen["train"], chosen["validation"], chosen["test"])


def _unlike(cases: list[Case], others: list[Case]) -> list[Case]:
    """The cases whose picture at 48 x 48 pixels correlates less than ALIKE with each of the others'."""
    mine, theirs = (np.stack([_thumbnail(case.pixels) for case in part]) for part in (cases, others))
    return [case for case, most in zip(cases, (mine @ theirs.T).max(1), strict=True) if most < ALIKE]


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A grey image (h, w) as a vector of mean 0 and length 1, 48 x 48 pixels; zeros where it is flat."""
    small = resize_to(torch.from_numpy(pixels.astype(np.float32))[None], (48, 48)).numpy().ravel()
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def person(stem: str) -> str:
    """Person of a chest radiograph's file name; equal numbers count as one person, which errs on the safe side."""
    if match := re.match(r"person(\d+)_", stem):
        return f"person{int(match[1])}"
    if match := re.match(r"(?:NORMAL2-)?IM-(\d+)", stem):
        return f"IM{int(match[1])}"
    raise InputError(f"the file name {stem} carries no person", "keep the names of the data set")


def _pairs(folder: Path, images: str, masks: str) -> Iterable[tuple[str, Path, Path]]:
    suffix = masks.rpartition("*")[2]
    for image in sorted(folder.glob(images)):
        stem = image.name.split(".")[0]
        mask = folder / masks.replace("*", stem)
        if not mask.is_file():
            raise InputError(f"{image.name} has no mask {mask.name}", f"give one {suffix} file for each image")
        yield stem, image, mask


def _array(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def _chest_xray(folder: Path) -> list[Case]:
    cases = []
    for stem, image, mask in _pairs(folder, "images/*.jpg", "masks/*.png"):
        values = _array(mask)
        labels = np.where(values == 127, IGNORE, values > 127).astype(np.uint8)
        cases.append(Case(stem, person(stem), stem, _array(image), labels))
    return cases


def _nuclei(folder: Path) -> list[Case]:
    return [
        Case(stem, stem, stem, _array(image)[..., :3], (_array(instances) > 0).astype(np.uint8))
        for stem, image, instances in _pairs(folder, "images/*.png", "instances/*.png")
    ]


def _ultrasound(folder: Path) -> list[Case]:
    return [
        Case(stem, f"block{int(stem) // BLOCK:02d}", stem, _array(image), _array(mask))
        for stem, image, mask in _pairs(folder, "images/*.png", "masks/*.png")
    ]


def _hippocampus(folder: Path) -> list[Case]:
    """Sagittal slices, superior up and anterior to the left, as the NIfTI reader shows them."""
    cases = []
    for stem, image, labels in _pairs(folder, "images/*.nii.gz", "labels/*.nii.gz"):
        volume = nibabel.as_closest_canonical(nibabel.load(image)).get_fdata(dtype=np.float32)
        truth = np.asarray(nibabel.as_closest_canonical(nibabel.load(labels)).dataobj).astype(np.uint8)
        for index in range(volume.shape[0]):
            pixels, mask = (array[index][::-1, ::-1].T for array in (volume, truth))
            cases.append(Case(f"{stem}:{index}", stem, stem, np.ascontiguousarray(pixels), np.ascontiguousarray(mask)))
    return cases
