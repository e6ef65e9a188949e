"""The score over the patient's past: the same heads at each earlier prediction time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.ehr.markdown import SerializationOptions, serialize_many
from core.progress import Progress
from core.risk.heads import Head
from core.risk.records import embed_for_tasks, options_for
from core.risk.score import TaskScore, score_vectors

MAX_POINTS = 20


@dataclass(frozen=True)
class TrajectoryPoint:
    """The scores at one time; ``current`` marks the time that was asked for."""

    at: datetime
    scores: tuple[TaskScore, ...]
    current: bool


def trajectory(
    dataset: Any,
    subject_id: int,
    at: datetime,
    times: Sequence[datetime],
    encoder: Any,
    heads: Mapping[str, Head],
    cache: Any = None,
    options: SerializationOptions | None = None,
    max_points: int = MAX_POINTS,
    progress: Progress | None = None,
) -> list[TrajectoryPoint]:
    """Scores at the given times up to ``at``, oldest first, ``at`` last.

    Args:
        dataset: an open dataset.
        subject_id: the patient.
        at: the prediction time in question; later times are left out, so that nothing of the future shows.
        times: candidates (labels' prediction times, visits); those nearest to ``at`` are taken.
        encoder: the heads' encoder.
        heads: those to follow.
        cache: an embedding cache; with chunks cached only what is new costs time.
        options: of the serialisation; the heads' by default.
        max_points: points at most, ``at`` included.
        progress: of the embedding.

    Raises:
        InputError: no heads, heads of another encoder, unknown subject, ``at`` before birth.
    """
    options = options_for(heads, encoder, options)
    events = dataset.events(subject_id)
    dated = events["time"].drop_nulls()
    first = dated[0] if len(dated) else at
    past = sorted({time for time in times if first < time < at})
    chosen = [*(past[-(max_points - 1) :] if max_points > 1 else []), at]
    records = serialize_many(events, chosen, dataset.vocabulary, options)
    tasks = list(dict.fromkeys(head.subtask.task for head in heads.values()))
    vectors = embed_for_tasks(encoder, [record.text for record in records], tasks, options, cache, progress=progress)
    return [
        TrajectoryPoint(
            time, tuple(score_vectors({task: vectors[task][i] for task in tasks}, time, heads)), i == len(chosen) - 1
        )
        for i, time in enumerate(chosen)
    ]
