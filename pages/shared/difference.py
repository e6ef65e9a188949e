"""Two texts as a difference: lines with a minus stand in the first alone, those with a plus in the second alone."""

import difflib
from collections.abc import Sequence

import streamlit as st


def lines(first: Sequence[str], second: Sequence[str], context: int) -> list[str]:
    """Return the difference, each sign apart from its line: a list's items begin with a dash of their own.

    Args:
        first: lines of the one text.
        second: lines of the other.
        context: equal lines around each change.
    """
    found = list(difflib.unified_diff(first, second, lineterm="", n=context))[2:]
    return [line if line.startswith("@@") else f"{line[0]} {line[1:]}".rstrip() for line in found]


def show(found: Sequence[str], first: str, second: str, height: int) -> None:
    """Draw what :func:`lines` returns under the words that say which sign is whose.

    Args:
        found: the lines.
        first: where a line with a minus stands, "only in A".
        second: where one with a plus stands.
        height: pixels.
    """
    st.caption(f"Lines with − {first}, with + {second}; @@ says at which lines of the two texts a change begins.")
    st.code("\n".join(found), language="diff", height=height, wrap_lines=True)
