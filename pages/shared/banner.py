"""The safety banner: on every page, in words and not only in colour, and without a way to close it."""

import streamlit as st

from core.safety import DATA_NOTICE, NOTICE


def show() -> None:
    with st.container(key="safety-banner"):
        st.markdown(f":material/science: **{NOTICE}** {DATA_NOTICE}")
