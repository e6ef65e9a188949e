"""The sign-in gate of the frame: who is here, with which role, and since when without a sign of life."""

import time

import streamlit as st

from core.access import Identity, identity_of, local_identity
from core.settings import get_settings
from pages.shared import audit

_SEEN = "_last_interaction"
_KNOWN = "_signed_in_as"


def who() -> Identity:
    """Return who is here, without drawing anything; an unknown visitor has no role."""
    if not get_settings().sign_in:
        return local_identity()
    if not st.user.get("is_logged_in", False):
        return Identity("unknown", None)
    return identity_of(st.user.to_dict(), get_settings().role_claim)


def require() -> Identity:
    """Return who is here; stop the page where sign-in is on and nobody is, or the role may not open it."""
    identity = who()
    if not get_settings().sign_in:
        audit.begin(identity)
        return identity
    if not st.user.get("is_logged_in", False):
        st.session_state.pop(_KNOWN, None)
        _stop("Sign in to open Chartlight", "This installation is shared; your institution's account opens it.")
    _end_idle_session(identity)
    audit.begin(identity)
    if st.session_state.get(_KNOWN) != identity:
        audit.record("sign_in" if identity.may("open") else "denied", role=identity.role or "none")
        st.session_state[_KNOWN] = identity
    if not identity.may("open"):
        _stop(
            "Your account has no role here",
            "Ask whoever runs this installation for the role viewer, researcher or admin.",
            signed_in=True,
        )
    with st.sidebar:
        st.button("Sign out", icon=":material/logout:", on_click=_sign_out, type="tertiary", key="sign-out")
    _watch()
    return identity


def _end_idle_session(identity: Identity) -> None:
    """Sign out whoever comes back after the idle limit, before anything of the old session is drawn."""
    limit = get_settings().idle_minutes * 60
    now = time.time()
    if now - st.session_state.get(_SEEN, now) > limit:
        audit.begin(identity)
        audit.record("sign_out", outcome="idle")
        st.session_state.clear()
        st.logout()
        st.stop()
    st.session_state[_SEEN] = now


@st.fragment(run_every=20)
def _watch() -> None:
    """Look from time to time whether the limit has passed; the whole page then runs again and signs out."""
    if time.time() - st.session_state.get(_SEEN, time.time()) > get_settings().idle_minutes * 60:
        st.rerun(scope="app")


def _sign_out() -> None:
    audit.record("sign_out", outcome="asked")
    st.session_state.clear()
    st.logout()


def _stop(title: str, body: str, signed_in: bool = False) -> None:
    with st.container(border=True, key="empty-sign-in", horizontal_alignment="center"):
        st.markdown(f"**{title}**", text_alignment="center")
        st.markdown(body, text_alignment="center")
        if signed_in:
            st.button("Sign out", icon=":material/logout:", on_click=_sign_out, key="sign-out-no-role")
        else:
            st.button("Sign in", icon=":material/login:", on_click=st.login, type="primary", key="sign-in")
    st.stop()
