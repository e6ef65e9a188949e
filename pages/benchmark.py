"""Benchmark: a run's results beside the published ones, and the map of the embeddings."""

import streamlit as st

from pages.shared import layout
from pages.shared.benchmark import (
    ablations,
    calibration,
    compare,
    embeddings,
    few_shot,
    overview,
    problems,
    provenance,
    source,
    subgroups,
    tasks,
)

TABS = {
    "Overview": overview.show,
    "Few-shot": few_shot.show,
    "Tasks": tasks.show,
    "Calibration": calibration.show,
    "Compare models": compare.show,
    "Subgroups": subgroups.show,
    "Ablations": ablations.show,
    "Problems": problems.show,
    "Embedding map": embeddings.show,
}

layout.header("Benchmark", "The 15 EHRSHOT tasks: what a run measured, beside what was published, with its version.")
run = source.choose()
provenance.show(run)
tabs = st.tabs(list(TABS), on_change="rerun", key="benchmark", bind="query-params")
for tab, draw in zip(tabs, TABS.values(), strict=True):
    if tab.open:
        with tab:
            draw(run)
