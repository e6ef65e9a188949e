import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.embedding.batches import halves, pack_batches, pad


@given(st.lists(st.integers(1, 600), max_size=80), st.integers(1, 2000))
def test_batches_hold_every_sequence_once_within_the_budget(lengths, budget):
    batches = pack_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_padding_to_either_side():
    ids, mask = pad([[1, 2, 3], [4]], 9)
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    ids, mask = pad([[1, 2, 3], [4]], 9, "left")
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]] and mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_halves():
    assert [half.tolist() for half in halves(np.arange(3))] == [[0, 1], [2]]
    assert [half.tolist() for half in halves(np.arange(1))] == [[0]]
