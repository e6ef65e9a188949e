"""Risk: scores of a patient at a time for the 15 EHRSHOT tasks, and the evidence behind each."""

import streamlit as st

from core.errors import MissingError
from pages.shared import empty, frame, layout, resources, selection
from pages.shared.patients import browser, chart
from pages.shared.risk import evidence_tabs as evidence
from pages.shared.risk import overview, scoring

TITLE, LEAD = "Risk", "What a head on the record's embedding expects, beside what is usual in the cohort."

frame.require()
selection.side_bar()
chosen = selection.current()
dataset = resources.dataset(chosen.dataset)
if not dataset.n_subjects:
    layout.header(TITLE, LEAD)
    empty.show(
        "This dataset has no subjects",
        "Import one that has, or make the demo cohort of synthetic patients.",
        icon="person_off",
        command="python -m core demo .chartlight/demo",
    )
    st.stop()
if chosen.subject is None:
    browser.show(dataset, "Risk: choose a patient")
    selection.write_address(selection.current())
    st.stop()
patient = chart.header(dataset, chosen)
if patient is None:
    st.stop()
try:
    scored = scoring.scored(patient)
except MissingError as error:
    empty.show(
        error.what[:1].upper() + error.what[1:],
        f"{error.fix[:1].upper()}{error.fix[1:]}.",
        icon="model_training",
    )
    st.stop()
names = overview.options(scored)
task = st.session_state.get("risk-task") or next(iter(names))
picked = overview.show(scored, task)
if picked and picked != st.session_state.get("_picked"):
    st.session_state["_picked"] = st.session_state["risk-task"] = picked
    st.rerun()
evidence.show(patient, scored, names)
