"""Entries of the audit log from a page: who is known from the session, and a rerun is not written twice."""

import time

import streamlit as st

from core.access import UNKNOWN, Identity
from core.audit import AuditLog
from core.errors import MissingError
from core.privacy import load_key, pseudonym
from core.settings import get_settings

_WHO = "_audit_identity"
_PAGE = "_audit_page"
_LAST = "_audit_last"
_SAME_VIEW_SECONDS = 300
"""After this time the same entry is written again: it tells that somebody is still, or again, looking."""


@st.cache_resource(show_spinner=False)
def _key() -> bytes:
    return load_key(get_settings())


def begin(identity: Identity, page: str) -> None:
    """Set who acts in this session, and on which page; the frame calls it on every run."""
    st.session_state[_WHO] = identity
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        forget()


def forget() -> None:
    """Begin another view: what was written in the one before is written again when it is seen again."""
    st.session_state.pop(_LAST, None)


def identity() -> Identity:
    """Return who acts in this session: somebody without any role until the frame has said who it is."""
    return st.session_state.get(_WHO, UNKNOWN)


def name_of(subject_id: int) -> str:
    """Return a subject's pseudonym."""
    return pseudonym(subject_id, _key())


def record(action: str, subject_id: int | None = None, image_sha256: str = "", **details: object) -> None:
    """Write an entry unless the last entry of this action in this view says the same (Streamlit runs pages again).

    Args:
        action: one of ``core.audit.ACTIONS``.
        subject_id: the subject concerned; its pseudonym is what is written.
        image_sha256: the image concerned, by its hash.
        details: keys of ``core.audit.DETAILS``.

    Raises:
        MissingError: the log cannot be written. It is not to be caught where what follows would be shown unlogged.
    """
    subject = name_of(subject_id) if subject_id is not None else image_sha256[:16]
    last = st.session_state.setdefault(_LAST, {})
    entry = (subject, tuple(sorted((key, str(value)) for key, value in details.items())))
    said, when = last.get(action, (None, 0.0))
    if said == entry and time.monotonic() - when < _SAME_VIEW_SECONDS and action != "export":
        return
    try:
        log().record(identity().who, action, subject, **details)
    except OSError as error:
        raise MissingError(
            f"the audit log cannot be written ({error.strerror}), and nothing is shown that is not logged",
            "ask whoever runs this installation to make CHARTLIGHT_HOME writable and to free space on its disk",
        ) from error
    last[action] = (entry, time.monotonic())  # only now: what was not written is tried again


def log() -> AuditLog:
    """Return the audit log of this installation."""
    return AuditLog(get_settings().audit_path)
