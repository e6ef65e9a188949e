"""What a segmenter's card says: its items and their check (after Model Facts, Sendak et al. 2020), its classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb

from core.errors import InputError

COLOURS = ("#000000", "#2e7eb8", "#d55e00", "#009e73", "#c26a9a", "#a87900")
"""Of the background and of the classes after it, in turn, where a card has none."""

ITEMS: dict[str, str] = {
    "title": "Name",
    "purpose": "Intended use",
    "modality": "Kind of image",
    "classes": "Classes",
    "metrics": "Performance on held-out cases",
    "split": "How cases were split",
    "data": "Data",
    "attribution": "Attribution",
    "licence": "Licence",
    "preprocessing": "How an image is fed to it",
    "training": "Training, with the command that repeats it",
    "limits": "Known limits",
    "warnings": "Warnings",
    "version": "Version",
    "weights_sha256": "SHA-256 of the weights",
}
"""Required items and what each says, in the order in which a page shows them."""

_NESTED: dict[str, tuple[str, ...]] = {
    "metrics": ("held_out",),
    "split": ("rule", "seed", "train", "validation", "test"),
    "training": ("command", "evaluate_command", "seed", "epochs", "minutes"),
}


def missing_items(card: Mapping[str, Any]) -> list[str]:
    """Return the items that a card lacks or leaves empty ("training.command"); [] for a complete card."""
    missing = [item for item in ITEMS if card.get(item) in (None, "", [], {})]
    for item, keys in _NESTED.items():
        value = card.get(item)
        if isinstance(value, Mapping):
            missing += [f"{item}.{key}" for key in keys if value.get(key) in (None, "", [], {})]
    return missing


def class_names(card: Mapping[str, Any]) -> list[str] | None:
    """Class names of a card: a list of names or of mappings with ``name``, or a mapping of index to these."""
    classes = _classes(card)
    if classes is None:
        return None
    return [str(item.get("name", "")) if isinstance(item, Mapping) else str(item) for item in classes]


def class_colours(card: Mapping[str, Any], n_classes: int) -> np.ndarray:
    """Colours uint8 (n_classes, 3): a class's ``colour`` in the card, as CSS or Matplotlib name them, or one of ours.

    Raises:
        InputError: the card has a colour that is none.
    """
    colours = [COLOURS[0], *(COLOURS[1 + index % (len(COLOURS) - 1)] for index in range(n_classes - 1))]
    for index, item in enumerate((_classes(card) or [])[:n_classes]):
        own = item.get("colour", item.get("color")) if isinstance(item, Mapping) else None
        colours[index] = str(own) if own else colours[index]
    try:
        return np.rint(255 * np.array([to_rgb(colour) for colour in colours])).astype(np.uint8)
    except ValueError as error:
        raise InputError(
            f"the card has a colour that is none ({error})", 'write it as "#RRGGBB", in quotes, in card.yaml'
        ) from error


def _classes(card: Mapping[str, Any]) -> list[Any] | None:
    classes = card.get("classes")
    if isinstance(classes, Mapping):
        classes = [classes[key] for key in sorted(classes, key=int)]
    return classes if isinstance(classes, list) else None
