"""A folder of images, explained one by one: each into a folder of its own, finished ones left alone."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import ChartlightError, InputError
from core.progress import Progress

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".nii", ".nii.gz")
"""Endings of files that are taken for images."""


@dataclass
class Outcome:
    """What became of the images, by file name.

    Attributes:
        explained: made now.
        already_done: found whole, with the same request.
        failed: name -> what was wrong.
    """

    explained: list[str] = field(default_factory=list)
    already_done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> list[str]:
        """Names of all folders that are whole."""
        return sorted([*self.explained, *self.already_done])


def images_of(folder: Path, out: Path) -> list[Path]:
    """The images of a folder by name.

    Raises:
        InputError: it is not there or has none, or ``out`` lies inside of it.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", "give a folder of images to --batch")
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise InputError("the output folder lies inside of the image folder", "choose another --out")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().endswith(SUFFIXES))
    if not paths:
        raise InputError(f"the folder {folder} has no images", f"put files there that end in {', '.join(SUFFIXES)}")
    return paths


def masks_of(folder: Path, images: list[Path]) -> dict[Path, Path]:
    """Image -> the file of its name in a folder of masks, whatever its ending; an image may have none.

    Raises:
        InputError: it is no folder, has several of a name, or none for any image.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", "give --batch a folder of masks named like the images")
    named: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name.lower().endswith(SUFFIXES):
            named.setdefault(stem(path), []).append(path)
    found = {image: named[stem(image)] for image in images if stem(image) in named}
    if several := next((masks for masks in found.values() if len(masks) > 1), None):
        raise InputError(f"{folder} has {len(several)} masks named {stem(several[0])}", "keep one of them there")
    if not found:
        raise InputError(f"no mask in {folder} has the name of an image", f"name that of {images[0].name} like it")
    return {image: masks[0] for image, masks in found.items()}


def stem(path: Path) -> str:
    """A file's name without what says its format; also of one that ends in .nii.gz."""
    ending = next((end for end in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(end)), "")
    return path.name[: len(path.name) - len(ending)]


def explain_all(
    images: list[Path],
    out: Path,
    request: Callable[[Path], Mapping[str, Any]],
    work: Callable[[Path, Path], object],
    progress: Progress,
    failed: Callable[[str, str], None],
) -> Outcome:
    """Explain images one by one; an error ends that image alone.

    Args:
        images: the files.
        out: the folder of their folders.
        request: what is asked of an image, by content, as its manifest will say.
        work: explains an image into a folder.
        progress: called before each image and at the end.
        failed: told of each error at once: the file's name and what was wrong.
    """
    outcome = Outcome()
    for index, path in enumerate(images):
        progress(index, len(images), "")
        try:
            if _is_done(out / path.name, request(path)):
                outcome.already_done.append(path.name)
                continue
            work(path, out / path.name)
            outcome.explained.append(path.name)
        except ChartlightError as error:
            outcome.failed[path.name] = str(error)
            failed(path.name, str(error))
    progress(len(images), len(images), "")
    return outcome


def _is_done(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether a folder holds the whole answer to this very request."""
    try:
        described = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(described, dict) or not isinstance(described.get("files"), list):
        return False
    return described.get("request") == asked and all((folder / name).is_file() for name in described["files"])
