"""Scores of a patient for the page: the encoder, the heads, the queue, and a cache that cannot mix up patients."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from core.ehr.task_scope import OutsideDefinition, clauses, outside_definitions
from core.ehr.timepoints import tasks_labelled_at
from core.embedding.cached import embed_texts
from core.embedding.registry import get_spec
from core.risk.heads import Head
from core.risk.records import instruction_for, options_of, record_at, takes_instruction
from core.risk.score import TaskScore, score_text
from core.settings import get_settings
from pages.shared import audit, queue, resources, timing
from pages.shared.patients.chart import Patient


@dataclass(frozen=True)
class Scored:
    """The scores of one record, the text that was read, and the tasks that are not defined for it."""

    text: str
    tokens: int
    scores: tuple[TaskScore, ...]
    outside: dict[str, OutsideDefinition]

    def clauses(self, day: Callable[[datetime], str]) -> dict[str, str]:
        """Return why tasks are not defined for this record, by task, times as ``day`` shows them."""
        return clauses(self.outside, day)

    def of(self, key: str) -> TaskScore:
        """Return the score of a head by its key."""
        return next(score for score in self.scores if key_of(score) == key)


def key_of(score: TaskScore) -> str:
    """Return the key of the head behind a score."""
    return score.task if score.label is None else f"{score.task}.{score.label.lower().replace(' ', '_')}"


def dataset_key(patient: Patient) -> str:
    """Return a dataset's state for cache keys: its place, and its files' sizes and times."""
    shards = "\n".join(f"{shard.path} {shard.size} {shard.mtime_ns}" for shard in patient.dataset.index.shards)
    return f"{patient.dataset.path} {hashlib.sha256(shards.encode()).hexdigest()}"


def heads_of(encoder_name: str) -> dict[str, Head]:
    """Return the heads of an encoder; none is a MissingError that says how to make them."""
    return resources.heads(encoder_name)


def scored(patient: Patient, encoder_name: str | None = None) -> Scored:
    """Return the scores of the patient as of the chosen time, from the cache or through the queue.

    Raises:
        MissingError: the encoder's weights or heads are not there.
        InputError: the heads were trained on other features.
    """
    name = encoder_name or get_settings().encoder
    heads = heads_of(name)
    versions = ",".join(head.version for head in heads.values()) + repr(get_spec(name))
    audit.record("score", patient.subject_id, page="risk", encoder=name)
    labelled = tasks_labelled_at(patient.labels, patient.at)
    return _scored(
        dataset_key(patient), patient.subject_id, patient.at, name, versions, labelled, _patient=patient, _heads=heads
    )


@st.cache_data(show_spinner=False, max_entries=512)
def _scored(
    dataset: str,
    subject_id: int,
    at: datetime,
    encoder_name: str,
    versions: str,
    labelled: tuple[str, ...],
    _patient: Patient,
    _heads: dict[str, Head],
) -> Scored:
    options = options_of(next(iter(_heads.values())).identity)
    text = record_at(_patient.dataset, subject_id, at, options).text
    outside = outside_definitions(_patient.events, at, _patient.dataset.vocabulary, labelled)
    shared = resources.encoder(encoder_name)
    cache = resources.embedding_cache()

    def work(progress) -> Scored:
        with shared.use() as encoder:
            wordings: list[str | None] = [None]
            if takes_instruction(encoder):  # every task's text in one go: full batches, one progress, one cancel
                tasks = dict.fromkeys(head.subtask.task for head in _heads.values())
                wordings = list(dict.fromkeys(instruction_for(task, options.strategy) for task in tasks))
            embed_texts(encoder, [text] * len(wordings), wordings, cache, progress)
            timing.note("embedded")
            scores = score_text(text, at, encoder, _heads, cache, options)
            timing.note("scored")
            return Scored(text, encoder.count_tokens(text), tuple(scores), outside)

    return queue.run("Embedding the record", work)
