"""State that a link carries. Reading checks, writing drops what is empty: an address is never trusted."""

from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.session_state_proxy import get_session_state

PATIENT = ("dataset", "subject", "at", "times")
"""Parameters that say which patient, as of when, with which dates; they mean the same on every page."""
_MAXIMUM_LENGTH = 200
_CARRIED = "_carried"


def read(name: str, default: str = "") -> str:
    """Return a query parameter, or ``default`` where it is absent, repeated oddly or absurdly long."""
    value = st.query_params.get(name, default)
    return value if len(value) <= _MAXIMUM_LENGTH else default


def read_choice(name: str, choices: list[str] | tuple[str, ...], default: str) -> str:
    """Return a query parameter that is one of ``choices``."""
    value = read(name, default)
    return value if value in choices else default


def write(**values: str | int | None) -> None:
    """Set query parameters; None or an empty string removes one. Nothing is sent where nothing changes.

    All go in one message, with what :func:`carry` says: each message is a step of the browser's Back.
    """
    values = {**st.session_state.get(_CARRIED, {}), **values}
    now = st.query_params.to_dict()
    new = {name: str(value) for name, value in values.items() if value is not None and value != ""}
    other = {name: value for name, value in now.items() if name not in values}
    if other | new == now:
        return
    try:
        st.query_params.from_dict(other | new)
    except StreamlitAPIException:  # a widget is bound to one of the others, which may then only be left alone
        with get_session_state().query_params() as parameters:  # the public mapping sends every deletion by itself
            for name in values.keys() - new.keys():
                parameters.discard_param_no_forward_msg(name)
            parameters.update({name: value for name, value in new.items() if value != now.get(name)})


def carry(**values: str | None) -> None:
    """Put these into every address that this session writes from now on, as :func:`write` does."""
    st.session_state[_CARRIED] = values


def carried() -> dict[str, str]:
    """Return what every address of this session says."""
    return {name: value for name, value in st.session_state.get(_CARRIED, {}).items() if value}


def travelled() -> bool:
    """Return whether the browser's Back or Forward led here: then the address says what to show, not the session."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def chosen_so_far(options: dict[str, str], default: str, name: str) -> str:
    """Return what :func:`choice` of this name will show: the session's choice, else the link's, else the default."""
    kept = st.session_state.get(f"choice-{name}")
    return kept if kept in options else read_choice(name, tuple(options), default)


def choice(label: str, options: dict[str, str], default: str, name: str, **control: Any) -> str:
    """Draw a segmented control whose choice a link carries as ``?name=option``; return the chosen option.

    Streamlit's own ``bind`` puts the displayed label into the address, icons and all; here it is the option's id.

    Args:
        label: the control's label.
        options: displayed text by option id.
        default: the option chosen first; it is left out of the address.
        name: query parameter; the widget's key is ``choice-NAME``.
        control: further arguments of ``st.segmented_control``.
    """
    key = f"choice-{name}"
    st.session_state[key] = chosen_so_far(options, default, name)
    chosen = st.segmented_control(
        label, list(options), required=True, format_func=options.get, key=key, persist_state="session", **control
    )
    write(**{name: None if chosen == default else chosen})
    return chosen or default
