"""The drawn sample images that the app offers: pictures with their truth in assets/samples."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.errors import InputError
from core.imaging.phantoms import draw_phantom
from core.settings import PROJECT_ROOT

SHIPPED_SAMPLES = PROJECT_ROOT / "assets" / "samples"
SEEDS = (("radiograph", 0), ("radiograph", 3), ("ultrasound", 2), ("microscopy", 0), ("microscopy", 1), ("brain", 0))
"""The shipped samples (kind, seed); training draws other seeds."""


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        name: file name without ending, such as ``radiograph-0``.
        title: what to show, with the word "drawn" in it.
        model: the segmenter that reads it.
        kind: of phantom.
        seed: of the drawing.
        classes: names of the truth's values.
        image: PNG file.
        truth: PNG file of the same size with a class index per pixel.
    """

    name: str
    title: str
    model: str
    kind: str
    seed: int
    classes: tuple[str, ...]
    image: Path
    truth: Path


def list_samples(folder: Path = SHIPPED_SAMPLES) -> list[Sample]:
    """The samples of a folder, in name order; empty where there is no such folder.

    Raises:
        InputError: a description there cannot be read.
    """
    samples = []
    for path in sorted(folder.glob("*.json")):
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            fields = {key: said[key] for key in ("title", "model", "kind", "seed")}
            classes = tuple(said["classes"])
        except (ValueError, KeyError, TypeError):
            raise InputError(f"the sample {path.name} is damaged", "run `python -m core draw-samples`") from None
        image, truth = folder / f"{path.stem}.png", folder / f"{path.stem}.truth.png"
        samples.append(Sample(path.stem, **fields, classes=classes, image=image, truth=truth))
    return samples


def write_samples(folder: Path, seeds: Iterable[tuple[str, int]] = SEEDS) -> list[Sample]:
    """Draw samples into a folder: ``<kind>-<seed>.png``, ``.truth.png`` and ``.json`` each."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, seed in seeds:
        phantom, name = draw_phantom(kind, seed), f"{kind}-{seed}"
        for suffix, array in (("", phantom.image), (".truth", phantom.mask)):
            partial = folder / f".{name}{suffix}.new"
            Image.fromarray(array).save(partial, "PNG", optimize=True)
            partial.replace(folder / f"{name}{suffix}.png")
        (folder / f"{name}.json").write_text(json.dumps(phantom.describe(), indent=2) + "\n")
    return list_samples(folder)
