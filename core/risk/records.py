"""From a subject and a time to the text a head's encoder reads, and from texts to features.

The one place where core.risk meets core.ehr's serialiser and core.embedding's encoders.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from core.ehr.markdown import Record, SerializationOptions, serialize
from core.ehr.tasks import INSTRUCTION_PREFIXES, NEUTRAL_QUERY, get_task
from core.embedding.cached import embed_texts
from core.errors import InputError
from core.progress import Progress
from core.risk.identity import FeatureIdentity

INSTRUCTIONS = ("task", "generic", "empty")
"""Instruction ablations: the task's own, one neutral query for all, none."""


def takes_instruction(encoder: Any) -> bool:
    """Whether the encoder reads an instruction; without, one embedding serves all tasks."""
    return bool(encoder.spec.takes_instruction)


def options_of(identity: FeatureIdentity) -> SerializationOptions:
    """The serialisation that a head's features were made with."""
    return SerializationOptions(profile=identity.profile, strategy=identity.strategy)


def feature_identity(encoder: Any, options: SerializationOptions, instruction: str = "task") -> FeatureIdentity:
    """What features of this encoder and serialisation are, for the check against heads."""
    spec = encoder.spec
    return FeatureIdentity(
        encoder=spec.name,
        revision=str(spec.revision),
        profile=options.profile,
        strategy=options.strategy,
        max_tokens=int(spec.max_tokens),
        chunking="" if spec.chunking == "none" else f"{spec.chunking}:{spec.chunk_tokens}",
        instruction=instruction if takes_instruction(encoder) else "none",
        dimension=int(spec.dimension),
    )


def instruction_for(task: str, strategy: str, instruction: str = "task") -> str | None:
    """The instruction text of one task under an ablation; None for "empty"."""
    if instruction == "task":
        return get_task(task).instruction_for(strategy)
    if instruction == "generic":
        return f"{INSTRUCTION_PREFIXES[strategy]} {NEUTRAL_QUERY}"
    if instruction == "empty":
        return None
    raise InputError(f"unknown instruction {instruction!r}", f"use one of {', '.join(INSTRUCTIONS)}")


def record_at(dataset: Any, subject_id: int, at: datetime, options: SerializationOptions) -> Record:
    """The serialised record of a subject at a time. Unknown subject, time before birth: :class:`InputError`."""
    return serialize(dataset.events(subject_id), at, dataset.vocabulary, options)


def embed_for_tasks(
    encoder: Any,
    texts: Sequence[str],
    tasks: Sequence[str],
    options: SerializationOptions,
    cache: Any = None,
    instruction: str = "task",
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Embeddings float32 ``(len(texts), d)`` by task; the same array for all tasks without instruction."""
    if not takes_instruction(encoder):
        shared = embed_texts(encoder, list(texts), None, cache, progress)
        return dict.fromkeys(tasks, shared)
    by_instruction: dict[str | None, np.ndarray] = {}
    for task in tasks:
        wording = instruction_for(task, options.strategy, instruction)
        if wording not in by_instruction:
            by_instruction[wording] = embed_texts(encoder, list(texts), wording, cache, progress)
    return {task: by_instruction[instruction_for(task, options.strategy, instruction)] for task in tasks}
