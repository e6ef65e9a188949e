"""Risk: scores of a patient at a time for the 15 EHRSHOT tasks, and the evidence behind each."""

import streamlit as st

from core.errors import MissingError
from pages.shared import empty, frame, layout, resources, selection
from pages.shared.encoders import picker, readiness
from pages.shared.encoders.state import sentence
from pages.shared.errors import plain
from pages.shared.patients import browser, chart
from pages.shared.risk import evidence_tabs as evidence
from pages.shared.risk import overview, scoring, target

TITLE, LEAD = "Risk", "What a head on the record's embedding expects, beside what is usual in the cohort."

frame.require()
selection.side_bar()
chosen = selection.current()
dataset = resources.dataset(chosen.dataset)
if not dataset.n_subjects:
    layout.header(TITLE, LEAD)
    browser.no_subjects(chosen)
    st.stop()
if chosen.subject is None:
    browser.show(dataset, "Risk: choose a patient")
    st.stop()
patient = chart.header(dataset, chosen, **target.address())
if patient is None:
    st.stop()
encoder = picker.show()
if not readiness.show(encoder, patient):
    st.stop()
try:
    scored = scoring.scored(patient, encoder.spec.name)
except MissingError as error:
    empty.show(plain(sentence(error.what)), f"{plain(sentence(error.fix))}.", icon="model_training")
    st.stop()
names, key = overview.options(scored), target.chosen()
if key not in names:
    key = target.fitting(patient, scored)
picked = overview.show(patient, scored, key)
if picked and picked != st.session_state.get("_picked"):
    st.session_state["_picked"] = picked
    target.choose(picked)
    st.rerun()
evidence.show(patient, scored, names, key, encoder.spec)
