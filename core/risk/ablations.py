"""Ablations by name: each makes another feature set with the same runner.

``context=512,1024``, ``chunk=512`` (windows of that many tokens, averaged), ``instruction=task,generic,empty``,
``sections=without,only`` (or ``without:lab_results``), ``lookback=1d,1w,1mo,1y,3y,full``,
``strategy=markdown,recent_codes``, ``profile=paper``, ``encoder=NAME,NAME``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from core.ehr.lookback import LOOKBACKS
from core.ehr.markdown import SerializationOptions
from core.ehr.record import CODE_SECTIONS, MARKDOWN_SECTIONS
from core.embedding.chunks import RULES
from core.embedding.cohort import describe
from core.embedding.registry import EncoderSpec, encoder_specs, get_spec
from core.errors import InputError
from core.progress import Progress
from core.risk.featuresets import FeatureSet
from core.risk.records import INSTRUCTIONS, embed_rows, instruction_for, takes_instruction

CONTEXTS = (512, 1024, 2048, 4096, 8192)
NAMES = ("context", "chunk", "instruction", "sections", "lookback", "strategy", "profile", "encoder")


@dataclass(frozen=True)
class Ablation:
    """One variant of the features.

    Attributes:
        name: as it stands in the results ("context=512").
        encoder: registry entry to read with.
        options: of the serialisation.
        instruction: "task", "generic" or "empty".
    """

    name: str
    encoder: EncoderSpec
    options: SerializationOptions
    instruction: str = "task"


def settings_of(features: FeatureSet) -> tuple[EncoderSpec, SerializationOptions]:
    """Encoder and serialisation that features of `embed` were made with, from their manifest.

    An ablation changes one setting of these; from the registry's and the serialiser's defaults it would change every
    other that the features were made with as well.

    Raises:
        InputError: the manifest does not say them, or no encoder of the registry can be set so.
    """
    about = features.about or {}
    encoder, written = about.get("encoder"), about.get("serialization")
    if not isinstance(encoder, Mapping) or not isinstance(written, Mapping):
        raise InputError(
            f"the features {features.name} do not say how they were made", "ablate features that `embed` wrote"
        )
    try:
        spec = get_spec(str(encoder["name"]))
        chunking, chunk_tokens = str(encoder["chunking"]), int(encoder["chunk_tokens"])
        kind, _, rules = chunking.partition("/")
        if kind == "structure" and rules != str(RULES):
            raise InputError(
                f"the features {features.name} were cut into chunks by other rules than today's",
                "embed the cohort again",
            )
        if (kind, chunk_tokens) != (spec.chunking, spec.chunk_tokens):  # the registry's may have changed since
            spec = replace(spec, chunking=kind, chunk_tokens=chunk_tokens)
        if encoder["max_tokens"] != spec.max_tokens:
            spec = spec.reading(int(encoder["max_tokens"]))
        seconds, keep = written["lookback"], written["keep"]
        options = SerializationOptions(
            profile=written["profile"],
            strategy=written["strategy"],
            drop=tuple(written["drop"]),
            keep=None if keep is None else tuple(keep),
            lookback=None if seconds is None else timedelta(seconds=seconds),
            values=int(written["values"]),
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(f"the manifest of {features.name} is damaged", "embed the cohort again") from None
    return spec, options


def require_encoder(features: FeatureSet, encoder: Any) -> None:
    """Refuse a loaded encoder of another making than that of the features, its settings apart."""
    was, now = (features.about or {}).get("encoder", {}), encoder.identity
    settings = ("max_tokens", "chunking", "chunk_tokens")  # what ablations change
    for name in now.keys() & was.keys() - set(settings):
        if now[name] != was[name]:
            raise InputError(
                f"{name} of the encoder {now['name']} is not that of the features {features.name}",
                "embed the cohort again, or give the encoder that made them",
            )


def parse_ablations(texts: Sequence[str], encoder: EncoderSpec, options: SerializationOptions) -> list[Ablation]:
    """Variants named by ``NAME=VALUE,VALUE`` texts. Unknown names and values: :class:`InputError`."""
    out: list[Ablation] = []
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip()
        if name not in NAMES or not values.strip():
            raise InputError(f"{text!r} names no ablation", f"write NAME=VALUE,... with NAME of {', '.join(NAMES)}")
        for value in dict.fromkeys(part.strip() for part in values.split(",") if part.strip()):
            out += _variants(name, value, encoder, options)
    return list({ablation.name: ablation for ablation in out}.values())


def _variants(name: str, value: str, encoder: EncoderSpec, options: SerializationOptions) -> list[Ablation]:
    label = f"{name}={value}"
    if name == "context":
        if not value.isdecimal() or not 16 <= int(value) <= 131_072:
            raise InputError(f"{value!r} is no context length", f"use numbers of tokens, e.g. {CONTEXTS}")
        return [Ablation(label, encoder.reading(int(value)), options)]
    if name == "chunk":
        if not value.isdecimal():
            raise InputError(f"{value!r} is no chunk length", "use numbers of tokens, e.g. 512")
        return [Ablation(label, encoder.chunked(int(value)), options)]
    if name == "instruction":
        if value not in INSTRUCTIONS:
            raise InputError(f"unknown instruction {value!r}", f"use {', '.join(INSTRUCTIONS)}")
        if not encoder.takes_instruction:
            raise InputError(f"{encoder.name} reads no instruction", "choose another encoder or ablation")
        return [Ablation(label, encoder, options, value)]
    if name == "sections":
        sections = CODE_SECTIONS if options.strategy == "recent_codes" else MARKDOWN_SECTIONS
        how, _, one = value.partition(":")
        if how not in ("without", "only") or (one and one not in sections):
            raise InputError(
                f"unknown sections {value!r}", f"use without, only, or one section like without:{next(iter(sections))}"
            )
        chosen = [one] if one else list(sections)
        changes: list[dict[str, Any]] = [
            {"drop": (*options.drop, s)} if how == "without" else {"keep": (s,)} for s in chosen
        ]
        return [
            Ablation(f"sections={how}:{s}", encoder, replace(options, **change)) for s, change in zip(chosen, changes)
        ]
    if name == "lookback":
        if value not in LOOKBACKS:
            raise InputError(f"unknown look-back {value!r}", f"use {', '.join(LOOKBACKS)}")
        return [Ablation(label, encoder, replace(options, lookback=LOOKBACKS[value]))]
    if name in ("strategy", "profile"):
        change: dict[str, Any] = {name: value}
        return [Ablation(label, encoder, replace(options, **change))]
    specs = encoder_specs()
    if value not in specs:
        raise InputError(f"there is no encoder named {value!r}", f"choose one of {', '.join(specs)}")
    return [Ablation(label, specs[value], options)]


def ablation_features(
    ablation: Ablation,
    encoder: Any,
    dataset: Any,
    tasks: Sequence[str],
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    cache: Any = None,
    progress: Progress | None = None,
) -> FeatureSet:
    """Embed the labelled records under one ablation.

    Args:
        ablation: what to change.
        encoder: loaded from ``ablation.encoder``.
        dataset: an open dataset.
        tasks: task ids.
        rows: (subject, time) of each task's labels.
        cache: an embedding cache.
        progress: by records.
    """
    per_task = takes_instruction(encoder) and ablation.instruction == "task"
    if per_task:
        parts = [(task, *rows[task]) for task in tasks]
    else:
        pairs = np.unique(
            np.stack(
                [
                    np.concatenate([rows[task][0] for task in tasks]),
                    np.concatenate([rows[task][1].astype("datetime64[us]").astype(np.int64) for task in tasks]),
                ],
                axis=1,
            ),
            axis=0,
        )
        parts = [("", pairs[:, 0], pairs[:, 1].astype("datetime64[us]"))]
    matrices = []
    for task, subject, time in parts:
        wording = None
        if takes_instruction(encoder):
            wording = instruction_for(task or tasks[0], ablation.options.strategy, ablation.instruction)
        matrices.append(embed_rows(dataset, encoder, subject, time, ablation.options, wording, cache, progress))
    matrix = np.concatenate(matrices)
    # what no encoder can read in this variant counts as missing, and is named by the run, as where `embed` left it out
    read = np.isfinite(matrix).all(axis=1)
    if not read.any():
        raise InputError(f"no record can be read under {ablation.name}", "choose another ablation")
    subjects, times = (np.concatenate([part[i] for part in parts])[read] for i in (1, 2))
    names = np.concatenate([np.full(len(part[1]), part[0]) for part in parts])[read] if per_task else None
    about = {
        "encoder": encoder.identity,
        "serialization": describe(ablation.options),
        "ablation": ablation.name,
        "instruction": ablation.instruction,
    }
    return FeatureSet(
        ablation.encoder.name,
        ("lr_lbfgs",),
        subjects,
        times,
        names,
        matrix[read],
        variant=ablation.name,
        about=about,
    )
