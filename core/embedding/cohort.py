"""Embedding a cohort: every (subject, prediction time, task) of a dataset's labels, into a features folder.

The work is cut into parts of whole subjects. A part is written when it is done and never computed again, so a run
that was killed goes on where it stopped. Both engines compute the same parts with the same code and give the same
features in the same order: ``local`` in this process, ``ray`` in the actors of core.embedding.ray_engine.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from core.ehr.content import records_sha256
from core.ehr.markdown import SerializationOptions, serialize_many
from core.ehr.record import SERIALIZER
from core.ehr.store import Dataset, open_dataset
from core.ehr.tasks import get_task
from core.ehr.usable_labels import LEFT_OUT, usable_labels
from core.embedding.cache import EmbeddingCache
from core.embedding.cached import AnyEncoder, EmbedStats, embed_plans, plan_texts
from core.embedding.checks import check_text
from core.embedding.encoders import Piece, load_encoder
from core.embedding.features import (
    ALL_TASKS,
    FORMAT,
    MANIFEST,
    PLAN,
    part_is_whole,
    read_json,
    write_json,
    write_part,
)
from core.embedding.registry import EncoderSpec, get_spec
from core.errors import InputError
from core.hashing import file_sha256
from core.progress import Progress

ROWS = (64, 1024)  # of a part, at least and at most, unless one subject has more
PARTS = 2000  # of a large cohort
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
class Part:
    """A unit of work: the rows (``subject_id``, ``prediction_time``, ``task``) of consecutive subjects."""

    number: int
    rows: pl.DataFrame

    @property
    def file(self) -> str:
        """Name of the part's file."""
        return f"part-{self.number:05d}.parquet"


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
        InputError: unknown task or engine, no labels, a record that cannot be embedded, a folder of another run or of
            the dataset as it was before it changed.
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
    parts = cut_parts(rows)
    left = [part for part in parts if not part_is_whole(dest / part.file, part.rows, loaded.dimension)]
    resumed = len(rows) - sum(len(part.rows) for part in left)
    stats = EmbedStats()
    start = time.monotonic()
    if engine == "ray":
        from core.embedding.ray_engine import run_ray

        results = run_ray(dataset.path, choice, options, left, workers)
    else:
        results = run_local(dataset, loaded, EmbeddingCache() if choice.cache else None, options, left)
    done = resumed
    for part, vectors, counted in results:
        write_part(dest / part.file, part.rows, vectors)
        stats.add(counted)
        done += len(part.rows)
        if progress:
            elapsed = max(1e-9, time.monotonic() - start)
            left_s = (len(rows) - done) * elapsed / max(1, done - resumed)
            note = f"{stats.computed / elapsed:,.0f} tokens/s, {left_s:,.0f} s left, {stats.saved:.0%} of tokens saved"
            progress(done, len(rows), note)
    seconds = time.monotonic() - start
    _finish(dest, plan, parts, dataset, loaded, left_out)
    return CohortReport(dest, len(rows), resumed, seconds, stats, left_out)


def cohort_rows(dataset: Dataset, tasks: Sequence[str] | None, by_task: bool) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows to embed (``subject_id``, ``prediction_time``, ``task``, sorted, without repetition), and what is not.

    With ``by_task`` False a record is one row, of task ``all``, whatever number of tasks ask for it. Labels without a
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
    rows = pl.concat(keys).unique().sort("subject_id", "prediction_time", "task")
    left_out = {kind: n for kind in LEFT_OUT if (n := sum(usable.left_out.get(kind, 0) for usable in found))}
    if left_out and not len(rows):
        raise InputError(
            f"all labels of {dataset.name} are {' or '.join(LEFT_OUT[kind] for kind in left_out)}", "check the labels"
        )
    return rows, left_out


def cut_parts(rows: pl.DataFrame) -> list[Part]:
    """Cut rows into parts of whole subjects: small ones, so that little is lost in a kill, but not too many files."""
    size = min(max(len(rows) // PARTS, ROWS[0]), ROWS[1])
    counts = rows.group_by("subject_id", maintain_order=True).len()["len"].to_list()
    parts: list[Part] = []
    start = filled = 0
    for count in counts:
        if filled and filled + count > size:
            parts.append(Part(len(parts), rows[start : start + filled]))
            start, filled = start + filled, 0
        filled += count
    return [*parts, Part(len(parts), rows[start:])] if filled else parts


def part_texts(dataset: Dataset, part: Part, options: SerializationOptions) -> list[str]:
    """The record of each row. Raises InputError, with the subject, for one that cannot be embedded."""
    texts: dict[tuple[int, datetime], str] = {}
    times = part.rows.group_by("subject_id", maintain_order=True).agg(pl.col("prediction_time").unique().sort())
    for subject, moments in times.iter_rows():
        try:
            records = serialize_many(dataset.events(subject), moments, dataset.vocabulary, options)
            for moment, record in zip(moments, records, strict=True):
                check_text(record.text)
                texts[subject, moment] = record.text
        except InputError as error:
            raise InputError(f"subject {subject}: {error.what}", error.fix) from error
    return [texts[row["subject_id"], row["prediction_time"]] for row in part.rows.iter_rows(named=True)]


def plan_part(dataset: Dataset, encoder: AnyEncoder, part: Part, options: SerializationOptions) -> list[list[Piece]]:
    """Write a part's records and cut them into the encoder's pieces: all that comes before computing."""
    instructions = [
        None if task == ALL_TASKS else get_task(task).instruction_for(options.strategy)
        for task in part.rows["task"].to_list()
    ]
    return plan_texts(encoder, part_texts(dataset, part, options), instructions)


def run_local(
    dataset: Dataset,
    encoder: AnyEncoder,
    cache: EmbeddingCache | None,
    options: SerializationOptions,
    parts: Sequence[Part],
) -> Iterator[tuple[Part, np.ndarray, EmbedStats]]:
    """Embed parts in this process; the next part is read, written and cut while this one is computed."""
    with ThreadPoolExecutor(1, thread_name_prefix="serialise") as ahead:

        def submit(number: int) -> Future[list[list[Piece]]] | None:
            return ahead.submit(plan_part, dataset, encoder, parts[number], options) if number < len(parts) else None

        coming = submit(0)
        for number, part in enumerate(parts):
            assert coming is not None
            plans = coming.result()
            coming = submit(number + 1)
            stats = EmbedStats()
            yield part, embed_plans(encoder, plans, cache, stats=stats), stats


def _plan(
    dataset: Dataset, encoder: AnyEncoder, options: SerializationOptions, rows: pl.DataFrame, tasks: Sequence[str]
) -> dict[str, Any]:
    """What makes a run this run and no other. Neither the engine nor paths are part of it."""
    keys = hashlib.sha256()
    for row in rows.iter_rows():
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
    parts: list[Part],
    dataset: Dataset,
    encoder: AnyEncoder,
    left_out: dict[str, int],
) -> None:
    files = [{"file": part.file, "rows": len(part.rows), "sha256": file_sha256(dest / part.file)} for part in parts]
    manifest = plan | {
        "parts": files,
        "dimension": encoder.dimension,
        "left_out": left_out,
        "subjects": int(sum(part.rows["subject_id"].n_unique() for part in parts)),
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
    for leftover in dest.glob(".*.part"):  # of a run that was killed while it wrote
        leftover.unlink(missing_ok=True)
    write_json(dest / MANIFEST, manifest)
