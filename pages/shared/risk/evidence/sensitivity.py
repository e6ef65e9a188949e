"""Tab Sensitivity: the score under other instructions, look-back windows and encoders."""

import pandas as pd
import streamlit as st

from core.risk.sensitivity import Variant, sensitivity
from pages.shared.risk.case import Case
from pages.shared.risk.groups import percent

KINDS = {"lookback": "Look back", "instruction": "Instruction", "encoder": "Encoder"}


def show(case: Case) -> None:
    """Draw a table of variants; what cannot be varied says why."""
    patient = case.patient
    words = ""
    if "{instruction}" in _template(case):
        words = st.text_input(
            "Your own instruction", placeholder="will the patient …", max_chars=300, key="own-instruction"
        ).strip()
    variants: list[Variant] = case.compute(
        "Reading the record in other ways",
        "sensitivity",
        lambda encoder, cache, progress: sensitivity(
            patient.dataset, patient.subject_id, patient.at, encoder, case.head, cache, free_instruction=words
        ),
        words,
    )
    shown = [variant for variant in variants if variant.score or variant.kind != "instruction"]
    table = pd.DataFrame(
        {
            "Choice": [KINDS[variant.kind] for variant in shown],
            "Set to": [variant.name for variant in shown],
            "Probability": [percent(variant.score.probability) if variant.score else "none" for variant in shown],
            "Change in log-odds": ["" if variant.change is None else f"{variant.change:+.2f}" for variant in shown],
            "Note": [variant.note for variant in shown],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={"Note": st.column_config.TextColumn(width="large")},
        alt="The score under other look-back windows, instructions and encoders",
    )
    if len(shown) < len(variants):
        st.caption(f"{case.encoder_name} reads no instruction, so none can be varied.")
    st.caption(
        "The head was trained on the whole record and the task's instruction. A variant shows how the model reacts to "
        "a reading that it was not trained on; a score that hangs on such a choice deserves less trust."
    )


def _template(case: Case) -> str:
    from core.embedding.registry import get_spec

    return get_spec(case.encoder_name).template or ""
