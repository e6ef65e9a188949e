"""Tab Sensitivity: the score under other instructions, look-back windows and encoders."""

import streamlit as st

from core.errors import ChartlightError
from core.risk.score import percent_text as percent
from core.risk.sensitivity import Variant, sensitivity
from pages.shared import tables
from pages.shared.encoders import others
from pages.shared.risk import scoring
from pages.shared.risk.case import Case

KINDS = {"lookback": "Look back", "instruction": "Instruction", "encoder": "Encoder"}


def show(case: Case) -> None:
    """Draw a table of variants; what cannot be varied says why."""
    patient = case.patient
    words = ""
    if "{instruction}" in _template(case):
        words = st.text_input(
            "Your own instruction",
            placeholder="will the patient …",
            max_chars=300,
            key="own-instruction",
            persist_state="page",
        ).strip()
    variants = case.compute(
        "Reading the record in other ways",
        "sensitivity",
        lambda encoder, cache, progress: sensitivity(
            patient.dataset, patient.subject_id, patient.at, encoder, case.head, cache, free_instruction=words
        ),
        words,
    )
    picked = others.ready(case.encoder_name, case.head.key)
    if picked:
        key = f"sensitivity-encoders-{case.encoder_name}"
        st.session_state.setdefault(key, [state.spec.name for state in picked if state.loaded])
        chosen = st.pills(
            "Other encoders, each with its own head",
            [state.spec.name for state in picked],
            selection_mode="multi",
            key=key,
            help="One that is not loaded yet is loaded now.",
            persist_state="page",
        )
        variants = variants + [_with(case, name) for name in chosen]
    shown = [variant for variant in variants if variant.score or variant.kind != "instruction"]
    found = [_probability(variant) for variant in shown]
    st.dataframe(
        tables.table(
            {
                "Choice": [KINDS[variant.kind] for variant in shown],
                "Set to": [variant.name for variant in shown],
                "Probability": tables.Worded([number for number, _ in found], [words for _, words in found]),
                "Change in log-odds": [variant.change for variant in shown],
                "Note": [variant.note for variant in shown],
            }
        ),
        hide_index=True,
        column_config={
            "Change in log-odds": st.column_config.NumberColumn(format="%+.2f"),
            "Note": st.column_config.TextColumn(width="large"),
        },
        alt="The score under other look-back windows, instructions and encoders",
    )
    if any(variant.kind == "instruction" and not variant.score for variant in variants):
        st.caption(f"{case.encoder_name} reads no instruction, so none can be varied.")
    st.caption(
        "The head was trained on the whole record and the task's instruction. A variant shows how the model reacts to "
        "a reading that it was not trained on; a score that hangs on such a choice deserves less trust."
    )
    if not picked:
        with st.expander("Another encoder", icon=":material/compare_arrows:", expanded=True):
            others.explain(case.encoder_name, patient.dataset.path, "sensitivity")


def _probability(variant: Variant) -> tuple[float | None, str]:
    if variant.score is None:
        return None, "none"
    if not variant.score.reliable:
        return None, "no reliable estimate"
    return variant.score.probability, percent(variant.score.probability)


def _with(case: Case, name: str) -> Variant:
    """The score of the same record by another encoder and its own head."""
    try:
        score = scoring.scored(case.patient, name).of(case.head.key)
        return Variant("encoder", name, score, None, "its own head: compare probabilities, not log-odds")
    except ChartlightError as error:
        return Variant("encoder", name, None, None, error.what)


def _template(case: Case) -> str:
    from core.embedding.registry import get_spec

    return get_spec(case.encoder_name).template or ""
