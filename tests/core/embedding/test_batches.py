import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.embedding.batches import halves, pack_batches, pad
from core.embedding.onnx_backend import BUDGET


@given(st.lists(st.integers(1, 600), max_size=80), st.integers(1, 2000))
def test_batches_hold_every_sequence_once_within_the_budget(lengths, budget):
    batches = pack_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_the_pieces_of_one_record_are_padded_by_a_fifth_at_most():
    lengths = [*range(6, 30)] * 3 + [*range(30, 80, 5)]  # as a demo record has them: most are one value
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in pack_batches(lengths, BUDGET))
    assert padded <= 1.2 * sum(lengths)


def test_padding_to_either_side():
    ids, mask = pad([[1, 2, 3], [4]], 9)
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    ids, mask = pad([[1, 2, 3], [4]], 9, "left")
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]] and mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_halves():
    assert [half.tolist() for half in halves(np.arange(3))] == [[0, 1], [2]]
    assert [half.tolist() for half in halves(np.arange(1))] == [[0]]
