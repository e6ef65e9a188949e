"""Record text shown on a page renders as text and as nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core.ehr.escape import escape_markdown, plain_text

PARSER = MarkdownIt("gfm-like", {"html": True, "linkify": False})  # raw HTML on: the hardest reader
HOSTILE = [
    "![x](https://evil.example/p.png)",
    "[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "$\\frac{1}{2}$ and $$x$$",
    ":red[x] :material/warning: :smile: :red-background[x]",
    "https://evil.example www.evil.example mail@evil.example mailto:a@b.c",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "| a | b |",
    "`code` ~~gone~~ **bold** _it_",
    "&lt;b&gt; &copy;",
    "[^1]: footnote",
    "---",
    "```python",
    "a\n\n# b\r\n- c\u2028# d",
    "\\",
    "*" * 50,
]
# What remark plug-ins and Streamlit look for in finished text, after all escapes are gone.
SECOND_PASS = [r"https?://", r"\bwww\.", r"[-.\w+]+@[-\w]+\.", r":[\w+-]+:", r":material/", r":\w+\[", r"mailto:\w"]


def tokens_of(markdown):
    return [child.type for token in PARSER.parse(markdown) for child in (token.children or [token])]


def shown(markdown):
    return "".join(c.content for token in PARSER.parse(markdown) for c in token.children or [])


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(text):
    escaped = escape_markdown(text)
    assert set(tokens_of("x " + escaped)) <= {"text", "text_special", "paragraph_open", "paragraph_close", "inline"}
    plain = shown("x " + escaped)[2:].replace("\u2060", "")
    assert plain == re.sub(r"\s+", " ", text).strip()
    for pattern in SECOND_PASS:
        assert not re.search(pattern, shown(escaped)), pattern


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_stays_one_paragraph_of_text(text):
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert set(tokens_of("x" + escaped)) <= {"text", "text_special", "paragraph_open", "paragraph_close", "inline"}


def test_plain_text_keeps_lines_and_loses_control_characters():
    assert plain_text("a\x00b\n\n\x1b[31mc\u202e") == "a b\n\n[31mc"
