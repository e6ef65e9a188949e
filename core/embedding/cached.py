"""Embedding through the cache: only pieces that nobody has embedded before are computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np

from core.embedding.cache import EmbeddingCache, vector_key
from core.embedding.encoders import Piece
from core.embedding.registry import EncoderSpec
from core.progress import Progress


class AnyEncoder(Protocol):
    """What local and remote encoders have in common."""

    spec: EncoderSpec

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """See Encoder.identity."""
        ...

    @property
    def cache_identity(self) -> dict[str, Any]:
        """See Encoder.cache_identity."""
        ...

    def count_tokens(self, text: str) -> int:
        """See Encoder.count_tokens."""
        ...

    def model_tokens(self, piece: Piece) -> int:
        """See Encoder.model_tokens."""
        ...

    def pieces(self, text: str, instruction: str | None = None) -> list[Piece]:
        """See Encoder.pieces."""
        ...

    def stream(self, pieces: Sequence[Piece], progress: Progress | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """See Encoder.stream."""
        ...

    def combine(self, pieces: Sequence[Piece], vectors: np.ndarray) -> np.ndarray:
        """See Encoder.combine."""
        ...


@dataclass
class EmbedStats:
    """What an embedding run did; special tokens and repeated names are counted wherever the model computes them.

    Attributes:
        tokens: tokens that embedding each text by itself, in plain windows, would have computed.
        computed: tokens that were computed.
        pieces: number of pieces of all texts.
        computed_pieces: number of pieces that were computed.
    """

    tokens: int = 0
    computed: int = 0
    pieces: int = 0
    computed_pieces: int = 0

    def add(self, other: "EmbedStats") -> None:
        """Add another run's counts."""
        self.tokens += other.tokens
        self.computed += other.computed
        self.pieces += other.pieces
        self.computed_pieces += other.computed_pieces

    @property
    def saved(self) -> float:
        """Share of tokens that needed no computation, 0 to 1."""
        return 1 - self.computed / self.tokens if self.tokens else 0.0


def embed_texts(
    encoder: AnyEncoder,
    texts: Sequence[str],
    instruction: str | Sequence[str | None] | None = None,
    cache: EmbeddingCache | None = None,
    progress: Progress | None = None,
    stats: EmbedStats | None = None,
) -> np.ndarray:
    """Embed texts: float32 ``(n, dimension)``, L2-normalised, in input order.

    The result does not depend on what the cache holds, nor on the other texts (up to float32 rounding).

    Args:
        encoder: a local or remote encoder.
        texts: records; none empty, each at most 5 million characters.
        instruction: the task's instruction, for encoders that take one; or one for each text.
        cache: where vectors are looked up and stored; None computes everything.
        progress: called with (tokens done, tokens to compute, speed and time left).
        stats: counts are added to it.
    """
    return embed_plans(encoder, plan_texts(encoder, texts, instruction), cache, progress, stats)


def plan_texts(
    encoder: AnyEncoder, texts: Sequence[str], instruction: str | Sequence[str | None] | None = None
) -> list[list[Piece]]:
    """The pieces of each text: what can be done ahead, in another thread. Raises InputError for a bad text."""
    instructions = [instruction] * len(texts) if instruction is None or isinstance(instruction, str) else instruction
    return [encoder.pieces(text, each) for text, each in zip(texts, instructions, strict=True)]


def embed_plans(
    encoder: AnyEncoder,
    plans: Sequence[Sequence[Piece]],
    cache: EmbeddingCache | None = None,
    progress: Progress | None = None,
    stats: EmbedStats | None = None,
) -> np.ndarray:
    """Embed texts that ``plan_texts`` has cut into pieces; see ``embed_texts``."""
    if not plans:
        return np.empty((0, encoder.dimension), dtype=np.float32)
    key_of = lru_cache(maxsize=None)(partial(vector_key, encoder.cache_identity))  # texts share most of their pieces
    unique: dict[bytes, Piece] = {}
    keys: list[list[bytes]] = []
    for plan in plans:
        keys.append([key_of(piece.prefix, piece.text) for piece in plan])
        unique.update(zip(keys[-1], plan))
    vectors = cache.get(list(unique)) if cache else {}
    vectors = {key: vector for key, vector in vectors.items() if vector.shape == (encoder.dimension,)}
    missing = [key for key in unique if key not in vectors]
    for start, computed in encoder.stream([unique[key] for key in missing], progress):
        new = dict(zip(missing[start : start + len(computed)], computed))
        if cache:
            cache.put(encoder.spec.name, new)
        vectors |= new
    if stats is not None:
        stats.tokens += sum(plain_tokens(encoder, plan) for plan in plans)
        stats.computed += sum(encoder.model_tokens(unique[key]) for key in missing)
        stats.pieces += sum(map(len, plans))
        stats.computed_pieces += len(missing)
    return np.stack([encoder.combine(plan, np.stack([vectors[key] for key in row])) for plan, row in zip(plans, keys)])


def plain_tokens(encoder: AnyEncoder, plan: Sequence[Piece]) -> int:
    """Tokens that a model would compute for a text without structure chunks: as few windows as it fits in."""
    if encoder.spec.chunking != "structure":
        return sum(map(encoder.model_tokens, plan))
    own = sum(piece.weight for piece in plan)
    special = encoder.model_tokens(Piece("", "", 0))
    return own + special * -(-own // (encoder.spec.chunk_tokens - special))
