"""The cohort engine on Ray Data: actors on this machine or a cluster, each with its own copy of the encoder.

Ray is an extra (``requirements-ray.txt``). A part goes to one actor; an actor that dies is started again and its part
is given out again. On a cluster the dataset's folder must be readable at the same path by every machine; the
embedding cache is each machine's own.
"""

import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from core.ehr.markdown import SerializationOptions
from core.embedding.cached import EmbedStats, embed_plans
from core.embedding.parts import Part, PartResult, plan_part
from core.errors import ChartlightError, InputError, MissingError
from core.settings import PROJECT_ROOT


def require_ray() -> None:
    """Raise MissingError, with the command, when ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise MissingError("ray is not installed", f"run: {sys.executable} -m pip install -r requirements-ray.txt")


class PartWorker:
    """An actor: the encoder, the dataset and the cache, opened once."""

    def __init__(self, path: Path, choice: Any, options: SerializationOptions, threads: int):
        from core.ehr.store import open_dataset
        from core.embedding.cache import EmbeddingCache

        self.dataset = open_dataset(path)
        self.encoder = choice.load(threads)
        self.cache = EmbeddingCache() if choice.cache else None
        self.options = options

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embed one part: its number and rows in, its number and vectors out, or the error that it gave."""
        number = int(batch["number"][0])
        part = Part(number, pl.read_ipc(bytes(batch["rows"][0])))
        stats = EmbedStats()
        try:
            plans, left_out = plan_part(self.dataset, self.encoder, part, self.options)
            vectors = embed_plans(self.encoder, plans, self.cache, stats=stats)
        except ChartlightError as error:  # reported, not retried: it would fail again
            return _answer(number, b"", {}, [0, 0, 0, 0], [error.what, error.fix])
        counts = [stats.tokens, stats.computed, stats.pieces, stats.computed_pieces]
        return _answer(number, vectors.tobytes(), left_out, counts, ["", ""])


def _answer(number: int, vectors: bytes, left_out: dict[int, str], stats: list[int], error: list[str]) -> dict:
    """What a worker gives back for a part, as a batch of one row."""
    noted = json.dumps(list(left_out.items()))
    return {"number": [number], "vectors": [vectors], "left_out": [noted], "stats": [stats], "error": [error]}


def run_ray(
    path: Path, choice: Any, options: SerializationOptions, parts: Sequence[Part], workers: int
) -> Iterator[PartResult]:
    """Embed parts with ``workers`` actors, in whatever order they finish.

    Joins the cluster of ``RAY_ADDRESS`` or the one that is running in this process; else starts Ray on this machine
    and stops it at the end.
    """
    require_ray()
    if workers < 1:
        raise InputError(f"{workers} workers cannot work", "give 1 or more")
    if not parts:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing phones home
    import ray

    started = not ray.is_initialized()
    if started:
        _start(ray, workers)
    try:
        yield from _results(ray, path, choice, options, parts, workers)
    finally:
        if started:
            ray.shutdown()


def _start(ray: Any, workers: int) -> None:
    own = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([str(PROJECT_ROOT), *([own] if own else [])])  # the workers' replaces the one they inherit
    environment = {"env_vars": {"PYTHONPATH": paths}}
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init(num_cpus=max(workers, os.cpu_count() or 1), include_dashboard=False, **quiet)


def _results(
    ray: Any, path: Path, choice: Any, options: SerializationOptions, parts: Sequence[Part], workers: int
) -> Iterator[PartResult]:
    from core.embedding.onnx_backend import available_threads

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context.execution_options.preserve_order = False
    workers = min(workers, len(parts))
    by_number = {part.number: part for part in parts}
    items = [{"number": part.number, "rows": _ipc(part.rows)} for part in parts]
    gpus = _gpus_each(ray, choice, workers)
    done = (
        ray.data.from_items(items, override_num_blocks=len(items))
        .map_batches(
            PartWorker,
            fn_constructor_args=(Path(path).resolve(), choice, options, max(1, available_threads() // workers)),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
            num_cpus=1,
            num_gpus=gpus,
        )
        .iter_rows()
    )
    for row in done:
        what, fix = row["error"]
        if what:
            raise InputError(str(what), str(fix))
        part = by_number[int(row["number"])]
        left_out = {int(position): str(kind) for position, kind in json.loads(row["left_out"])}
        vectors = np.frombuffer(row["vectors"], dtype=np.float32).reshape(len(part.rows) - len(left_out), -1)
        yield PartResult(part, left_out, vectors, EmbedStats(*map(int, row["stats"])))


def _gpus_each(ray: Any, choice: Any, workers: int) -> float:
    """Share of the cluster's GPUs that an actor takes: a whole one where there are enough."""
    if choice.device == "cpu":
        return 0
    gpus = ray.cluster_resources().get("GPU", 0)
    return min(1.0, gpus / workers) if gpus else 0


def _ipc(rows: pl.DataFrame) -> bytes:
    return rows.write_ipc(None).getvalue()
