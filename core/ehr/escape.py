"""Text from records, made safe to show.

What the model reads stays exact; these functions only prepare it for a screen. Record text can hold anything:
images, links, HTML, LaTeX, Streamlit directives (``:red[..]``, ``:material/..:``), emoji codes. None of it may render.

A backslash before every ASCII punctuation mark settles what a Markdown parser reads (CommonMark 0.31, 2.4). Some
extensions look for addresses and ``:codes:`` once more in the finished text, where the backslashes are gone; an
invisible word joiner inside keeps them from matching.
"""

import re

from core.ehr.codebook import one_line

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_JOINER = "\u2060"
_AUTOLINK = re.compile(r"(?i)((?:[a-z][a-z0-9+.\-]*:|www|@)(?=\S))|(:)(?=[\w+\-])")


def escape_markdown(text: str) -> str:
    r"""Escape a text so that any Markdown renderer shows it as it is, on one line.

    >>> print(escape_markdown("<b>*5*</b>"))
    \<b\>\*5\*\<\/b\>
    """
    guarded = _AUTOLINK.sub(lambda match: match[0] + _JOINER, one_line(text))
    return _PUNCTUATION.sub(r"\\\1", guarded)


def plain_text(text: str) -> str:
    """Replace control and invisible characters, line breaks aside, for text that is shown as it is (code boxes)."""
    return "\n".join(one_line(line) if line.strip() else "" for line in text.split("\n"))
