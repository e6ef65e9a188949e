"""Which sections of the record move a score: leave one out, and one alone, in log-odds.

Each ablated record is serialised again without (or with only) a section and embedded through the cache, so an encoder
that reads chunks computes only the chunks that are new. The change in raw log-odds explains the model, not the
disease. The noise floor says what change the model makes for nothing: the same record with its past
visits' bullets in another order, which carries the same facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from core.ehr.markdown import Record, SerializationOptions, serialize
from core.ehr.record import CODE_SECTIONS, HEADER, MARKDOWN_SECTIONS
from core.risk.heads import Head
from core.risk.records import embed_for_tasks, options_for

NOISE_COPIES = 8


@dataclass(frozen=True)
class SectionEffect:
    """What one section does to one score.

    Attributes:
        section: section id.
        title: as it stands in the record.
        characters: length of the section's text; 0 where it is empty.
        without: raw log-odds of the record without the section, minus that of the whole record.
        only: raw log-odds of the record with only this section, minus that of the whole record.
        above_noise: whether ``without`` is larger than the noise floor.
    """

    section: str
    title: str
    characters: int
    without: float
    only: float
    above_noise: bool


@dataclass(frozen=True)
class Attribution:
    """Section effects on one target.

    Attributes:
        key: sub-task key.
        log_odds: raw log-odds of the whole record.
        noise: 95 % quantile of the absolute change over neutral rewrites of the same record.
        effects: one a section, in the record's order.
    """

    key: str
    log_odds: float
    noise: float
    effects: tuple[SectionEffect, ...]


def section_attribution(
    dataset: Any,
    subject_id: int,
    at: datetime,
    encoder: Any,
    heads: Mapping[str, Head],
    cache: Any = None,
    options: SerializationOptions | None = None,
    events: Any = None,
) -> dict[str, Attribution]:
    """Attribution of the scores of these heads, by sub-task key; one embedding run for all of them.

    Args:
        dataset: an open dataset.
        subject_id: the patient.
        at: prediction time.
        encoder: the heads' encoder.
        heads: those to explain.
        cache: an embedding cache.
        options: of the serialisation; the heads' by default.
        events: the subject's events, where they are at hand (or edited).

    Raises:
        InputError: no heads, heads of another encoder, unknown subject.
    """
    options = options_for(heads, encoder, options)
    events = dataset.events(subject_id) if events is None else events
    sections = CODE_SECTIONS if options.strategy == "recent_codes" else MARKDOWN_SECTIONS

    whole = serialize(events, at, dataset.vocabulary, options)
    without, only = _ablated(whole, sections, events, dataset.vocabulary)
    neutral = neutral_rewrites(whole)
    texts = [whole.text, *without, *only, *neutral]
    tasks = list(dict.fromkeys(head.subtask.task for head in heads.values()))
    vectors = embed_for_tasks(encoder, texts, tasks, options, cache)
    lengths = {section.id: len(section.text) for section in whole.sections()}
    k = len(sections)
    out = {}
    for key, head in heads.items():
        raw = head.raw(vectors[head.subtask.task])
        change = raw - raw[0]
        noise = float(np.quantile(np.abs(change[1 + 2 * k :]), 0.95)) if neutral else 0.0
        effects = tuple(
            SectionEffect(
                section,
                title,
                lengths.get(section, 0),
                float(change[1 + i]),
                float(change[1 + k + i]),
                bool(abs(change[1 + i]) > noise),
            )
            for i, (section, title) in enumerate(sections.items())
        )
        out[key] = Attribution(key, float(raw[0]), noise, effects)
    return out


def _ablated(whole: Record, sections: Mapping[str, str], events: Any, vocabulary: Any) -> tuple[list[str], list[str]]:
    """Texts without each section, and with only it: those of ``drop`` and ``keep``, but for line breaks at the end."""
    options = whole.options
    if options.strategy == "markdown":  # a section is a run of lines, so leaving it out needs no second serialising
        lines = list(zip(whole.texts, whole.section_of))
        without = ["\n".join(text for text, of in lines if of != section) for section in sections]
        only = ["\n".join(text for text, of in lines if of in (HEADER, section)) for section in sections]
        return without, only

    def text(**changes: Any) -> str:
        return serialize(events, whole.at, vocabulary, replace(options, **changes)).text

    return [text(drop=(*options.drop, s)) for s in sections], [text(keep=(s,)) for s in sections]


def neutral_rewrites(record: Record, copies: int = NOISE_COPIES) -> list[str]:
    """The same record with runs of bullet lines in another order: the same facts in other words for the encoder.

    Bullets move only within their own run (the lines between two headings or blank lines). A record without two
    bullets in a row has no neutral rewrite.
    """
    lines = record.text.split("\n")
    runs: list[tuple[int, int]] = []
    start = None
    for i, line in enumerate([*lines, ""]):
        bullet = line.startswith("- ") if record.options.strategy == "markdown" else bool(line.strip())
        if bullet and start is None:
            start = i
        elif not bullet and start is not None:
            if i - start > 1:
                runs.append((start, i))
            start = None
    if not runs:
        return []
    out: list[str] = []
    for seed in range(copies):
        rng, copy = np.random.default_rng(seed), list(lines)
        # one run a copy is moved, the largest first: small, cheap changes whose chunks are few
        low, high = sorted(runs, key=lambda run: run[0] - run[1])[seed % len(runs)]
        copy[low:high] = [lines[low + i] for i in rng.permutation(high - low)]
        out.append("\n".join(copy))
    return list(dict.fromkeys(text for text in out if text != record.text))
