"""Which feature sets a benchmark runs on, from what the command line names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.ehr.markdown import SerializationOptions
from core.errors import InputError
from core.progress import terminal_bar
from core.risk.ablations import Ablation, ablation_features, parse_ablations, require_encoder, settings_of
from core.risk.cohort import Problem, TaskLabels
from core.risk.featuresets import FeatureSet, join, read_embedded, read_precomputed, require_distinct
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
        encoder: encoder of the ablations; the settings' by default.
        problems: what is wrong with a feature file is appended, so that the others still run.
        ablation_shots: values of k that ablations are run with; None for those of the run.
        shots: values of k of single models, by their names in ``models``.

    Raises:
        InputError: an unknown name, two features of one name, ablations of features that do not say how they were
            made or that another encoder made, or nothing left to run.
    """
    known: dict[str, FeatureSet] = {}
    failed: set[str] = set()
    for text in features:
        name, _, path = text.rpartition("=")
        read = _reader(Path(path), name)
        found = safe(read, name or Path(path).name, problems)
        _add(found, found.name if found else name or Path(path).stem, known, failed)
    if clmbr is not None:
        _add(safe(lambda: read_precomputed(clmbr, CLMBR), CLMBR, problems), CLMBR, known, failed)
    planned = _planned(ablate, encoder, known, bool(failed))  # before any computing: a mistake is told at once
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
    require_distinct(out)
    out += [replace(one, shots=ablation_shots) for one in _ablated(*planned, dataset, labels)]
    if not out:
        raise InputError("there is no model to run", "give --features that can be read, or --models count")
    return out


def _add(found: FeatureSet | None, name: str, known: dict[str, FeatureSet], failed: set[str]) -> None:
    """Put features under their name, which must be free: results are told apart by it."""
    if name == COUNT:
        raise InputError(f"a features folder is named {COUNT}, as the count features are", "write NAME=PATH")
    if name in known or name in failed:
        raise InputError(f"two feature folders are both named {name}", "write NAME=PATH to tell them apart")
    if found is None:
        failed.add(name)
    else:
        known[name] = found


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


def _planned(
    ablate: Sequence[str], encoder: str | None, known: Mapping[str, FeatureSet], failed: bool
) -> tuple[FeatureSet | None, list[Ablation]]:
    """The features that ablations are compared with, None without any, and the ablations of their settings."""
    from core.embedding.registry import get_spec

    if not ablate:
        return None, []
    spec, options = get_spec(encoder), SerializationOptions()
    given = [one for name, one in known.items() if name != CLMBR]
    if not given and failed:
        raise InputError("none of the features can be read that ablations would be compared with", "mend --features")
    if not given:
        return None, parse_ablations(ablate, spec, options)
    bases = [one for one in given if _encoder_of(one) == spec.name]
    if not bases:
        made = {one.name: _encoder_of(one) or "an encoder that they do not name" for one in given}
        said = ", ".join(f"{name} of {by}" for name, by in made.items())
        raise InputError(
            f"the ablations' encoder {spec.name} made none of the features ({said})",
            "give --encoder with the one that made them, or features that it embedded",
        )
    if len(bases) > 1:
        raise InputError(
            f"the features {bases[0].name} and {bases[1].name} are both of {spec.name}", "ablate one at a time"
        )
    return bases[0], parse_ablations(ablate, *settings_of(bases[0]))


def _encoder_of(features: FeatureSet) -> str | None:
    encoder = (features.about or {}).get("encoder")
    return str(encoder.get("name")) if isinstance(encoder, Mapping) else None


def _ablated(
    base: FeatureSet | None, ablations: Sequence[Ablation], dataset: Any, labels: dict[str, TaskLabels]
) -> list[FeatureSet]:
    from core.embedding.cache import EmbeddingCache
    from core.embedding.encoders import load_encoder

    if not ablations:
        return []
    cache = EmbeddingCache()
    rows = {task: (of_task.subject, of_task.time) for task, of_task in labels.items()}
    out = []
    for ablation in ablations:
        loaded = load_encoder(spec=ablation.encoder)
        same = base is not None and ablation.encoder.name == _encoder_of(base)
        if base is not None and same:
            require_encoder(base, loaded)
        with terminal_bar(ablation.name, "records") as progress:
            one = ablation_features(ablation, loaded, dataset, list(labels), rows, cache, progress)
        out.append(replace(one, name=base.name) if base is not None and same else one)
    return out
