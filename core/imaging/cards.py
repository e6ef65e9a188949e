"""The items that a segmenter's card must have, and their check (after Model Facts, Sendak et al. 2020)."""

from collections.abc import Mapping
from typing import Any

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
