"""Which score the evidence is about: what the user chose, which the address carries, else the most fitting one."""

import streamlit as st

from core.ehr.demo.cases import read_cases
from core.ehr.timepoints import tasks_labelled_at
from core.risk.subtasks import SUBTASK_BY_KEY
from pages.shared import url
from pages.shared.patients.chart import Patient
from pages.shared.risk import scoring

_CHOSEN, _LINK = "_risk_target", "target"


def chosen() -> str | None:
    """Return the key of the head that the user chose, or that the address names; None where neither did."""
    linked = url.read_choice(_LINK, tuple(SUBTASK_BY_KEY), "") or None
    if url.travelled() or _CHOSEN not in st.session_state:
        st.session_state[_CHOSEN] = linked
    return st.session_state[_CHOSEN]


def choose(key: str) -> None:
    """Choose the head of this key from the next run on."""
    st.session_state[_CHOSEN] = key


def address() -> dict[str, str | None]:
    """Return what the address says of the choice, for :func:`pages.shared.selection.write_address`."""
    return {_LINK: chosen()}


def fitting(patient: Patient, scored: scoring.Scored) -> str:
    """Return the key of the first reliable score of the task that made this a prepared case.

    Else of a task that has a label at this time, else of one that is defined for the record.
    """
    prepared = {
        case.task
        for case in read_cases(patient.dataset.path)
        if (case.subject_id, case.prediction_time) == (patient.subject_id, patient.at)
    }
    labelled = tasks_labelled_at(patient.labels, patient.at)
    best = min(
        scored.scores,
        key=lambda score: (
            not score.reliable,
            score.task not in prepared,
            score.task not in labelled,
            score.task in scored.outside,
        ),
    )
    return scoring.key_of(best)
