"""Audience mode: for a room that looks on. Large type; no subject ids, also not in the address; no calendar dates."""

import streamlit as st

_STATE = "_audience"


def on() -> bool:
    """Return whether this session shows its screen to an audience."""
    return bool(st.session_state.get(_STATE, False))


def switch() -> None:
    """Draw the switch in the side bar; the style sheet enlarges a page that has the container ``audience``."""

    def change() -> None:
        st.session_state[_STATE] = st.session_state["choose-audience"]

    with st.sidebar, st.container(key="audience" if on() else "no-audience"):
        st.session_state["choose-audience"] = on()
        st.toggle(
            "Audience mode",
            key="choose-audience",
            on_change=change,
            help="Large type, no subject ids, no calendar dates. Open a prepared case from Start.",
        )
