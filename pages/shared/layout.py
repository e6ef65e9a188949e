"""Page header, section titles and the strip of facts: the same measures on every page."""

from collections.abc import Sequence

import streamlit as st

from pages.shared import frame
from pages.shared.errors import plain


def header(title: str, lead: str = "") -> None:
    """Draw a page's title and, beside it, one sentence on what the page is for. Call it before anything else."""
    frame.require()
    with st.container(key="page-header", horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.markdown(f"# {title}", anchors=False, width="content")
        if lead:
            st.markdown(f":gray[{lead}]", width="stretch")


def section(title: str, note: str = "") -> None:
    """Draw a section's title with an optional grey note after it."""
    st.markdown(f"### {title}" + (f" :small[:gray[{note}]]" if note else ""), anchors=False)


def facts(pairs: Sequence[tuple[str, str]], key: str = "facts") -> None:
    """Draw label and value pairs in one row that wraps. Both may come from data: they are escaped here."""
    with st.container(key=f"facts-{key}", horizontal=True, gap="large"):
        for label, value in pairs:
            st.markdown(f":gray[:small[{plain(label)}]]  \n**{plain(value)}**", width="content")
