"""Counts in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wording import counted, part, verb


@pytest.mark.parametrize(
    ("n", "noun", "plural", "said"),
    [
        (0, "label", "", "0 labels"),
        (1, "label", "", "1 label"),
        (2, "possible leak", "", "2 possible leaks"),
        (1234567, "row", "", "1,234,567 rows"),
        (1, "study", "studies", "1 study"),
        (3, "study", "studies", "3 studies"),
    ],
)
def test_the_noun_agrees_with_the_number(n, noun, plural, said):
    assert counted(n, noun, plural) == said


def test_the_verb_agrees_with_the_number():
    assert [verb(n, "was", "were") for n in (0, 1, 2)] == ["were", "was", "were"]


@given(st.floats(0, 1), st.integers(0, 4), st.sampled_from([1, 100]))
def test_a_part_reads_as_none_or_all_only_where_it_is(share, digits, whole):
    value = whole * share
    text = part(value, digits, whole)
    if text[0] in "<>":
        bound = float(text[1:])
        assert 0 < value < bound if text[0] == "<" else bound < value < whole
    else:
        assert text == f"{value:.{digits}f}"
        assert (float(text) == 0) == (value == 0) and (float(text) == whole) == (value == whole)
