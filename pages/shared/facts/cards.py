"""The cards of heads, encoders and segmenters in one shape: a title, the items in order, and what is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.embedding.registry import encoder_specs
from core.embedding.weights import is_present
from core.errors import ChartlightError
from core.imaging.cards import ITEMS as SEGMENTER_ITEMS
from core.imaging.cards import missing_items as missing_of_segmenter
from core.imaging.segmenters import list_segmenters, read_card
from core.risk.cards import ITEMS as HEAD_ITEMS
from core.risk.cards import missing_items as missing_of_head
from core.settings import get_settings
from pages.shared import resources


@dataclass(frozen=True)
class Facts:
    """A card ready to draw: ``items`` are (key, title, value)."""

    title: str
    items: tuple[tuple[str, str, Any], ...]
    missing: tuple[str, ...] = ()


def heads() -> dict[str, Callable[[], Facts]]:
    """Return the heads of every encoder that has some."""
    found: dict[str, Callable[[], Facts]] = {}
    folder = get_settings().heads
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.is_dir():
            continue
        try:
            loaded = resources.heads(path.name)
        except ChartlightError:
            continue
        for head in loaded.values():
            name = head.subtask.name if head.subtask.label is None else f"Chest X-ray: {head.subtask.label}"
            found[f"{name} · {path.name}"] = lambda head=head: Facts(
                str(head.card.get("name", head.key)),
                tuple((key, title, head.card.get(key)) for key, title in HEAD_ITEMS.items()),
                tuple(missing_of_head(head.card)),
            )
    return found


def encoders() -> dict[str, Callable[[], Facts]]:
    """Return the encoders of the registry."""
    return {spec.title: lambda spec=spec: _encoder(spec) for spec in encoder_specs().values()}


def segmenters() -> dict[str, Callable[[], Facts]]:
    """Return the shipped segmenters and the user's own."""
    return {name: lambda folder=folder: _segmenter(read_card(folder)) for name, folder in list_segmenters().items()}


def _segmenter(card: dict[str, Any]) -> Facts:
    return Facts(
        str(card.get("title", card.get("name", "Segmenter without a card"))),
        tuple((key, title, card.get(key)) for key, title in SEGMENTER_ITEMS.items()),
        tuple(missing_of_segmenter(card)),
    )


def _encoder(spec: Any) -> Facts:
    reading = {
        "dimension": spec.dimension or "as the server answers",
        "context": spec.context or "that of the model behind the server",
        "tokens_read_at_most": spec.max_tokens
        or "as many as the server takes; it cuts longer records or refuses them",
        "pooling": spec.pooling,
        "attention": spec.attention,
        "chunks": "none" if spec.chunking == "none" else f"{spec.chunking}, {spec.chunk_tokens} tokens",
        "takes_an_instruction": spec.takes_instruction,
        "template": spec.template,
    }
    weights = {
        "source": spec.source,
        "revision": spec.revision,
        "parameters": spec.parameters or "unknown",
        "memory_in_bf16": f"{spec.memory_gb:.2g} GB" if spec.parameters else "the server's",
        "precision": spec.dtype,
        "here": "the server decides" if spec.remote else is_present(spec),
    }
    items = (
        ("reading", "How it reads a record", reading),
        ("weights", "Weights", weights),
        ("traps", "Known traps", list(spec.traps)),
        ("facts", "Where this is from", list(spec.facts)),
        ("licence", "Licence", spec.licence),
        ("url", "Source", spec.url),
        ("not_for", "Not for", "Diagnosis, triage, treatment or any other decision about a person."),
    )
    return Facts(spec.title, items, tuple(title for key, title, value in items if not value and key != "url"))
