"""What an encoder without scores still offers: what is missing, in order, and what can be done without heads."""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.ehr.markdown import SerializationOptions
from core.ehr.tasks import TASKS
from core.embedding.cached import EmbedStats, embed_texts
from core.risk.records import instruction_for, record_at
from core.safety import EXPORT_NOTICE
from pages.shared import audit, downloads, layout, queue, resources, selection
from pages.shared.encoders.state import EncoderState, steps, stop
from pages.shared.errors import plain

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient


@dataclass(frozen=True)
class Embedded:
    """A record's vector and what it cost: float32 ``(dimension,)``, seconds, tokens computed and in all."""

    vector: np.ndarray
    seconds: float
    computed: int
    tokens: int


def show(state: EncoderState, patient: "Patient") -> bool:
    """Return whether the encoder can score; where not, draw what is missing and what is possible without it."""
    missing = steps(state, patient.dataset.path)
    if not missing:
        return True
    name = plain(state.spec.name)
    with st.container(border=True, key="encoder-missing"):
        layout.section(f"{name} gives no scores here yet", "and no other encoder's scores stand in for them")
        for number, step in enumerate(missing, 1):
            st.markdown(f"{number}. **{plain(step.what)}{stop(step)}** {plain(step.how)}")
            if step.command:
                st.code(step.command, language="bash", wrap_lines=True)
    if state.obstacle is None:
        _without_heads(state, patient)
    return False


def _without_heads(state: EncoderState, patient: "Patient") -> None:
    """Draw what an encoder does without heads: it counts tokens and embeds."""
    options = SerializationOptions()
    text = record_at(patient.dataset, patient.subject_id, patient.at, options).text
    tokenizer = resources.tokenizer(state.spec.name)
    with st.container(border=True, key="encoder-without-heads"):
        layout.section("Without heads", "this record in the encoder's eyes")
        if tokenizer is not None:
            total, most = tokenizer.count(text), state.spec.max_tokens
            layout.facts(
                [
                    ("Tokens of the record", f"{total:,}"),
                    ("Read", f"{most:,}, the oldest visits are cut" if 0 < most < total else "all of them"),
                ],
                key="encoder-tokens",
            )
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            task = None
            if state.spec.takes_instruction:
                task = st.selectbox(
                    "Instruction of the task",
                    list(_NAMES),
                    format_func=_NAMES.get,
                    key="embed-task",
                    persist_state="page",
                )
            here = (state.spec.name, patient.subject_id, patient.at, task)
            st.button(
                "Embed this record",
                icon=":material/data_array:",
                key="embed-record",
                on_click=st.session_state.update,
                args=({"_embed": here},),
            )
        if st.session_state.pop("_embed", None) == here:
            st.session_state["_embedded"] = (here, _embed(state, patient, text, task, options))
        kept = st.session_state.get("_embedded")
        if kept and kept[0] == here:
            _result(state, patient, task, kept[1])


def _embed(
    state: EncoderState, patient: "Patient", text: str, task: str | None, options: SerializationOptions
) -> Embedded:
    audit.record("evidence", patient.subject_id, page="risk", encoder=state.spec.name, outcome="embedding")
    held, cache, stats = resources.encoder(state.spec.name), resources.embedding_cache(), EmbedStats()

    def work(progress) -> Embedded:
        with held.use() as encoder:
            start = time.perf_counter()
            instruction = instruction_for(task, options.strategy) if task else None
            vector = embed_texts(encoder, [text], instruction, cache, progress, stats)[0]
            return Embedded(vector, time.perf_counter() - start, stats.computed, stats.tokens)

    return queue.run("Embedding the record", work)


def _result(state: EncoderState, patient: "Patient", task: str | None, found: Embedded) -> None:
    layout.facts(
        [
            ("Vector", f"{len(found.vector):,} numbers, length {np.linalg.norm(found.vector):.4f}"),
            ("Tokens computed", f"{found.computed:,} of {found.tokens:,}"),
            ("Time", f"{found.seconds:.2f} s"),
            ("Speed", f"{found.computed / found.seconds:,.0f} tokens/s" if found.computed else "from the cache"),
        ],
        key="encoder-embedded",
    )
    name = selection.alias(patient.subject_id)
    document = {
        "notice": EXPORT_NOTICE,
        "subject": name,
        "as_of": patient.clock.show(patient.at),
        "encoder": state.spec.name,
        "revision": state.spec.revision,
        "task": task,
        "vector": [float(f"{value:.7g}") for value in found.vector],
    }
    downloads.button(
        "Vector", json.dumps(document), f"embedding-{name}.json", "application/json", "embedding-json",
        patient.subject_id, page="risk",
    )  # fmt: skip


_NAMES = {task.id: task.name for task in TASKS}
