"""How much a score hangs on choices that should not matter much: instruction, look-back window, encoder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from core.ehr.lookback import LOOKBACK_NAMES, LOOKBACKS
from core.ehr.markdown import SerializationOptions, serialize
from core.embedding.cached import embed_texts
from core.errors import InputError
from core.risk.heads import Head
from core.risk.records import feature_identity, instruction_for, options_of, takes_instruction
from core.risk.score import TaskScore, score_vectors


@dataclass(frozen=True)
class Variant:
    """The score under one choice.

    Attributes:
        kind: "instruction", "lookback" or "encoder".
        name: the choice ("empty", "1 year", "qwen3-embedding-0.6b").
        score: under it; None where the choice cannot be made.
        change: raw log-odds minus those of the record as it is; None for other encoders (other heads, another scale).
        note: why there is no score, or what to know.
    """

    kind: str
    name: str
    score: TaskScore | None
    change: float | None
    note: str = ""


def sensitivity(
    dataset: Any,
    subject_id: int,
    at: datetime,
    encoder: Any,
    head: Head,
    cache: Any = None,
    options: SerializationOptions | None = None,
    lookbacks: Mapping[str, timedelta | None] = LOOKBACKS,
    free_instruction: str = "",
) -> list[Variant]:
    """Scores of one target under other instructions and look-back windows.

    The head stays the one that was trained on the task's instruction and the whole record; a variant shows how the
    model reacts to a reading that it was not trained on.

    Args:
        dataset: an open dataset.
        subject_id: the patient.
        at: prediction time.
        encoder: the head's encoder.
        head: of the target.
        cache: an embedding cache.
        options: of the serialisation; the head's by default.
        lookbacks: windows by id.
        free_instruction: the user's own wording, tried too where it is not empty.
    """
    options = options or options_of(head.identity)
    head.require(feature_identity(encoder, options))
    events = dataset.events(subject_id)
    task = head.subtask.task

    def score(text: str, instruction: str | None) -> TaskScore:
        vector = embed_texts(encoder, [text], instruction, cache)[0]
        return score_vectors({task: vector}, at, {head.key: head})[0]

    own = instruction_for(task, options.strategy) if takes_instruction(encoder) else None
    text = serialize(events, at, dataset.vocabulary, options).text
    base = score(text, own)
    out = []
    wordings = {"task": own, "generic": instruction_for(task, options.strategy, "generic"), "empty": None}
    if free_instruction.strip():
        wordings["own wording"] = free_instruction.strip()
    for name, wording in wordings.items():
        if takes_instruction(encoder):
            variant = score(text, wording)
            out.append(Variant("instruction", name, variant, variant.log_odds - base.log_odds))
        else:
            out.append(Variant("instruction", name, None, None, f"{encoder.spec.name} reads no instruction"))
    for name, window in lookbacks.items():
        try:
            shorter = serialize(events, at, dataset.vocabulary, replace(options, lookback=window)).text
            variant = score(shorter, own)
            out.append(Variant("lookback", LOOKBACK_NAMES.get(name, name), variant, variant.log_odds - base.log_odds))
        except InputError as error:
            out.append(Variant("lookback", LOOKBACK_NAMES.get(name, name), None, None, error.what))
    return out
