"""Whether calendar dates are hidden in this session, and a text without them."""

from datetime import datetime

import streamlit as st

from core.ehr.relative_time import Clock
from pages.shared import audience

_STATE = "_relative_times"


def hidden() -> bool:
    """Return whether ages and day counts stand in place of calendar dates."""
    return audience.on() or bool(st.session_state.get(_STATE, False))


def hide(yes: bool) -> None:
    """Hide or show calendar dates from now on."""
    st.session_state[_STATE] = yes


def clear(text: str) -> str:
    """Return a text that may name a date as it may be shown: for messages, which know no subject."""
    return Clock(hidden(), datetime(1900, 1, 1)).text(text)
