"""Encoders behind an OpenAI-compatible ``/v1/embeddings`` server (vLLM, Text Embeddings Inference, Infinity, SGLang).

The server tokenises, truncates and pools; what it answers is checked: number, order, dimension, finiteness, norm.
Records leave this machine for it, so it is used only where the user has configured its address.
"""

import asyncio
import email.utils
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np

from core.embedding.checks import check_text, check_vectors
from core.embedding.encoders import Piece, fill_template
from core.embedding.meter import Meter, Usage
from core.embedding.registry import EncoderSpec
from core.errors import MissingError
from core.progress import Progress
from core.settings import get_settings

_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}
_NORM_TOLERANCE = 0.01  # a server may compute in bfloat16


class ServerError(MissingError):
    """The server does not answer as it should."""


class RemoteEncoder:
    """An embeddings server. Safe to share between threads: each call has its own connections.

    Args:
        spec: the registry entry; a ``dimension`` of 0 is left to the server.
        url: base URL, with or without ``/v1``.
        model: model name that the server expects.
        key: API key, or empty.
        concurrency: requests under way at once.
        batch: texts of a request.
        retries: how often a request is tried again after the first time.
        timeout: seconds that one request may take.
        backoff: seconds before the second attempt; doubled each time, with jitter. ``Retry-After`` goes before.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        url: str,
        model: str,
        key: str = "",
        concurrency: int = 8,
        batch: int = 16,
        retries: int = 5,
        timeout: float = 120.0,
        backoff: float = 1.0,
    ):
        if not url.startswith(("http://", "https://")):
            raise MissingError(
                f"the embeddings server's address is {url!r}",
                "set CHARTLIGHT_EMBEDDING_URL, for example to http://localhost:8000",
            )
        if not model:
            raise MissingError("the embeddings server's model is not named", "set CHARTLIGHT_EMBEDDING_MODEL")
        self.spec, self.url, self.model = spec, url.rstrip("/").removesuffix("/v1"), model
        self._key = key
        self.concurrency, self.batch, self.retries = concurrency, batch, retries
        self.timeout, self.backoff = timeout, backoff
        self._dimension = spec.dimension
        self.usage = Usage()

    @property
    def dimension(self) -> int:
        """Length of the server's vectors; asked for with one short text where the card does not say."""
        if not self._dimension:
            self._dimension = self._checked(self._embed(["dimension"], Meter(0, None))).shape[1]
        return self._dimension

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that changes the numbers materially and is known here: the model's name, not the address."""
        return {
            "name": self.spec.name,
            "revision": self.model,
            "weights_sha256": "",
            "config_sha256": "",
            "template": self.spec.template,
            "pooling": self.spec.pooling,
            "attention": self.spec.attention,
            "chunking": "none",
            "chunk_tokens": 0,
            "max_tokens": 0,
            "dimension": self.dimension,
        }

    @property
    def cache_identity(self) -> dict[str, Any]:
        """The identity and the address: another server may run the model in another precision."""
        return {**self.identity, "backend": "server", "url": self.url}

    def count_tokens(self, text: str) -> int:
        """An estimate, four characters a token: the server's tokenizer is not known here."""
        return -(-len(text) // 4)

    def model_tokens(self, piece: Piece) -> int:
        """An estimate, as ``count_tokens``."""
        return self.count_tokens(piece.prefix + piece.text)

    def pieces(self, text: str, instruction: str | None = None) -> list[Piece]:
        """One piece: the text in the encoder's template. Raises InputError for a text that must not be sent."""
        check_text(text)
        before, after = fill_template(self.spec, instruction)
        return [Piece(before, text + after, 1)]

    def stream(self, pieces: Sequence[Piece], progress: Progress | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Vectors of consecutive pieces as they are done: (index of the first, float32 ``(n, dimension)``).

        Raises ServerError or EmbeddingError when the answers are not what the card says.
        """
        meter = Meter(sum(len(piece.prefix) + len(piece.text) for piece in pieces), progress)
        window = 4 * self.concurrency * self.batch
        for start in range(0, len(pieces), window):
            texts = [piece.prefix + piece.text for piece in pieces[start : start + window]]
            with self.usage.timed(sum(map(self.count_tokens, texts))):
                vectors = self._checked(self._embed(texts, meter))
            if vectors.shape[1] != self.dimension:
                raise ServerError(
                    f"the embeddings server gave vectors of {vectors.shape[1]} numbers, not {self.dimension}",
                    "check CHARTLIGHT_EMBEDDING_MODEL and the encoder's dimension",
                )
            yield start, vectors

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        check_vectors(vectors, f"the model {self.model}")
        norms = np.linalg.norm(vectors, axis=1)
        if self.spec.unit_norm and (np.abs(norms - 1) > _NORM_TOLERANCE).any():
            raise ServerError(
                f"the embeddings server gave vectors of length {norms.max():.3g}, not 1",
                "switch normalisation on in the server, or give an encoder entry with unit_norm = false",
            )
        return vectors

    def combine(self, pieces: Sequence[Piece], vectors: np.ndarray) -> np.ndarray:
        """The L2-normalised vector of a text, float32 ``(dimension,)``."""
        return (vectors[0] / np.linalg.norm(vectors[0].astype(np.float64))).astype(np.float32)

    def embed(
        self, texts: Sequence[str], instruction: str | None = None, progress: Progress | None = None
    ) -> np.ndarray:
        """Embed texts: float32 ``(n, dimension)``, L2-normalised, in input order. See Encoder.embed."""
        from core.embedding.cached import embed_texts

        return embed_texts(self, texts, instruction, cache=None, progress=progress)

    def _embed(self, texts: Sequence[str], meter: Meter) -> np.ndarray:
        return asyncio.run(self._embed_all(texts, meter))

    async def _embed_all(self, texts: Sequence[str], meter: Meter) -> np.ndarray:
        limit = asyncio.Semaphore(self.concurrency)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with httpx.AsyncClient(headers=headers, timeout=self.timeout) as client:

            async def one(part: Sequence[str]) -> np.ndarray:
                async with limit:
                    vectors = await self._request(client, part)
                meter.add(sum(map(self.count_tokens, part)), sum(map(len, part)))
                return vectors

            starts = range(0, len(texts), self.batch)
            async with _TaskGroup() as group:
                tasks = [group.create_task(one(texts[start : start + self.batch])) for start in starts]
            parts = [task.result() for task in tasks]
        if len({part.shape[1] for part in parts}) > 1:
            raise ServerError("the embeddings server gave vectors of different lengths", "check the server")
        return np.concatenate(parts)

    async def _request(self, client: httpx.AsyncClient, texts: Sequence[str]) -> np.ndarray:
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        problem, wait = "", 0.0
        for attempt in range(self.retries + 1):
            if attempt:
                await asyncio.sleep(wait or self.backoff * 2 ** (attempt - 1) * (0.5 + random.random()))
            try:
                async with asyncio.timeout(self.timeout):  # httpx bounds each read, not the whole answer
                    response = await client.post(f"{self.url}/v1/embeddings", json=body)
            except (httpx.TimeoutException, TimeoutError):
                problem, wait = f"did not answer within {self.timeout:g} s", 0.0
                continue
            except httpx.HTTPError as error:
                problem, wait = f"cannot be reached ({type(error).__name__})", 0.0
                continue
            if response.status_code in _RETRIED:
                problem, wait = f"answered {response.status_code}", retry_after(response.headers.get("Retry-After"))
                continue
            if response.status_code != 200:
                raise ServerError(
                    f"the embeddings server {self.url} answered {response.status_code}: {_detail(response)}",
                    "check the model's name, the key and the length of the texts",
                )
            return _vectors(response, len(texts))
        raise ServerError(
            f"the embeddings server {self.url} {problem}, {self.retries + 1} times",
            "check that it runs and CHARTLIGHT_EMBEDDING_URL; what is done is kept, run the same again",
        )


class _TaskGroup(asyncio.TaskGroup):
    """A task group that raises the first error itself: the others were cancelled because of it."""

    async def __aexit__(self, *exception: Any) -> Any:
        try:
            return await super().__aexit__(*exception)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None


def load_remote(spec: EncoderSpec) -> RemoteEncoder:
    """The embeddings server of the settings. Raises MissingError when none is configured."""
    settings = get_settings()
    return RemoteEncoder(spec, settings.embedding_url, settings.embedding_model, settings.embedding_key)


def retry_after(value: str | None, longest: float = 300.0) -> float:
    """Seconds that a ``Retry-After`` header asks for (a number or a date), at most ``longest``; else 0."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(0.0, seconds), longest)


def _detail(response: httpx.Response) -> str:
    return response.text[:200].strip() or "no explanation"


def _vectors(response: httpx.Response, expected: int) -> np.ndarray:
    try:
        data = response.json()["data"]
        rows = [row["embedding"] for row in sorted(data, key=lambda row: row["index"])]
        indices = [row["index"] for row in data]
        vectors = np.array(rows, dtype=np.float32)
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError(
            "the embeddings server's answer is not one of /v1/embeddings", "check CHARTLIGHT_EMBEDDING_URL"
        ) from error
    if sorted(indices) != list(range(expected)) or vectors.ndim != 2 or not vectors.shape[1]:
        raise ServerError(f"the embeddings server gave {len(rows)} vectors for {expected} texts", "check the server")
    return vectors
