"""What is being looked at: dataset, subject, time, and whether times are shown as calendar dates.

Patients and Risk share it. A link carries it (``?dataset=...&subject=...&at=...&times=relative``), and the session
keeps it from page to page, because Streamlit empties the address when the page changes.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import streamlit as st

from core.ehr.relative_time import Clock
from core.ehr.store import Dataset
from core.errors import InputError
from pages.shared import audience, audit, dates, resources, url

NONE: dict[str, None] = dict.fromkeys(url.PATIENT)
"""An address that names no patient."""
_STATE = "_selection"
_AHEAD = "_selection_ahead"
"""Whether the session has chosen something that the address does not say yet."""


@dataclass(frozen=True)
class Selection:
    """The choice of the session. ``subject`` and ``at`` are None until something is chosen."""

    dataset: str
    subject: int | None = None
    at: datetime | None = None


def current() -> Selection:
    """Return the selection: from the address where it names one, else what the session had.

    Raises:
        InputError: the address names a dataset or a subject id that cannot be.
    """
    folders = resources.dataset_folders()
    kept: Selection | None = st.session_state.get(_STATE)
    name = _linked("dataset") or (kept.dataset if kept else next(iter(folders)))
    if name not in folders:
        raise InputError(
            f"this link names the dataset {name}, which is not offered here", "go to Start in the side bar"
        )
    if kept is None or kept.dataset != name or (url.travelled() and _linked("dataset")):
        kept = Selection(name)  # Back and Forward: what that address does not name was not chosen
    if _linked("times") == "relative":
        dates.hide(True)
    subject = _linked("subject")
    if subject:
        if not (subject.isascii() and subject.isdecimal()):
            raise InputError("this link names no subject id", "open a patient from the list")
        if int(subject) != kept.subject:
            kept = Selection(name, int(subject))
    _keep(kept)
    return kept


def _keep(chosen: Selection) -> None:
    """Keep a selection in the session; another subject is another view for the audit log."""
    before: Selection | None = st.session_state.get(_STATE)
    if before is not None and (before.dataset, before.subject) != (chosen.dataset, chosen.subject):
        audit.forget()
    st.session_state[_STATE] = chosen


def time_of_link(clock: Clock) -> datetime | None:
    """Return the time that the address names, if it names one.

    Raises:
        InputError: it cannot be read.
    """
    text = _linked("at")
    return clock.from_address(text) if text else None


def _linked(name: str) -> str:
    """Return what the address names, unless the session has chosen since; where Back led here, the address says."""
    return "" if st.session_state.get(_AHEAD) and not url.travelled() else url.read(name)


def choose(subject: int | None = None, at: datetime | None = None) -> None:
    """Select a subject (None: go back to the list) and a time; :func:`write_address` follows, in one step of Back."""
    kept: Selection = st.session_state[_STATE]
    _keep(replace(kept, subject=subject, at=at))
    st.session_state[_AHEAD] = True


def open_case(dataset: str, subject: int, at: datetime) -> dict[str, str]:
    """Select a dataset, subject and time at once, on the way to another page; return the address that it will have."""
    chosen = Selection(dataset, subject, at)
    _keep(chosen)
    st.session_state[_AHEAD] = True
    return {
        name: str(value)
        for name, value in _address(chosen, clock_of(resources.dataset(dataset), subject)).items()
        if value is not None
    }


def remember(subject: int | None, at: datetime | None) -> None:
    """Keep the time that was found for the selected subject; nothing is drawn again."""
    st.session_state[_STATE] = replace(st.session_state[_STATE], subject=subject, at=at)


def choose_dataset(name: str) -> None:
    """Select a dataset and forget the subject of the one before; :func:`write_address` follows."""
    _keep(Selection(name))
    st.session_state[_AHEAD] = True


def write_address(chosen: Selection, clock: Clock | None = None, **listed: str | int | None) -> None:
    """Make the address a link to ``chosen``, and to the list that ``listed`` describes.

    An audience reads the address too: then the subject and its time are in the session alone.
    """
    st.session_state[_AHEAD] = False
    url.write(**_address(chosen, clock), **listed)


def _address(chosen: Selection, clock: Clock | None) -> dict[str, str | int | None]:
    watched = audience.on()
    return {
        "dataset": chosen.dataset,
        "subject": None if watched else chosen.subject,
        "at": clock.address(chosen.at) if clock and chosen.at and not watched else None,
        "times": "relative" if relative_times() else None,
    }


def relative_times() -> bool:
    """Return whether calendar dates are hidden in this session."""
    return dates.hidden()


def side_bar() -> None:
    """Draw what concerns every record: the dataset (where there are several) and the relative-time switch."""
    folders = list(resources.dataset_folders())
    chosen = current()

    def change_dataset() -> None:
        choose_dataset(st.session_state["choose-dataset"])

    def change_times() -> None:
        dates.hide(st.session_state["choose-relative"])
        st.session_state[_AHEAD] = True

    with st.sidebar:
        if len(folders) > 1:
            st.session_state["choose-dataset"] = chosen.dataset
            st.selectbox("Dataset", folders, key="choose-dataset", on_change=change_dataset)
        st.session_state["choose-relative"] = relative_times()
        st.toggle(
            "Hide calendar dates",
            key="choose-relative",
            on_change=change_times,
            disabled=audience.on(),
            help="Show ages and day counts in place of dates: in texts, axes, tables, downloads and the address.",
        )


def clock_of(dataset: Dataset, subject_id: int) -> Clock:
    """Return how the times of a subject are shown in this session.

    Raises:
        InputError: the subject is not in the dataset.
    """
    at = dataset.index.find(subject_id)
    if at is None:
        raise InputError(f"subject {subject_id} is not in {dataset.name}", "open a patient from the list")
    birth, first = dataset.index.table.select("birth", "first").row(at)
    return Clock(relative_times(), birth or first or datetime(1900, 1, 1), from_birth=birth is not None)


def alias(subject_id: int) -> str:
    """Return the pseudonym under which this installation shows a subject."""
    return audit.name_of(subject_id)
