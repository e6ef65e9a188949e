"""The sign-in gate of the frame: nobody passes without an identity where sign-in is asked for."""

import streamlit as st

from core.settings import get_settings


def require() -> None:
    """Stop the page with a sign-in button where ``CHARTLIGHT_SIGN_IN`` is set and nobody is signed in."""
    if not get_settings().sign_in:
        return
    if st.user.get("is_logged_in", False):
        with st.sidebar:
            st.button("Sign out", icon=":material/logout:", on_click=st.logout, type="tertiary", key="sign-out")
        return
    with st.container(border=True, key="empty-sign-in", horizontal_alignment="center"):
        st.markdown("**Sign in to open Chartlight**", text_alignment="center")
        st.markdown("This installation is shared; your institution's account opens it.", text_alignment="center")
        st.button("Sign in", icon=":material/login:", on_click=st.login, type="primary", key="sign-in")
    st.stop()
