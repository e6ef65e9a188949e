"""The one list of pages. A new page is a script in pages/ and a line here."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from core.access import Identity
from pages.shared import url

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Entry:
    """A page: its group in the side bar, script, title, Material icon, what it is for, and the action it needs."""

    group: str
    script: str
    title: str
    icon: str
    help: str
    needs: str = "open"


ENTRIES = (
    Entry("", "pages/start.py", "Start", "light_mode", "What Chartlight does, in three steps."),
    Entry("Read", "pages/patients.py", "Patients", "clinical_notes", "Read a record as the language model reads it."),
    Entry("Score", "pages/risk.py", "Risk", "monitoring", "Scores for the 15 tasks, and what stands behind each."),
    Entry("Score", "pages/benchmark.py", "Benchmark", "leaderboard", "A run's results beside the published ones."),
    Entry("See", "pages/imaging.py", "Imaging", "radiology", "What a segmenter looks at, in two maps."),
    Entry("About", "pages/model_facts.py", "Model facts", "fact_check", "Each model's card: purpose, data, limits."),
    Entry("About", "pages/status.py", "Status", "monitor_heart", "What this installation has and what it lacks."),
    Entry("About", "pages/audit.py", "Audit log", "policy", "Who did what and when.", needs="audit"),
)
ORDER = ("", "Read", "Score", "See", "About")


def pages(identity: Identity) -> dict[str, list[Page]]:
    """Return the pages by group, in the order of the side bar; the start page is first.

    A page that ``identity`` may not open is not listed. Its address still leads to it, and it says why it stays shut.
    """
    groups: dict[str, list[Page]] = {}
    for group in ORDER:
        for entry in ENTRIES:
            if entry.group == group:
                groups.setdefault(group, []).append(_page(entry, identity.may(entry.needs)))
    return groups


def page(script: str) -> Page | None:
    """Return the page of a script, for links and ``st.switch_page``; None where it is not in the list."""
    return next((_page(entry) for entry in ENTRIES if entry.script == script), None)


def go(script: str, address: dict[str, str] | None = None) -> None:
    """Go to a page of the list; what only this page's address says is left behind.

    Args:
        script: the page's script.
        address: what the next page will have in its address. An address that changes before its page does is a step
            of Back of its own, to this page: without ``address`` what it says of the patient stays until the next
            page writes it.
    """
    there = page(script)
    assert there is not None
    if address is None:
        now = st.query_params.to_dict()
        address = {name: now[name] for name in url.PATIENT if name in now}
    st.switch_page(there, query_params=address | url.carried())


def _page(entry: Entry, listed: bool = True) -> Page:
    return st.Page(
        ROOT / entry.script,
        title=entry.title,
        icon=f":material/{entry.icon}:",
        url_path=Path(entry.script).stem,
        default=entry is ENTRIES[0],
        help=entry.help,
        visibility="visible" if listed else "hidden",
    )
