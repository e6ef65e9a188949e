"""The sign-in gate of the frame: who is here, with which role, and since when without a sign of life."""

from contextlib import suppress

import streamlit as st

from core.access import UNKNOWN, Identity, identity_of, local_identity
from core.errors import ChartlightError
from core.idle import SignIns
from core.settings import get_settings
from pages.shared import audit

_KNOWN = "_signed_in_as"


@st.cache_resource(show_spinner=False)
def _sign_ins() -> SignIns:
    return SignIns()


def who() -> Identity:
    """Return who is here, without drawing anything; an unknown visitor has no role."""
    if not get_settings().sign_in:
        return local_identity()
    if not st.user.get("is_logged_in", False):
        return UNKNOWN
    return identity_of(st.user.to_dict(), get_settings().role_claim)


def require(page: str) -> Identity:
    """Return who is here; stop the page where sign-in is on and nobody is, or the role may not open it.

    Args:
        page: the page that will run, for the audit log.
    """
    identity = who()
    audit.begin(identity, page)
    if not get_settings().sign_in:
        return identity
    if not st.user.get("is_logged_in", False):
        st.session_state.pop(_KNOWN, None)
        _stop("Sign in to open Chartlight", "This installation is shared; your institution's account opens it.")
    if not _sign_ins().use(st.user.to_dict(), _idle_seconds()):  # before anything of the old session is drawn
        _leave("idle")
        st.stop()
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


def _idle_seconds() -> float:
    return get_settings().idle_minutes * 60


@st.fragment(run_every=20)
def _watch() -> None:
    """Look from time to time whether the limit has passed; the whole page then runs again and signs out."""
    if _sign_ins().is_idle(st.user.to_dict(), _idle_seconds()):
        st.rerun(scope="app")


def _sign_out() -> None:
    _leave("asked")


def _leave(outcome: str) -> None:
    """Sign out; also where the audit log cannot be written, for leaving shows nothing."""
    with suppress(ChartlightError):
        audit.record("sign_out", outcome=outcome)
    _sign_ins().end(st.user.to_dict())
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
