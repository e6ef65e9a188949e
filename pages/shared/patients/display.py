"""A record's lines as Markdown that is safe to draw: the structure is ours, every word of the data is escaped."""

import re
from collections.abc import Sequence

from core.ehr.markdown import SHOWN_TIME
from core.ehr.record import Line
from core.ehr.relative_time import Clock
from pages.shared.errors import plain

_LINK = re.compile(r"\[([^\]]*)\]\(\1\)")
_HEADING = {"# ": "### ", "## ": "#### ", "### ": "##### ", "#### ": "###### "}


def visible(text: str, clock: Clock) -> str:
    """Return a line as plain text: the record's ``[date](date)`` as the date, and no date in relative mode."""
    return clock.text(_LINK.sub(r"\1", text), SHOWN_TIME)


def markdown(lines: Sequence[Line], structured: bool, clock: Clock, words: str = "") -> str:
    """Return Markdown for ``lines``.

    Args:
        lines: lines of a record.
        structured: the lines have the headings and bullets of the strategy ``markdown``; else each is a bullet.
        clock: how times are shown.
        words: what to mark in the text.
    """
    drawn = []
    for line in lines:
        if not line.text.strip():
            drawn.append("")
        elif not structured:
            drawn.append(f"- {marked(visible(line.text, clock), words)}")
        else:
            drawn.append(_structured(line.text, clock, words))
    return "\n".join(drawn)


def _structured(text: str, clock: Clock, words: str) -> str:
    for prefix, ours in _HEADING.items():
        if text.startswith(prefix):
            return f"\n{ours}{marked(visible(text[len(prefix) :], clock), words)}\n"
    if text.startswith("- "):
        return f"- {marked(visible(text[2:], clock), words)}"
    return marked(visible(text, clock), words)


def marked(text: str, words: str) -> str:
    """Escape ``text`` and mark each place where ``words`` stands, in any case."""
    if not words:
        return plain(text)
    parts = re.split(f"({re.escape(words)})", text, flags=re.IGNORECASE)
    return "".join(
        f":orange-background[**{plain(part)}**]" if number % 2 else plain(part) for number, part in enumerate(parts)
    )
