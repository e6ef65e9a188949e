"""An uploader whose file stays with the session, where Streamlit's own goes with the widget."""

from typing import Any

import streamlit as st


def choose(label: str, key: str, of: str = "", **more: Any) -> Any:
    """Draw an uploader; return its file or, after the page was left, the one from before; None without either.

    Args:
        label: of the uploader.
        key: of the uploader.
        of: what the file belongs to; the file of another is not kept.
        more: further arguments of ``st.file_uploader``.
    """
    state, slot, widget = st.session_state, f"_kept-{key}", f"{key}-{of}" if of else key
    owner, file = state.get(slot, ("", None))
    kept = file if owner == of else None

    def take() -> None:
        state[slot] = (of, state[widget])

    uploaded = st.file_uploader(label, key=widget, on_change=take, **more)
    if uploaded is None and kept is not None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"tight-{key}"):
            st.caption(f":material/draft: Kept, {_size(kept.size)}", width="content")
            st.button(
                "Remove",
                icon=":material/close:",
                type="tertiary",
                key=f"remove-{key}",
                on_click=lambda: state.pop(slot, None),
            )
    return uploaded or kept


def _size(n: int) -> str:
    return f"{n / 2**20:.1f} MB" if n >= 2**20 else f"{max(1, round(n / 2**10))} KB"
