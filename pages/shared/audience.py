"""Audience mode: for a room that looks on. Large type; no subject ids, also not in the address; no calendar dates.

The address says so (``?audience=1``), so that a reload and a link keep it.
"""

import streamlit as st

from pages.shared import url

_STATE = "_audience"
LARGER = 19 / 15
"""How much larger all is: the root size of this mode to that of the theme."""


def on() -> bool:
    """Return whether this session shows its screen to an audience."""
    return bool(st.session_state.get(_STATE, False))


def switch() -> None:
    """Draw the switch in the side bar; while it is on, everything grows with the root size.

    A new session begins as its address says. Later the session knows better, but that Back and Forward may lead to
    an address of this mode: they turn it on, and never off before those who look on.
    """

    def change() -> None:
        st.session_state[_STATE] = st.session_state["choose-audience"]

    if _STATE not in st.session_state or url.travelled():
        st.session_state[_STATE] = on() or url.read("audience") == "1"
    url.carry(audience="1" if on() else None)

    if on():  # not ``html:has(...)`` in the style sheet: with it each change of the page styles all of the page again
        st.html("<style>html { font-size: 19px !important; }</style>")
    with st.sidebar:
        st.session_state["choose-audience"] = on()
        st.toggle(
            "Audience mode",
            key="choose-audience",
            on_change=change,
            help="Large type, no subject ids, no calendar dates. Open a prepared case from Start.",
        )
