"""Empty states: say what is not here, why, and what to do next."""

import streamlit as st


def show(title: str, body: str = "", icon: str = "inbox", command: str = "", key: str = "page") -> None:
    """Draw an empty state.

    Args:
        title: what is not here, as a short sentence without a full stop.
        body: why, and what to do; Markdown of our own, never text from data.
        icon: name of a Material symbol.
        command: a command line that mends it.
        key: tells several empty states on one page apart.
    """
    with st.container(
        border=True, key=f"empty-{key}", horizontal_alignment="center", vertical_alignment="center", gap="xsmall"
    ):
        st.markdown(f":gray[:material/{icon}:]", text_alignment="center", width="content")
        st.markdown(f"**{title}**", text_alignment="center")
        if body:
            st.markdown(body, text_alignment="center")
        if command:
            st.code(command, language="bash", width="content")
