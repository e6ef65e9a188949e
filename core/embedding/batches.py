"""Packing sequences into batches by token budget."""

from collections.abc import Iterator, Sequence

import numpy as np


def pack_batches(lengths: Sequence[int], budget: int) -> list[np.ndarray]:
    """Indices of each batch: sorted by length, longest first, padded size at most ``budget`` tokens.

    A batch is padded to its own longest sequence, so its size is rows x longest. A sequence longer than the budget
    is a batch of its own. The longest come first, so that memory that does not suffice shows at once.

    Args:
        lengths: tokens of each sequence.
        budget: padded tokens of a batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[np.ndarray] = []
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def pad(sequences: Sequence[Sequence[int]], value: int, side: str = "right") -> tuple[np.ndarray, np.ndarray]:
    """Pad token ids to the longest: ids and mask (1 where there is a token), both int64 ``(rows, longest)``."""
    longest = max(map(len, sequences))
    ids = np.full((len(sequences), longest), value, dtype=np.int64)
    mask = np.zeros((len(sequences), longest), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        span = slice(longest - len(sequence), longest) if side == "left" else slice(0, len(sequence))
        ids[row, span] = sequence
        mask[row, span] = 1
    return ids, mask


def halves(batch: np.ndarray) -> Iterator[np.ndarray]:
    """The two halves of a batch that did not fit into memory."""
    yield from (half for half in np.array_split(batch, 2) if len(half))
