"""The one list of pages. A new page is a script in pages/ and a line here."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Entry:
    """A page: its group in the side bar, script, title, Material icon and what it is for."""

    group: str
    script: str
    title: str
    icon: str
    help: str


ENTRIES = (
    Entry("Read", "pages/patients.py", "Patients", "clinical_notes", "Read a record as the language model reads it."),
    Entry("About", "pages/status.py", "Status", "fact_check", "What this installation has and what it lacks."),
)
ORDER = ("Read", "Score", "See", "About")


def pages() -> dict[str, list[Page]]:
    """Return the pages by group, in the order of the side bar; the first one is the start page."""
    groups: dict[str, list[Page]] = {}
    for group in ORDER:
        for entry in ENTRIES:
            if entry.group == group:
                page = st.Page(
                    ROOT / entry.script,
                    title=entry.title,
                    icon=f":material/{entry.icon}:",
                    url_path=Path(entry.script).stem,
                    default=entry is ENTRIES[0],
                    help=entry.help,
                )
                groups.setdefault(group, []).append(page)
    return groups
