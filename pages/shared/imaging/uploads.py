"""An uploader whose file stays with the session, where Streamlit's own goes with the widget."""

from typing import Any

import streamlit as st


def choose(label: str, key: str, **more: Any) -> Any:
    """Draw an uploader; return its file or, after the page was left, the one from before; None without either.

    Args:
        label: of the uploader.
        key: of the uploader.
        more: further arguments of ``st.file_uploader``.
    """
    state, kept = st.session_state, f"_kept-{key}"

    def take() -> None:
        state[kept] = state[key]

    uploaded = st.file_uploader(label, key=key, on_change=take, **more)
    if uploaded is None and state.get(kept) is not None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"tight-{key}"):
            st.caption(f":material/draft: Kept, {_size(state[kept].size)}", width="content")
            st.button(
                "Remove",
                icon=":material/close:",
                type="tertiary",
                key=f"remove-{key}",
                on_click=lambda: state.pop(kept, None),
            )
    return uploaded or state.get(kept)


def _size(n: int) -> str:
    return f"{n / 2**20:.1f} MB" if n >= 2**20 else f"{max(1, round(n / 2**10))} KB"
