"""What may go into an encoder and what may come out of one."""

import numpy as np

from core.errors import ChartlightError, InputError

MAX_CHARACTERS = 5_000_000  # of one text: far beyond any record, so it is a mistake and would block the machine


class EmbeddingError(ChartlightError):
    """A vector that must not be used: not finite, of zero length, or of the wrong size."""


def check_text(text: str) -> None:
    """Refuse a text that no encoder should be given. Raises InputError."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("a text to embed is not valid Unicode", "repair the source of the record") from error
    if not text or text.isspace():
        raise InputError("a text to embed is empty", "leave it out or give a record with events")
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"a text to embed has {len(text):,} characters, the limit is {MAX_CHARACTERS:,}",
            "shorten the record, for example with --lookback",
        )


def check_vectors(vectors: np.ndarray, name: str) -> np.ndarray:
    """Return the vectors if each is finite and has a direction. Raises EmbeddingError otherwise."""
    if not np.isfinite(vectors).all():
        raise EmbeddingError(f"{name} gave a vector that is not finite", "use bfloat16 or float32 weights")
    if (np.linalg.norm(vectors, axis=1) < 1e-12).any():
        raise EmbeddingError(f"{name} gave a vector without a direction", "check the text and the weights")
    return vectors
