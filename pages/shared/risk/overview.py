"""All scores of a patient in the paper's four groups."""

from collections.abc import Container, Sequence

import streamlit as st

from core.ehr.tasks import GROUPS
from core.risk.score import TaskScore, cohort_notes
from pages.shared import charts, layout
from pages.shared.errors import plain
from pages.shared.patients.chart import Patient
from pages.shared.risk import groups
from pages.shared.risk import outside as outside_marks
from pages.shared.risk.scoring import Scored, key_of

GROUP_NOTES = {
    "operational_outcomes": "during or after the present stay",
    "lab_values": "the next result",
    "new_diagnoses": "first time within a year",
    "chexpert": "the report within 24 hours",
}
GROUP_ORDER, DEPARTURE = "By task", "By departure from average"


def show(patient: Patient, scored: Scored, chosen: str | None) -> str | None:
    """Draw the four groups; return the key of the head that the user picked in them, if any.

    Args:
        patient: who is scored.
        scored: the scores.
        chosen: key of the head whose evidence is shown below.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="tight-risk-controls"):
        order = st.segmented_control(
            "Order", (GROUP_ORDER, DEPARTURE), default=GROUP_ORDER, required=True, key="risk-order",
            label_visibility="collapsed", bind="query-params",
        )  # fmt: skip
        scale = st.segmented_control(
            "Scale", groups.SCALES, default="Percent", required=True, key="risk-scale",
            label_visibility="collapsed", bind="query-params",
            help="Log-odds spreads small risks out; the numbers stay percentages.",
        )  # fmt: skip
        cohorts = " and ".join(dict.fromkeys(score.cohort for score in scored.scores))
        st.markdown(
            ":blue[◆] this patient, with the 95 % interval of the calibration"
            f"\u2003:gray[┃] average of {plain(cohorts)}"
            + (f"\u2003{outside_marks.LEGEND}" if scored.outside else ""),
            width="content",
        )
    notes = cohort_notes(scored.scores, patient.dataset)
    if notes:
        st.caption(plain(" ".join(notes)))
    with st.container(key="stacks-groups"):  # one above the other on a narrow page (style.css)
        left, right = st.columns(2, gap="medium")
    columns = {"operational_outcomes": left, "lab_values": left, "new_diagnoses": left, "chexpert": right}
    picked, end, outside = None, groups.end_of_scale(scored.scores), scored.clauses(patient.clock.day)
    for group, title in GROUPS.items():
        scores = sort([score for score in scored.scores if score.group == group], order or GROUP_ORDER, outside)
        if not scores:
            continue
        with columns[group], st.container(border=True, gap="xsmall"):
            layout.section(title, GROUP_NOTES[group])
            selection = charts.show(
                groups.figure(scores, scale or "Percent", end, chosen, outside),
                key=f"risk-{group}-{order}-{scale}",
                alt=groups.alt(title, scores, outside),
                on_select="rerun",
                mode_bar=False,
            )
            points = selection.selection.points if selection else []
            if points and points[0].get("customdata"):
                picked = points[0]["customdata"][0]
    return picked


def sort(scores: Sequence[TaskScore], order: str, outside: Container[str]) -> list[TaskScore]:
    """Order scores as the tasks are, or by how far they depart from the cohort's average.

    Then those outside of their task's definition follow, and the unreliable ones come last.
    """
    if order != DEPARTURE:
        return list(scores)
    return sorted(scores, key=lambda score: (not score.reliable, score.task in outside, -abs(score.departure)))


def options(scored: Scored) -> dict[str, str]:
    """Return the heads to choose from for evidence, by key, with their names; findings say that they are findings."""
    return {
        key_of(score): score.name if score.label is None else f"Chest X-ray: {score.label}" for score in scored.scores
    }
