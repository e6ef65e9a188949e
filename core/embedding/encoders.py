"""Encoders: from text to L2-normalised vectors.

An encoder reads a text in *pieces* (one for most encoders, the chunks of the record for chunked ones), computes one
vector a piece and combines them. The cache (core.embedding.cached) keeps the vectors of pieces.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from core.embedding.batches import pack_batches
from core.embedding.checks import check_text, check_vectors
from core.embedding.chunks import RULES, structure_chunks, window_texts
from core.embedding.devices import device_of
from core.embedding.meter import Meter, Usage
from core.embedding.registry import EncoderSpec, get_spec
from core.embedding.tokens import TextTokenizer
from core.embedding.weights import Weights, find_weights
from core.errors import InputError
from core.progress import Progress
from core.settings import get_settings

if TYPE_CHECKING:
    from core.embedding.remote import RemoteEncoder

_WINDOW = 1_000_000  # characters tokenised, sorted and stored together


@dataclass(frozen=True)
class Piece:
    """What the model is given at once.

    Attributes:
        prefix: text before the record's text that is read but, with ``text_mean`` pooling, not averaged.
        text: the text itself.
        weight: its share in the combination.
    """

    prefix: str
    text: str
    weight: int


def fill_template(spec: EncoderSpec, instruction: str | None = None) -> tuple[str, str]:
    """What stands before and after the record. Without an instruction the record stands alone, as in the paper."""
    before, _, after = spec.template.partition("{record}")
    words = (instruction or "").strip()
    if "{instruction}" in before:
        if "{instruction}:" in before:  # llm2vec ends every instruction in one colon
            words = words.rstrip(".:")
        before = before.replace("{instruction}", words) if words else ""
    return before, after


class Backend(Protocol):
    """What runs a model: pooled vectors of one batch of token ids."""

    name: str
    precision: str
    device: str
    budget: int
    memory: int
    """Bytes of the weights."""
    concurrent: bool
    """Several threads may compute at once."""

    def pooled(self, sequences: list[list[int]], prefixes: list[int]) -> np.ndarray:
        """Float32 ``(n, dimension)``, not normalised; ``prefixes`` counts the leading tokens left out of the mean."""
        ...


class Encoder:
    """A local encoder. Safe to share between threads: a lock lets one batch compute at a time, where one is needed."""

    def __init__(self, spec: EncoderSpec, weights: Weights, backend: Backend):
        self.spec = spec
        self.weights_sha256, self.config_sha256 = weights.sha256, weights.config_sha256
        self.backend = backend
        self.tokenizer = TextTokenizer(weights.folder)
        if spec.pooling == "last" and not self.tokenizer.special_tokens:
            raise InputError(
                f"the tokenizer of {spec.name} appends no end-of-text token, and that is where its vector is read",
                "set add_eos_token and eos_token in the tokenizer_config.json beside the weights",
            )
        self.dimension = spec.dimension
        self.usage = Usage()
        self._lock: AbstractContextManager[Any] = nullcontext() if backend.concurrent else Lock()

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that changes the numbers materially; heads and features are compared by it."""
        return {
            "name": self.spec.name,
            "revision": self.spec.revision,
            "weights_sha256": self.weights_sha256,
            "config_sha256": self.config_sha256,
            "template": self.spec.template,
            "pooling": self.spec.pooling,
            "attention": self.spec.attention,
            "chunking": f"structure/{RULES}" if self.spec.chunking == "structure" else self.spec.chunking,
            "chunk_tokens": self.spec.chunk_tokens,
            "max_tokens": self.spec.max_tokens,
            "dimension": self.dimension,
        }

    @property
    def cache_identity(self) -> dict[str, Any]:
        """The identity and what changes the last digits: backend and precision."""
        return {**self.identity, "backend": self.backend.name, "precision": self.backend.precision}

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a text, special tokens left out."""
        return self.tokenizer.count(text)

    def model_tokens(self, piece: Piece) -> int:
        """Number of tokens that the model computes for a piece, special tokens included."""
        return self.tokenizer.count(piece.prefix + piece.text) + self.tokenizer.special_tokens

    def pieces(self, text: str, instruction: str | None = None) -> list[Piece]:
        """The pieces that a text is read in, cut to the encoder's maximum of tokens.

        Raises InputError for an empty text and for one of more than 5 million characters.
        """
        check_text(text)
        prefix, after = self._around(instruction)
        room = self.spec.max_tokens - self.tokenizer.special_tokens if self.spec.max_tokens else 0
        if room and (prefix or after):
            room -= self.tokenizer.count(prefix) + self.tokenizer.count(after)
            if room < 1:
                raise InputError("the instruction leaves no room for the record", "shorten it")
        if room and len(text.encode()) > room:  # a token has at least one byte: shorter texts need no counting
            text = self.tokenizer.cut(text, room)
        if self.spec.chunking == "none":
            return [Piece(prefix, text + after, 1)]
        limit = self.spec.chunk_tokens - self.tokenizer.special_tokens
        if self.spec.chunking == "structure":
            chunks = structure_chunks(text, limit, self.tokenizer.count, self.tokenizer.offsets)
            if not chunks:
                raise InputError("a text to embed has no tokens", "leave it out or give a record with events")
            return [Piece("", chunk.text, chunk.tokens) for chunk in chunks]
        # The paper's ablation: the instruction stands in the first chunk only, and chunks count alike.
        windows = window_texts(text, max(1, limit - self.tokenizer.count(prefix)), self.tokenizer.offsets(text))
        return [Piece(prefix if n == 0 else "", chunk.text + after, 1) for n, chunk in enumerate(windows)]

    def _around(self, instruction: str | None) -> tuple[str, str]:
        return fill_template(self.spec, instruction)

    def stream(self, pieces: Sequence[Piece], progress: Progress | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Pooled vectors of consecutive pieces as they are done: (index of the first, float32 ``(n, dimension)``).

        Within such a window batches are packed by token budget; while it computes, the next one is tokenised. Raises
        EmbeddingError when a vector is not finite.
        """
        characters = np.array([len(piece.prefix) + len(piece.text) for piece in pieces])
        meter = Meter(int(characters.sum()), progress)
        for start, sequences, prefixes in self._tokenised(pieces, characters):
            vectors = np.empty((len(sequences), self.dimension), dtype=np.float32)
            for batch in pack_batches([len(sequence) for sequence in sequences], self.backend.budget):
                vectors[batch] = self._compute([sequences[i] for i in batch], [prefixes[i] for i in batch])
                meter.add(sum(len(sequences[i]) for i in batch), int(characters[start + batch].sum()))
            yield start, vectors

    def embed_pieces(self, pieces: Sequence[Piece], progress: Progress | None = None) -> np.ndarray:
        """One pooled vector a piece: float32 ``(n, dimension)``, input order, not normalised."""
        parts = [vectors for _, vectors in self.stream(pieces, progress)]
        return np.concatenate([np.empty((0, self.dimension), dtype=np.float32), *parts])

    def _tokenised(
        self, pieces: Sequence[Piece], characters: np.ndarray
    ) -> Iterator[tuple[int, list[list[int]], list[int]]]:
        """Token ids of a window of pieces after the other; the next window is tokenised in a thread meanwhile."""
        starts = np.flatnonzero(np.diff(np.cumsum(characters) // _WINDOW, prepend=-1))
        windows = [pieces[int(start) : int(stop)] for start, stop in zip(starts, [*starts[1:], len(pieces)])]
        with ThreadPoolExecutor(1, thread_name_prefix="tokenise") as ahead:
            coming = ahead.submit(self._sequences, windows[0]) if windows else None
            for number, start in enumerate(starts):
                assert coming is not None
                ready = coming.result()
                coming = ahead.submit(self._sequences, windows[number + 1]) if number + 1 < len(windows) else None
                yield int(start), *ready

    def _compute(self, sequences: list[list[int]], prefixes: list[int]) -> np.ndarray:
        with self._lock, self.usage.timed(sum(map(len, sequences))):
            out = self.backend.pooled(sequences, prefixes)
        return check_vectors(out, self.spec.name)

    def _sequences(self, pieces: Sequence[Piece]) -> tuple[list[list[int]], list[int]]:
        sequences = self.tokenizer.ids([piece.prefix + piece.text for piece in pieces])
        if self.spec.pooling != "text_mean":
            return sequences, [0] * len(pieces)
        # As llm2vec counts them: the text's own tokens, from the end, are averaged.
        texts = self.tokenizer.ids([piece.text for piece in pieces], special=False)
        return sequences, [len(whole) - len(text) for whole, text in zip(sequences, texts)]

    def combine(self, pieces: Sequence[Piece], vectors: np.ndarray) -> np.ndarray:
        """The text's vector from its pieces': mean by tokens, then L2-normalised; float32 ``(dimension,)``."""
        weights = np.array([piece.weight for piece in pieces], dtype=np.float64)
        mean = weights @ vectors.astype(np.float64) / weights.sum()
        check_vectors(mean[None], self.spec.name)
        return (mean / np.linalg.norm(mean)).astype(np.float32)

    def embed(
        self, texts: Sequence[str], instruction: str | None = None, progress: Progress | None = None
    ) -> np.ndarray:
        """Embed texts: float32 ``(n, dimension)``, L2-normalised, in input order.

        Args:
            texts: records; each at most 5 million characters, none empty.
            instruction: the task's instruction; encoders that take none ignore it.
            progress: called with (tokens done, tokens in all, speed and time left).
        """
        from core.embedding.cached import embed_texts

        return embed_texts(self, texts, instruction, cache=None, progress=progress)


def load_encoder(
    name: str | None = None,
    device: str | None = None,
    *,
    spec: EncoderSpec | None = None,
    backend: str = "auto",
    threads: int | None = None,
    compiled: bool = False,
    download: bool = False,
) -> "Encoder | RemoteEncoder":
    """Load an encoder of the registry, or connect to the embeddings server where the entry is one.

    Args:
        name: encoder name; the settings' default where none is given.
        device: torch device; the settings' where none is given.
        spec: use this entry instead of a named one (chunk ablation).
        backend: ``onnxruntime``, ``torch``, or ``auto``: ONNX Runtime for BERT encoders on the CPU, else torch.
        threads: processor threads; all that this process may use where none is given.
        compiled: compile the model with ``torch.compile`` (torch backend).
        download: fetch missing weights from the hub.

    Raises:
        InputError: unknown name, damaged or wrong weights, unsuitable backend.
        MissingError: the weights are not on this machine; the message has the command that fetches them.
    """
    spec = spec or get_spec(name)
    if spec.remote:
        from core.embedding.remote import load_remote

        return load_remote(spec)
    weights = find_weights(spec, download)
    device = device or get_settings().device
    # The graph has a masked mean: another pooling of a BERT model runs on torch.
    fits_onnx = spec.architecture == "bert" and spec.pooling == "mean" and device in ("cpu", "auto")
    if backend == "auto":
        backend = "onnxruntime" if fits_onnx and device_of(device) == "cpu" else "torch"
    if backend == "onnxruntime":
        if not fits_onnx:
            raise InputError(f"{spec.name} on {device} does not run on ONNX Runtime", "use the backend torch")
        from core.embedding.onnx_backend import OnnxBackend

        return Encoder(spec, weights, OnnxBackend(spec, weights, threads))
    if backend != "torch":
        raise InputError(f"there is no backend {backend!r}", "use auto, onnxruntime or torch")
    import torch

    from core.embedding.torch_backend import TorchBackend, load_model

    if threads:
        torch.set_num_threads(threads)
    return Encoder(spec, weights, TorchBackend(spec, load_model(spec, weights, device), compiled))
