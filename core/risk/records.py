"""From a subject and a time to the text a head's encoder reads, and from texts to features.

The one place where core.risk meets core.ehr's serialiser and core.embedding's encoders.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from core.ehr.markdown import Record, SerializationOptions, serialize
from core.ehr.tasks import INSTRUCTION_PREFIXES, NEUTRAL_QUERY, get_task
from core.embedding.cached import embed_texts
from core.embedding.parts import readable_texts
from core.errors import InputError
from core.progress import Progress
from core.risk.identity import FeatureIdentity

if TYPE_CHECKING:
    from core.risk.heads import Head

INSTRUCTIONS = ("task", "generic", "empty")
"""Instruction ablations: the task's own, one neutral query for all, none."""


_BLOCK = 256  # records held as text at a time


def takes_instruction(encoder: Any) -> bool:
    """Whether the encoder reads an instruction; without, one embedding serves all tasks."""
    return bool(encoder.spec.takes_instruction)


def options_of(identity: FeatureIdentity) -> SerializationOptions:
    """The serialisation that a head's features were made with."""
    return SerializationOptions(profile=identity.profile, strategy=identity.strategy)


def feature_identity(encoder: Any, options: SerializationOptions, instruction: str = "task") -> FeatureIdentity:
    """What features of this encoder and serialisation are, for the check against heads."""
    return identity_of(encoder.identity, options, instruction)


def identity_of(
    encoder_identity: Mapping[str, Any], options: SerializationOptions, instruction: str = "task"
) -> FeatureIdentity:
    """The same from an encoder's identity, as it stands in a features manifest."""
    has = encoder_identity
    return FeatureIdentity(
        encoder=str(has["name"]),
        revision=str(has["revision"]),
        profile=options.profile,
        strategy=options.strategy,
        max_tokens=int(has["max_tokens"]),
        chunking="" if has["chunking"] == "none" else f"{has['chunking']}:{has['chunk_tokens']}",
        instruction=instruction if "{instruction}" in has["template"] else "none",
        dimension=int(has["dimension"]),
        **{name: str(has[name]) for name in ("weights_sha256", "config_sha256", "template", "pooling", "attention")},
    )


def options_for(
    heads: Mapping[str, "Head"], encoder: Any, options: SerializationOptions | None = None
) -> SerializationOptions:
    """The serialisation to read records with for these heads: the one given, or that of the heads.

    Raises:
        InputError: there are no heads, or they were trained on features of another making.
    """
    if not heads:
        raise InputError("no task is chosen", "choose a task that has a head")
    options = options or options_of(next(iter(heads.values())).identity)
    identity = feature_identity(encoder, options)
    for head in heads.values():
        head.require(identity)
    return options


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


def embed_rows(
    dataset: Any,
    encoder: Any,
    subject: np.ndarray,
    time: np.ndarray,
    options: SerializationOptions,
    instruction: str | None = None,
    cache: Any = None,
    progress: Progress | None = None,
    visit: Callable[[int, Any], None] | None = None,
) -> np.ndarray:
    """Embed the records of many rows, a block of subjects at a time; what the cache holds is not computed again.

    Args:
        dataset: an open dataset that holds every subject, born by then (as ``load_task_labels`` sees to).
        encoder: a loaded encoder.
        subject: int64 ``(n,)``.
        time: datetime64[us] ``(n,)`` prediction times.
        options: of the serialisation.
        instruction: instruction text, for encoders that take one.
        cache: an embedding cache, which also makes an interrupted run go on where it stopped.
        progress: called with rows done.
        visit: called with (row, events of its subject), for what else is read off the events.

    Returns:
        float32 ``(n, d)``, one row a record; NaN for a record that no encoder can read (empty in this serialisation,
        or from before it begins, see :func:`core.embedding.parts.readable_texts`), which is not visited.
    """
    subject = np.asarray(subject, np.int64)
    moments = np.asarray(time, "datetime64[us]").astype(datetime)
    out = np.full((len(subject), encoder.dimension), np.nan, dtype=np.float32)
    order = np.argsort(subject, kind="stable")
    ids, start = np.unique(subject[order], return_index=True)
    rows_of = dict(zip(ids.tolist(), np.split(order, start[1:])))
    block: list[int] = []
    texts: list[str] = []
    done = 0

    def flush() -> None:
        nonlocal done
        if block:
            out[block] = embed_texts(encoder, texts, instruction, cache)
            done += len(block)
            block.clear()
            texts.clear()
            if progress:
                progress(done, len(subject), "records")

    for subject_id, events in dataset.iter_events(ids.tolist()):
        rows = rows_of[subject_id].tolist()
        written = readable_texts(events, moments[rows].tolist(), dataset.vocabulary, options)
        for row, (text, unreadable) in zip(rows, written, strict=True):
            if unreadable is not None:
                done += 1
                continue
            block.append(row)
            texts.append(text)
            if visit:
                visit(row, events)
        if len(block) >= _BLOCK:
            flush()
    flush()
    if done < len(subject):
        raise InputError(f"{len(subject) - done} records are of subjects that the dataset lacks", "check the labels")
    return out
