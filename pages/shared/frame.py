"""No page without the frame.

Until ``app.py`` has run once in a process, Streamlit answers a deep link by running the page's script alone, found
in ``pages/`` by its old convention: no banner, no sign-in. :func:`require` notices that and starts again with app.py.
"""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from pages.shared import audit


def require() -> None:
    """Run again through ``app.py`` where the page was started without it. ``layout.header`` calls this first.

    Streamlit's flag is the process's: another session may put it right while this one is in its page already. What
    counts is therefore whether the frame has said who acts in this session.
    """
    if PagesManager.uses_pages_directory or not audit.identity().may("open"):
        PagesManager.uses_pages_directory = False
        st.rerun()
