"""The evidence behind one score: the choice of the task, what it says in words, and a tab for each question."""

import json

import streamlit as st

from core.ehr.tasks import TASK_BY_ID
from core.embedding.registry import EncoderSpec
from core.risk.documents import scores_document, scores_html
from core.risk.score import percent_text as percent
from core.risk.score import percentile_text
from core.wording import counted
from pages.shared import downloads, empty, layout, selection
from pages.shared.errors import plain
from pages.shared.patients.chart import Patient
from pages.shared.risk import scoring, target
from pages.shared.risk.case import Case
from pages.shared.risk.evidence import compare, neighbours, sections, sensitivity, thresholds, trajectory, what_if

TABS = {
    "Similar patients": neighbours.show,  # first, because it costs nothing beyond the score's own embedding
    "Sections": sections.show,
    "Trajectory": trajectory.show,
    "Sensitivity": sensitivity.show,
    "Thresholds": thresholds.show,
    "What if": what_if.show,
    "Compare": compare.show,
}
OF_ONE_ESTIMATE = ("Sections", "Trajectory", "Sensitivity")
"""Tabs that take one score apart: where that is no reliable estimate, neither are its parts."""


def show(patient: Patient, scored: scoring.Scored, names: dict[str, str], key: str, encoder: EncoderSpec) -> None:
    """Draw the evidence for the head ``key``, the choice of another, and the downloads."""
    heads = scoring.heads_of(encoder.name)
    st.session_state["risk-task"] = key
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-evidence"):
        st.selectbox(
            "Evidence for",
            list(names),
            format_func=names.get,
            key="risk-task",
            on_change=lambda: target.choose(st.session_state["risk-task"]),
            width=320,
            persist_state="session",
        )
        st.space("stretch")
        with st.container(horizontal=True, gap="small", width="content"):
            _downloads(patient, scored)
    case = Case(patient, scored, heads[key], heads, encoder.name)
    score = case.score
    st.markdown(f"{TASK_BY_ID[score.task].question} **{plain(score.natural_frequency)}.**")
    if score.task in scored.outside:
        why = scored.outside[score.task].text(patient.clock.day)
        st.markdown(
            f":material/info: **Outside the task's definition:** {why}. The head learned from no such record: "
            "do not read the score as a risk."
        )
    if score.reliable:
        lower, upper = score.interval
        layout.facts(
            [
                ("Probability", percent(score.probability)),
                ("95 % interval of the calibration", f"{percent(lower)} to {percent(upper)}"),
                (f"Average of {score.cohort}", percent(score.prevalence)),
                ("Percentile there", percentile_text(score.percentile)),
                (
                    "Held-out cases",
                    f"{score.n:,}; {score.n_positive:,} positive, of {counted(score.n_patients_with, 'patient')}",
                ),
            ],
            key="score",
        )
    cut = 0 < encoder.max_tokens < scored.tokens
    read = f"{encoder.max_tokens:,} of {scored.tokens:,} tokens" if cut else f"{scored.tokens:,} tokens"
    st.caption(f"{plain(encoder.name)} read {read} · head {score.head_version}")
    tabs = st.tabs(list(TABS), on_change="rerun", key="evidence", bind="query-params")
    for tab, (name, draw) in zip(tabs, TABS.items(), strict=True):
        if tab.open:
            with tab, st.container(key="stacks-evidence"):
                if score.reliable or name not in OF_ONE_ESTIMATE:
                    draw(case)
                else:
                    empty.show(
                        "There is no reliable estimate to take apart",
                        f"Only {score.shortage} stand behind this score. Choose another task above.",
                        icon="query_stats",
                        key="unreliable",
                    )


def _downloads(patient: Patient, scored: scoring.Scored) -> None:
    name = selection.alias(patient.subject_id)
    at, outside = patient.clock.show(patient.at), scored.clauses(patient.clock.day)
    document = scores_document(patient.dataset, name, at, scored.scores, outside)
    for label, data, extension, mime in (
        ("JSON", json.dumps(document, indent=1, ensure_ascii=False), "json", "application/json"),
        ("HTML", scores_html(document), "html", "text/html"),
    ):
        downloads.button(
            label, data, f"risk-{name}.{extension}", mime, f"risk-{extension}", patient.subject_id, page="risk"
        )
