"""State that a link carries. Reading checks, writing drops what is empty: an address is never trusted."""

import streamlit as st

_MAXIMUM_LENGTH = 200


def read(name: str, default: str = "") -> str:
    """Return a query parameter, or ``default`` where it is absent, repeated oddly or absurdly long."""
    value = st.query_params.get(name, default)
    return value if len(value) <= _MAXIMUM_LENGTH else default


def read_choice(name: str, choices: list[str] | tuple[str, ...], default: str) -> str:
    """Return a query parameter that is one of ``choices``."""
    value = read(name, default)
    return value if value in choices else default


def write(**values: str | int | None) -> None:
    """Set query parameters; None or an empty string removes one. Nothing is sent where nothing changes."""
    for name, value in values.items():
        if value is None or value == "":
            if name in st.query_params:
                del st.query_params[name]
        elif st.query_params.get(name) != str(value):
            st.query_params[name] = str(value)
