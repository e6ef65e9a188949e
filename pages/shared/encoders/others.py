"""The other encoders that a score can be put beside, and what each of them lacks."""

from pathlib import Path

import streamlit as st

from core.settings import get_settings
from pages.shared.encoders.state import EncoderState, states, steps, stop
from pages.shared.errors import plain


def ready(current: str, head: str = "") -> list[EncoderState]:
    """Return the encoders other than ``current`` that can score now (``head``: with a head of that key)."""
    folder = get_settings().heads
    return [
        state
        for state in states().values()
        if state.spec.name != current
        and state.heads
        and (not head or (folder / state.spec.name / f"{head}.npz").is_file())
        and state.obstacle is None
    ]


def explain(current: str, dataset: Path, key: str) -> None:
    """Say that no other encoder can score yet, and for one of the user's choice what it takes.

    Args:
        current: the encoder that scores.
        dataset: folder of the dataset that is looked at.
        key: tells several of these on one page apart.
    """
    found = {name: state for name, state in states().items() if name != current}
    st.markdown(f"No other encoder can score here yet: {plain(current)} alone has its weights and heads here.")
    if not found:
        return
    name = st.selectbox("What would it take for", list(found), key=f"others-{key}", width=360, persist_state="page")
    for number, step in enumerate(steps(found[name], dataset), 1):
        st.markdown(f"{number}. **{plain(step.what)}{stop(step)}** {plain(step.how)}")
        if step.command:
            st.code(step.command, language="bash", wrap_lines=True)
