"""Tab Similar patients: the nearest records in the full embedding space, with what happened to them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import polars as pl
import streamlit as st

from core.embedding.cached import embed_texts
from core.errors import InputError, MissingError
from core.risk.neighbours import Neighbour, NeighbourPool, load_pool, nearest
from core.risk.records import instruction_for, options_of, takes_instruction
from core.risk.score import of_100
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
    found = nearest(pool, vector, case.head.key, case.patient.subject_id if _is_cohort(case) else None)
    if not found:
        empty.show("No other patient has a label of this task", icon="group_off", key="pool")
        return
    positive = sum(neighbour.outcome for neighbour in found)
    st.markdown(
        f"**{positive} of the {len(found)} most similar patients** had the outcome; the average of "
        f"{plain(case.head.cohort)} is {of_100(case.head.prevalence)} of 100."
    )
    here = _are_here(case, found)
    table = pd.DataFrame(
        {
            "Patient": [
                selection.alias(n.subject_id) if at_hand else "patient of the cohort"
                for n, at_hand in zip(found, here)
            ],
            "Similarity": [n.similarity for n in found],
            "Outcome": ["had it" if n.outcome else "did not" for n in found],
            "Here": ["open" if at_hand else "not in this dataset" for at_hand in here],
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
    if rows and here[rows[0]]:
        selection.choose(found[rows[0]].subject_id, found[rows[0]].prediction_time)
        navigation.go("pages/patients.py")
    st.caption(
        "Cosine similarity in the full embedding space, one record a patient. Select a row to open the patient in "
        "Patients at that time. Similar to the model need not be similar to a clinician."
    )


def _is_cohort(case: Case) -> bool:
    return case.head.cohort == case.patient.dataset.name


def _are_here(case: Case, found: Sequence[Neighbour]) -> list[bool]:
    """Whether each neighbour is a patient of this dataset: another dataset's patient may bear the same number.

    A neighbour is a labelled record, so the same person has a label of the task at that very time.
    """
    if not _is_cohort(case):
        return [False] * len(found)
    try:
        labels = case.patient.dataset.labels(case.head.subtask.task)
    except InputError:
        return [False] * len(found)
    ids = [neighbour.subject_id for neighbour in found]
    known = set(labels.filter(pl.col("subject_id").is_in(ids)).select("subject_id", "prediction_time").iter_rows())
    return [(neighbour.subject_id, neighbour.prediction_time) in known for neighbour in found]
