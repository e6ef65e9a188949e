"""Tab Similar patients: the nearest records in the full embedding space, with what happened to them."""

from pathlib import Path

import pandas as pd
import streamlit as st

from core.embedding.cached import embed_texts
from core.errors import MissingError
from core.risk.neighbours import NeighbourPool, load_pool, nearest
from core.risk.records import instruction_for, options_of, takes_instruction
from core.settings import get_settings
from pages.shared import empty, navigation, selection
from pages.shared.errors import plain
from pages.shared.risk.case import Case


@st.cache_resource(show_spinner=False, max_entries=4)
def _pool(folder: str, changed: int) -> NeighbourPool:
    return load_pool(Path(folder))


def show(case: Case) -> None:
    """Draw the ten nearest patients of the heads' cohort."""
    folder = get_settings().heads / case.encoder_name
    try:
        pool = _pool(str(folder), folder.stat().st_mtime_ns)
    except MissingError as error:
        empty.show("There is no pool of similar patients", f"{error.fix}.", icon="group_off", key="pool")
        return
    options = options_of(case.head.identity)

    def embed(encoder, cache, progress):
        own = instruction_for(case.head.subtask.task, options.strategy) if takes_instruction(encoder) else None
        return embed_texts(encoder, [case.scored.text], own, cache, progress)[0]

    vector = case.compute("Embedding the record", "neighbours", embed)
    found = nearest(pool, vector, case.head.key, case.patient.subject_id)
    if not found:
        empty.show("No other patient has a label of this task", icon="group_off", key="pool")
        return
    positive = sum(neighbour.outcome for neighbour in found)
    st.markdown(
        f"**{positive} of the {len(found)} most similar patients** had the outcome; the average of "
        f"{plain(case.head.cohort)} is {100 * case.head.prevalence:.0f} of 100."
    )
    here = case.patient.dataset.index
    table = pd.DataFrame(
        {
            "Patient": [selection.alias(n.subject_id) for n in found],
            "Similarity": [n.similarity for n in found],
            "Outcome": ["had it" if n.outcome else "did not" for n in found],
            "Here": ["open" if here.find(n.subject_id) is not None else "not in this dataset" for n in found],
        }
    )
    chosen = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"neighbours-{case.head.key}-{case.patient.subject_id}-{case.patient.at:%Y%m%d%H%M}",
        column_config={
            "Similarity": st.column_config.ProgressColumn(
                "Similarity (cosine)", min_value=0.0, max_value=1.0, format="%.3f"
            )
        },
        alt=f"{len(found)} similar patients with similarity and outcome",
    )
    rows = chosen.selection.rows
    if rows and here.find(found[rows[0]].subject_id) is not None:
        selection.choose(found[rows[0]].subject_id, found[rows[0]].prediction_time)
        navigation.go("pages/patients.py")
    st.caption(
        "Cosine similarity in the full embedding space, one record a patient. Select a row to open the patient in "
        "Patients at that time. Similar to the model need not be similar to a clinician."
    )
