"""The guided tour: read, score, see, on a prepared case; one strip above the page says where to look."""

from pathlib import Path

import streamlit as st

from pages.shared import navigation

_ON = "_tour"
STEPS = (
    (
        "pages/patients.py",
        "Read",
        "This is the record as of one moment, as the model reads it. Nothing after that moment is in it. Try *What "
        "the model sees* for the token cut, *Lines and sources* for where a line comes from, *Timeline* for what "
        "comes later.",
    ),
    (
        "pages/risk.py",
        "Score",
        "The same text, embedded, gives a risk for each of the 15 tasks. Each stands beside how common the outcome "
        "is; below, *Sections* says which part of the record carries a score.",
    ),
    (
        "pages/imaging.py",
        "See",
        "A segmenter marks a structure; the two maps show which pixels spoke for it. Choose a sample image, and move "
        "between the layers.",
    ),
)


def start() -> None:
    """Begin; the caller switches to the page of the first step."""
    st.session_state[_ON] = True


def end() -> None:
    """Leave the tour."""
    st.session_state.pop(_ON, None)


def steps() -> list[tuple[str, str, str]]:
    """Return the steps whose pages exist."""
    return [step for step in STEPS if navigation.page(step[0])]


def show(path: str) -> None:
    """Draw the strip of the step at this page's address, if a tour is on; other pages have none."""
    there = steps()
    number = next((number for number, (script, *_) in enumerate(there) if Path(script).stem == path), None)
    if number is None or not st.session_state.get(_ON):
        return
    _, title, text = there[number]
    with st.container(key="tour", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Tour {number + 1} of {len(there)}: {title}.** {text}", width="stretch")
        if number + 1 < len(there):
            script, following, _ = there[number + 1]
            if st.button(
                f"Next: {following.lower()}", icon=":material/arrow_forward:", type="primary", key="tour-next"
            ):
                navigation.go(script)
        st.button("End the tour", type="tertiary", on_click=end, key="tour-end")
