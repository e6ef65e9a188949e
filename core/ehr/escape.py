"""Text from records, made safe to show.

What the model reads stays exact; these functions only prepare it for a screen. Record text can hold anything:
images, links, HTML, LaTeX, Streamlit directives (``:red[..]``, ``:material/..:``), emoji codes. None of it may render.

A backslash before every ASCII punctuation mark settles what a Markdown parser reads (CommonMark 0.31, 2.4). Some
extensions look for addresses and ``:codes:`` once more in the finished text, where the backslashes are gone; an
invisible word joiner inside keeps them from matching.
"""

import re

from core.ehr.codebook import one_line
from core.ehr.record import Record

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_JOINER = "\u2060"
_AUTOLINK = re.compile(r"(?i)((?:[a-z][a-z0-9+.\-]*:|www|@)(?=\S))|(:)(?=[\w+\-])")
_DATE_LINK = re.compile(r"\[(\d{4}-\d\d-\d\d)\]\(\1\)")
_OWN_MARKS = re.compile(r"^(#{1,4} |- )?(.*)$", re.DOTALL)


def escape_markdown(text: str) -> str:
    r"""Escape a text so that any Markdown renderer shows it as it is, on one line.

    >>> print(escape_markdown("<b>*5*</b>"))
    \<b\>\*5\*\<\/b\>
    """
    guarded = _AUTOLINK.sub(lambda match: match[0] + _JOINER, one_line(text))
    return _PUNCTUATION.sub(r"\\\1", guarded)


def display_line(text: str) -> str:
    """Prepare one line of a Markdown record: its own heading or bullet mark stays, everything else is escaped.

    The dates, which the format writes as links, are shown as plain dates.
    """
    match = _OWN_MARKS.match(text)
    assert match is not None  # the pattern matches every text
    return (match[1] or "") + escape_markdown(_DATE_LINK.sub(r"\1", match[2]))


def display_markdown(record: Record) -> str:
    """Markdown that shows a record with its headings and lists and renders nothing that came from data.

    Lines of ``recent_codes`` become list items.
    """
    if record.options.strategy == "recent_codes":
        return "\n".join(f"- {escape_markdown(text)}" for text in record.texts)
    return "\n".join(display_line(text) for text in record.texts).strip("\n")


def plain_text(text: str) -> str:
    """Replace control and invisible characters, line breaks aside, for text that is shown as it is (code boxes)."""
    return "\n".join(one_line(line) if line.strip() else "" for line in text.split("\n"))
