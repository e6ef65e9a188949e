"""Which feature sets a benchmark runs on, from what the command line names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.progress import terminal_bar
from core.risk.ablations import ablation_features, parse_ablations
from core.risk.cohort import Problem, TaskLabels
from core.risk.featuresets import FeatureSet, join, read_embedded, read_precomputed
from core.risk.runner import count_feature_set, safe
from core.risk.units import HEADS

COUNT = "count"
CLMBR = "clmbr"


def choose_models(
    dataset: Any,
    labels: dict[str, TaskLabels],
    features: Sequence[str],
    clmbr: Path | None,
    models: str | None,
    ablate: Sequence[str],
    encoder: str | None,
    problems: list[Problem],
    ablation_shots: tuple[int, ...] | None = None,
    shots: Mapping[str, Sequence[int]] | None = None,
) -> list[FeatureSet]:
    """The feature sets to run, in the order in which they are named.

    Args:
        dataset: an open dataset.
        labels: usable labels by task.
        features: ``[NAME=]PATH`` of features written by `embed`, or of precomputed vectors.
        clmbr: file of CLMBR features.
        models: names to run, all by default: names of features, ``count``, ``clmbr``, ``NAME:HEAD``, ``A+B``.
        ablate: ablations as ``NAME=VALUE,VALUE``.
        encoder: encoder of the ablations.
        problems: what is wrong with a feature file is appended, so that the others still run.
        ablation_shots: values of k that ablations are run with; None for those of the run.
        shots: values of k of single models, by their names in ``models``.

    Raises:
        InputError: an unknown name, or nothing left to run.
    """
    known: dict[str, FeatureSet] = {}
    failed: set[str] = set()
    for text in features:
        name, _, path = text.rpartition("=")
        read = _reader(Path(path), name)
        found = safe(read, name or Path(path).name, problems)
        if found is None:
            failed.add(name or Path(path).stem)
        else:
            known[found.name] = found
    if clmbr is not None:
        found = safe(lambda: read_precomputed(clmbr, CLMBR), CLMBR, problems)
        if found is None:
            failed.add(CLMBR)
        else:
            known[CLMBR] = found
    wanted = [part.strip() for part in models.split(",") if part.strip()] if models else [*known, COUNT]
    out: list[FeatureSet] = []
    shots = shots or {}
    strange = [name for name in shots if name not in wanted]
    if strange:
        raise InputError(f"--shots names {strange[0]!r}, which is not run", f"use one of {', '.join(wanted)}")
    for name in wanted:
        if name in failed:
            continue
        one = _one(name, known, dataset, labels)
        out.append(replace(one, shots=tuple(shots[name])) if name in shots else one)
    if ablate:
        out += [replace(one, shots=ablation_shots) for one in _ablated(ablate, encoder, dataset, labels)]
    if not out:
        raise InputError("there is no model to run", "give --features that can be read, or --models count")
    return out


def _reader(path: Path, name: str) -> Any:
    if path.is_file() and path.suffix == ".npz":
        return lambda: read_precomputed(path, name or path.stem)
    return lambda: read_embedded(path, name or None)


def _one(name: str, known: dict[str, FeatureSet], dataset: Any, labels: dict[str, TaskLabels]) -> FeatureSet:
    base, _, head = name.partition(":")
    if head and head not in HEADS:
        raise InputError(f"unknown head {head!r}", f"use {' or '.join(HEADS)}")
    if "+" in base:
        parts = base.split("+")
        missing = [part for part in parts if part not in known]
        if missing:
            raise InputError(
                f"there are no features named {missing[0]!r} to join", f"known: {', '.join(known) or '-'}"
            )
        found = join([known[part] for part in parts])
    elif base == COUNT:
        if COUNT not in known:
            with terminal_bar("count features", "subjects") as progress:
                known[COUNT] = count_feature_set(dataset, labels, progress=progress)
        found = known[COUNT]
    elif base in known:
        found = known[base]
    else:
        names = ", ".join([*known, COUNT])
        raise InputError(f"there is no model named {base!r}", f"use one of {names}, or give its --features")
    return replace(found, heads=(head,)) if head else found


def _ablated(
    ablate: Sequence[str], encoder: str | None, dataset: Any, labels: dict[str, TaskLabels]
) -> list[FeatureSet]:
    from core.ehr.markdown import SerializationOptions
    from core.embedding.cache import EmbeddingCache
    from core.embedding.encoders import load_encoder
    from core.embedding.registry import get_spec

    cache = EmbeddingCache()
    rows = {task: (of_task.subject, of_task.time) for task, of_task in labels.items()}
    out = []
    for ablation in parse_ablations(ablate, get_spec(encoder), SerializationOptions()):
        loaded = load_encoder(spec=ablation.encoder)
        with terminal_bar(ablation.name, "records") as progress:
            out.append(ablation_features(ablation, loaded, dataset, list(labels), rows, cache, progress))
    return out
