"""Which encoder reads: one choice for Patients and Risk, kept by the session and carried by the address."""

import streamlit as st

from core.embedding.registry import encoder_specs, get_spec
from core.errors import InputError
from core.settings import get_settings
from pages.shared import errors, url
from pages.shared.encoders import card
from pages.shared.encoders.state import EncoderState, state_of, states

PARAMETER = "encoder"
_KEPT, _WIDGET = "_encoder", "choose-encoder"
"""The session's choice, and the key of the control that changes it."""


def chosen() -> EncoderState:
    """Return the session's encoder: the one chosen, else the link's, else the settings'. The address follows.

    Raises:
        InputError: the link or the settings name an encoder that is not in the registry. No other takes its place.
    """
    name = st.session_state.get(_KEPT) or url.read(PARAMETER)
    try:
        state = state_of(get_spec(name or None))
    except InputError as error:
        if not name or name == get_settings().encoder or name in encoder_specs():
            raise
        raise InputError(f"the encoder {name} is not offered here", "choose one above") from error
    st.session_state[_KEPT] = state.spec.name
    url.write(**{PARAMETER: None if state.spec.name == get_settings().encoder else state.spec.name})
    return state


def show() -> EncoderState:
    """Draw the control with what is at hand and the card behind a button; return the chosen encoder.

    Where the link names none that is offered, that is said beside the control, and the page stops: no other encoder's
    scores are shown for it.
    """
    try:
        state, problem = chosen(), None
    except InputError as error:
        state, problem = None, error
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-encoder"):
        st.markdown("**Encoder**", width="content", help="What reads the record. Each encoder has heads of its own.")
        _select(state, 360)
        if state is not None:
            for text, icon, colour in badges(state):
                st.badge(text, icon=f":material/{icon}:", color=colour)
            with st.popover("Card", icon=":material/badge:", key="encoder-card", on_change="rerun") as opened:
                if opened.open:
                    card.show(state)
    if state is None:
        assert problem is not None
        errors.show(problem)
        st.stop()
    return state


def small(label: str = "Encoder") -> None:
    """Draw the control and the card behind one button, where only tokens are counted."""
    with st.popover(label, icon=":material/tune:", key="encoder-small", on_change="rerun") as opened:
        if opened.open:
            state = chosen()
            _select(state, "stretch")
            card.show(state)


def badges(state: EncoderState) -> list[tuple[str, str, str]]:
    """What is at hand, as text, icon and colour; the text alone says it."""
    if state.missing is not None:
        here = ("No server configured" if state.spec.remote else "Weights not here", "cloud_off", "orange")
    elif state.obstacle is not None:
        here = ("Does not fit into memory", "memory_alt", "orange")
    elif state.spec.remote:
        here = ("Server configured", "cloud_done", "green")
    else:
        here = ("Weights here", "check_circle", "green")
    heads = ("Has heads", "check_circle", "green") if state.heads else ("No heads", "model_training", "orange")
    return [here, heads]


def _select(current: EncoderState | None, width: int | str) -> None:
    found = states()
    st.session_state[_WIDGET] = current.spec.name if current else None

    def change() -> None:
        if name := st.session_state[_WIDGET]:
            st.session_state[_KEPT] = name

    def caption(name: str) -> str:
        return f"{name} · {found[name].note}" if found[name].note else name

    st.selectbox(
        "Encoder",
        list(found),
        index=None,
        placeholder="Choose an encoder",
        required=current is not None,
        format_func=caption,
        key=_WIDGET,
        on_change=change,
        label_visibility="collapsed",
        width=width,
    )
