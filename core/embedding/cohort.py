"""Embedding a cohort: every (subject, prediction time, task) of a dataset's labels, into a features folder.

The work is cut into parts of whole subjects. A part is written when it is done and never computed again, so a run
that was killed goes on where it stopped. Both engines compute the same parts with the same code and give the same
features in the same order: ``local`` in this process, ``ray`` in the actors of core.embedding.ray_engine.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from core.ehr.content import records_sha256
from core.ehr.markdown import SerializationOptions
from core.ehr.record import SERIALIZER
from core.ehr.store import Dataset, open_dataset
from core.ehr.tasks import get_task
from core.ehr.usable_labels import LEFT_OUT, usable_labels
from core.embedding.cache import EmbeddingCache
from core.embedding.cached import AnyEncoder, EmbedStats, embed_plans
from core.embedding.encoders import Piece, load_encoder
from core.embedding.features import (
    ALL_TASKS,
    FORMAT,
    MANIFEST,
    PLAN,
    read_json,
    read_left_out,
    write_json,
    write_part,
)
from core.embedding.parts import Part, PartResult, cut_parts, kept_rows, plan_part
from core.embedding.registry import EncoderSpec, get_spec
from core.errors import InputError
from core.files import remove_leftovers
from core.hashing import file_sha256
from core.progress import Progress

ENGINES = ("local", "ray")
_CHANGED = {
    "records_sha256": "the dataset's events or code descriptions have changed since",
    "serializer": "records are written by other rules since",
    **dict.fromkeys(("rows", "rows_sha256"), "labels of other subjects or times are asked for"),
}
"""What it means for a user that an entry of the plan differs."""


@dataclass(frozen=True)
class EncoderChoice:
    """Which encoder a cohort is embedded with, and how it runs.

    Attributes:
        name: name in the registry.
        chunk: read windows of that many tokens (the paper's ablation); None as registered.
        max_tokens: tokens read of a record; None as registered.
        device, backend, compiled: see ``load_encoder``.
        cache: whether vectors are looked up and kept in the embedding cache.
    """

    name: str
    chunk: int | None = None
    max_tokens: int | None = None
    device: str | None = None
    backend: str = "auto"
    compiled: bool = False
    cache: bool = True

    def spec(self) -> EncoderSpec:
        """The registry entry with this choice's changes. Raises InputError for one that the encoder cannot follow."""
        spec = get_spec(self.name)
        if self.max_tokens is not None:
            if self.max_tokens < 16:
                raise InputError(f"{self.max_tokens} tokens are too few to read a record", "give 16 or more")
            spec = spec.reading(self.max_tokens)
        return spec.chunked(self.chunk) if self.chunk is not None else spec

    def load(self, threads: int | None = None) -> AnyEncoder:
        """Load the encoder."""
        return load_encoder(
            device=self.device, spec=self.spec(), backend=self.backend, threads=threads, compiled=self.compiled
        )


@dataclass(frozen=True)
class CohortReport:
    """What a run did.

    Attributes:
        path: the features folder.
        rows: rows of the whole folder.
        resumed_rows: those that an earlier run had finished.
        seconds: of this run, without loading the encoder.
        stats: tokens and pieces of this run.
        left_out: labels without a record by kind, see :data:`core.ehr.usable_labels.LEFT_OUT`.
    """

    path: Path
    rows: int
    resumed_rows: int
    seconds: float
    stats: EmbedStats
    left_out: dict[str, int]


def embed_cohort(
    dataset: Dataset | Path,
    dest: Path,
    encoder: str | EncoderChoice | None = None,
    tasks: Sequence[str] | None = None,
    engine: str = "local",
    options: SerializationOptions | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> CohortReport:
    """Embed the records of all labelled (subject, time) pairs of a dataset; labels without a record are counted.

    Args:
        dataset: the dataset, or its folder.
        dest: features folder; made here, or one that an interrupted run of the same choice left.
        encoder: encoder name or choice; the settings' encoder by default.
        tasks: task ids; all that the dataset has labels for by default.
        engine: ``local`` or ``ray``.
        options: serialisation.
        workers: actors of the ray engine.
        progress: called with (rows done, rows in all, speed and time left).

    Raises:
        InputError: unknown task or engine, no label with a record, a folder of another run or of the dataset as it
            was before it changed.
        MissingError: weights, server or ray are not there.
    """
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}", f"use one of {', '.join(ENGINES)}")
    if engine == "ray":
        from core.embedding.ray_engine import require_ray

        require_ray()
    dataset = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    options = options or SerializationOptions()
    choice = encoder if isinstance(encoder, EncoderChoice) else EncoderChoice(encoder or get_spec().name)
    spec = choice.spec()
    rows, left_out = cohort_rows(dataset, tasks, spec.takes_instruction)
    loaded = choice.load()
    plan = _plan(dataset, loaded, options, rows, tasks or dataset.tasks())
    _enter(dest, plan)
    remove_leftovers(dest, datetime.now(UTC))
    parts = cut_parts(rows)
    finished = {part.number: read_left_out(dest / part.file, part.rows, loaded.dimension) for part in parts}
    left = [part for part in parts if finished[part.number] is None]
    resumed = len(rows) - sum(len(part.rows) for part in left)
    stats = EmbedStats()
    start = time.monotonic()
    if engine == "ray":
        from core.embedding.ray_engine import run_ray

        results = run_ray(dataset.path, choice, options, left, workers)
    else:
        results = run_local(dataset, loaded, EmbeddingCache() if choice.cache else None, options, left)
    done = resumed
    for result in results:
        part = result.part
        write_part(dest / part.file, kept_rows(part.rows, result.left_out), result.vectors, result.left_out)
        finished[part.number] = result.left_out
        stats.add(result.stats)
        done += len(part.rows)
        if progress:
            elapsed = max(1e-9, time.monotonic() - start)
            left_s = (len(rows) - done) * elapsed / max(1, done - resumed)
            note = f"{stats.computed / elapsed:,.0f} tokens/s, {left_s:,.0f} s left, {stats.saved:.0%} of tokens saved"
            progress(done, len(rows), note)
    seconds = time.monotonic() - start
    kept: dict[str, pl.DataFrame] = {}
    for part in parts:
        without = finished[part.number] or {}
        kept[part.file] = kept_rows(part.rows, without)
        for position, kind in without.items():
            left_out[kind] = left_out.get(kind, 0) + part.rows["labels"][position]
    left_out = {kind: left_out[kind] for kind in LEFT_OUT if kind in left_out}
    n = sum(map(len, kept.values()))
    if not n:
        raise _nothing_left(dataset, left_out)
    _finish(dest, plan, kept, dataset, loaded, left_out)
    return CohortReport(dest, n, n - sum(len(kept[part.file]) for part in left), seconds, stats, left_out)


def cohort_rows(dataset: Dataset, tasks: Sequence[str] | None, by_task: bool) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows to embed, sorted, without repetition, and what is not.

    A row has ``subject_id``, ``prediction_time``, ``task`` and ``labels``, the number of labels that it serves. With
    ``by_task`` False a record is one row, of task ``all``, whatever number of tasks ask for it. Labels without a
    record are left out and counted by kind over all tasks.
    """
    chosen = list(dict.fromkeys(tasks)) if tasks is not None else dataset.tasks()
    if not chosen:
        raise InputError(
            f"{dataset.name} has no labels to embed records for", "import or compute labels, see python -m core import"
        )
    if by_task:
        for task in chosen:
            get_task(task)  # an unknown one has no instruction
    found = [usable_labels(dataset, dataset.labels(task)) for task in chosen]
    names = chosen if by_task else [ALL_TASKS] * len(chosen)
    keys = [
        usable.frame.select("subject_id", "prediction_time", pl.lit(name).alias("task"))
        for usable, name in zip(found, names)
    ]
    columns = ["subject_id", "prediction_time", "task"]
    rows = pl.concat(keys).group_by(columns).agg(pl.len().alias("labels")).sort(columns)
    left_out = {kind: n for kind in LEFT_OUT if (n := sum(usable.left_out.get(kind, 0) for usable in found))}
    if left_out and not len(rows):
        raise _nothing_left(dataset, left_out)
    return rows, left_out


def _nothing_left(dataset: Dataset, left_out: Mapping[str, int]) -> InputError:
    said = " or ".join(LEFT_OUT[kind] for kind in left_out)
    return InputError(f"all labels of {dataset.name} are {said}", "check the labels and the serialisation")


def run_local(
    dataset: Dataset,
    encoder: AnyEncoder,
    cache: EmbeddingCache | None,
    options: SerializationOptions,
    parts: Sequence[Part],
) -> Iterator[PartResult]:
    """Embed parts in this process; the next part is read, written and cut while this one is computed."""
    with ThreadPoolExecutor(1, thread_name_prefix="serialise") as ahead:

        def submit(number: int) -> Future[tuple[list[list[Piece]], dict[int, str]]] | None:
            return ahead.submit(plan_part, dataset, encoder, parts[number], options) if number < len(parts) else None

        coming = submit(0)
        for number, part in enumerate(parts):
            assert coming is not None
            plans, left_out = coming.result()
            coming = submit(number + 1)
            stats = EmbedStats()
            yield PartResult(part, left_out, embed_plans(encoder, plans, cache, stats=stats), stats)


def _plan(
    dataset: Dataset, encoder: AnyEncoder, options: SerializationOptions, rows: pl.DataFrame, tasks: Sequence[str]
) -> dict[str, Any]:
    """What makes a run this run and no other. Neither the engine nor paths are part of it."""
    keys = hashlib.sha256()
    for row in rows.select("subject_id", "prediction_time", "task").iter_rows():
        keys.update(json.dumps([row[0], row[1].isoformat(), row[2]]).encode())
    identity = encoder.cache_identity
    identity.pop("url", None)
    return {
        "format": FORMAT,
        "dataset": dataset.name,
        "records_sha256": records_sha256(dataset),
        "serializer": SERIALIZER,
        "encoder": encoder.identity,
        "backend": identity.get("backend"),
        "precision": identity.get("precision"),
        "serialization": describe(options),
        "rows": len(rows),
        "rows_sha256": keys.hexdigest(),
        "tasks": sorted(set(tasks)),
    }


def describe(options: SerializationOptions) -> dict[str, Any]:
    """Serialisation options as JSON; the look-back in seconds."""
    values = dataclasses.asdict(options)
    lookback = options.lookback.total_seconds() if options.lookback else None
    return values | {"lookback": lookback, "drop": list(options.drop), "keep": options.keep and list(options.keep)}


def _enter(dest: Path, plan: dict[str, Any]) -> None:
    """Make the folder, or see that it holds an unfinished run of the same plan."""
    if (dest / PLAN).is_file():
        there = read_json(dest / PLAN)
        if there != plan:
            differs = next((key for key in plan if there.get(key) != plan[key]), PLAN)
            why = _CHANGED.get(differs, f"its {differs} is different")
            if "records_sha256" not in there:
                why = "an earlier version made them, which did not note on what data"
            raise InputError(f"{dest} holds features of another run ({why})", "choose another --out")
        return
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise InputError(f"{dest} is there and is no features folder", "choose another --out")
    dest.mkdir(parents=True, exist_ok=True)
    write_json(dest / PLAN, plan)


def _finish(
    dest: Path,
    plan: dict[str, Any],
    parts: Mapping[str, pl.DataFrame],
    dataset: Dataset,
    encoder: AnyEncoder,
    left_out: dict[str, int],
) -> None:
    files = [{"file": file, "rows": len(rows), "sha256": file_sha256(dest / file)} for file, rows in parts.items()]
    manifest = plan | {
        "parts": files,
        "dimension": encoder.dimension,
        "left_out": left_out,
        "subjects": int(sum(rows["subject_id"].n_unique() for rows in parts.values())),
        "synthetic": dataset.synthetic,
        "normalised": True,
        "licence": encoder.spec.licence,
        "versions": {name: version(name) for name in ("numpy", "tokenizers", "torch", "transformers", "onnxruntime")},
        "notice": "Research use only, not for diagnosis.",
    }
    if (dest / MANIFEST).is_file():
        there = read_json(dest / MANIFEST)
        if there.get("parts") == files and there.get("left_out") == left_out:
            return
    write_json(dest / MANIFEST, manifest)
