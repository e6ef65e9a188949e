"""Counts in words."""

import pytest

from core.wording import counted, verb


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
