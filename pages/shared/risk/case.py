"""What the evidence tabs work on: a patient, a score, its head, and model work in the queue with a cache."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from core.embedding.cache import EmbeddingCache
from core.embedding.encoders import Encoder
from core.embedding.registry import get_spec
from core.progress import Progress
from core.risk.heads import Head
from core.risk.score import TaskScore
from pages.shared import audit, queue, resources
from pages.shared.patients.chart import Patient
from pages.shared.risk.scoring import Scored, dataset_key

T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """One score under question.

    Attributes:
        patient: who, and as of when.
        scored: all scores and the text.
        head: the head behind the score in question.
        heads: all heads of the encoder.
        encoder_name: the encoder.
    """

    patient: Patient
    scored: Scored
    head: Head
    heads: dict[str, Head]
    encoder_name: str

    @property
    def score(self) -> TaskScore:
        """The score in question."""
        return self.scored.of(self.head.key)

    def compute(self, name: str, kind: str, work: Callable[[Encoder, EmbeddingCache, Progress], T], *key: Any) -> T:
        """Run model work for this case in the queue, or return what it gave before.

        Args:
            name: what it is, as the user would say it.
            kind: names the evidence, for the cache and the audit log.
            work: gets the encoder, the embedding cache and a progress callback; must not call Streamlit.
            key: whatever else the result depends on.
        """
        audit.record("evidence", self.patient.subject_id, page="risk", task=self.head.key, outcome=kind)
        identity = (
            dataset_key(self.patient),
            self.patient.subject_id,
            self.patient.at.isoformat(),
            repr(get_spec(self.encoder_name)),
            self.head.key,
            self.head.version,
            kind,
            repr(key),
        )
        return _computed(identity, name, self.encoder_name, work)


@st.cache_data(show_spinner=False, max_entries=256)
def _computed(identity: tuple[str, ...], _name: str, _encoder_name: str, _work: Callable) -> Any:
    shared = resources.encoder(_encoder_name)
    cache = resources.embedding_cache()

    def work(progress: Progress) -> Any:
        with shared.use() as encoder:
            return _work(encoder, cache, progress)

    return queue.run(_name, work)
