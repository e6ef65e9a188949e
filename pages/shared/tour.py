"""The guided tour: read, score, see, on a prepared case; one strip above the page says where to look."""

import streamlit as st

from pages.shared import navigation

_STEP = "_tour_step"
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
        "is; open the evidence to see which sections carry a score.",
    ),
    (
        "pages/imaging.py",
        "See",
        "A segmenter marks a structure; the two maps show which pixels spoke for it. Choose a sample image, and move "
        "between the layers.",
    ),
)


def start() -> None:
    """Begin at the first step; the caller switches to its page."""
    st.session_state[_STEP] = 0


def end() -> None:
    """Leave the tour."""
    st.session_state.pop(_STEP, None)


def steps() -> list[tuple[str, str, str]]:
    """Return the steps whose pages exist."""
    return [step for step in STEPS if navigation.page(step[0])]


def show() -> None:
    """Draw the strip of the current step, if a tour is on."""
    number = st.session_state.get(_STEP)
    there = steps()
    if number is None or number >= len(there):
        return
    _, title, text = there[number]
    with st.container(key="tour", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Tour {number + 1} of {len(there)}: {title}.** {text}", width="stretch")
        if number + 1 < len(there):
            script, following, _ = there[number + 1]
            if st.button(
                f"Next: {following.lower()}", icon=":material/arrow_forward:", type="primary", key="tour-next"
            ):
                st.session_state[_STEP] = number + 1
                navigation.go(script)
        st.button("End the tour", type="tertiary", on_click=end, key="tour-end")
