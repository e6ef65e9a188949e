"""Which segmenter an image is meant for, as far as the file tells, and how a volume is cut for one."""

from collections.abc import Mapping
from typing import Any

from core.imaging.readers import AXES, MedicalImage
from core.imaging.readers.image import Axis

KINDS = {
    "radiography": {"CR", "DX", "RG"},
    "ultrasound": {"US", "IVUS"},
    "MR": {"MR"},
    "CT": {"CT"},
    "microscopy": {"SM", "GM"},
}
"""A card's ``modality`` -> the DICOM codes (PS3.3 C.7.3.1.1.1) that it covers."""


def kind_of(image: MedicalImage) -> str | None:
    """The image's kind in the words of cards, where its file says so; None where it does not."""
    return next((kind for kind, codes in KINDS.items() if image.modality in codes), None)


def suggest(image: MedicalImage, cards: Mapping[str, Mapping[str, Any]]) -> str:
    """Name the segmenter to start with.

    In this order: the first whose modality is the file's; for a volume, the first that reads slices of volumes; for
    colours, the first for microscopy; else the first.

    Args:
        image: as read.
        cards: segmenter -> its card, at least one.
    """
    kind = kind_of(image)
    if kind is None and image.available.slices:
        return next((name for name, card in cards.items() if card.get("view")), next(iter(cards)))
    wanted = kind or ("microscopy" if image.pixels.ndim == 3 else None)
    return next((name for name, card in cards.items() if wanted and card.get("modality") == wanted), next(iter(cards)))


def mismatch(image: MedicalImage, card: Mapping[str, Any]) -> str | None:
    """One sentence when the file says that it is of another kind than the segmenter was made for."""
    kind, made_for = kind_of(image), card.get("modality")
    if kind is None or not made_for or made_for == kind:
        return None
    return f"The file says {kind}; this segmenter was made for {made_for}: do not expect sense of what it marks."


def slice_axis(card: Mapping[str, Any], given: Axis | None = None) -> Axis | None:
    """The axis along which a volume is cut for a segmenter: the one given, else the ``view`` of its card.

    Returns:
        None where neither says: readers then take the finest axis.
    """
    view = card.get("view")
    return given or (view if view in AXES else None)
