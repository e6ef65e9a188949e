"""Entries of the audit log from a page: who is known from the session, and a rerun is not written twice."""

import streamlit as st

from core.access import Identity, local_identity
from core.audit import AuditLog
from core.privacy import load_key, pseudonym
from core.settings import get_settings

_WHO = "_audit_identity"
_LAST = "_audit_last"


@st.cache_resource(show_spinner=False)
def _key() -> bytes:
    return load_key(get_settings())


def begin(identity: Identity) -> None:
    """Set who acts in this session; the frame calls it on every run."""
    st.session_state[_WHO] = identity


def identity() -> Identity:
    """Return who acts in this session."""
    return st.session_state.get(_WHO) or local_identity()


def name_of(subject_id: int) -> str:
    """Return a subject's pseudonym."""
    return pseudonym(subject_id, _key())


def record(action: str, subject_id: int | None = None, image_sha256: str = "", **details: object) -> None:
    """Write an entry unless the session's last entry of this action says the same (Streamlit runs pages again).

    Args:
        action: one of ``core.audit.ACTIONS``.
        subject_id: the subject concerned; its pseudonym is what is written.
        image_sha256: the image concerned, by its hash.
        details: keys of ``core.audit.DETAILS``.
    """
    subject = name_of(subject_id) if subject_id is not None else image_sha256[:16]
    last = st.session_state.setdefault(_LAST, {})
    entry = (subject, tuple(sorted((key, str(value)) for key, value in details.items())))
    if last.get(action) == entry and action != "export":
        return
    last[action] = entry
    log().record(identity().who, action, subject, **details)


def log() -> AuditLog:
    """Return the audit log of this installation."""
    return AuditLog(get_settings().audit_path)
