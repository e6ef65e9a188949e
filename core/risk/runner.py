"""The benchmark: every head on every feature set for every task and number of shots, resumable, honest about input.

Work is cut into units (:mod:`core.risk.units`); two run at a time with single-threaded linear algebra. Each finished
unit is a file under ``OUT/units``; the tables are written when all units are done. Nothing that is wrong with the
input stops the rest: it becomes a :class:`~core.risk.cohort.Problem` in ``problems.csv`` and in the report.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from core.errors import ChartlightError, InputError
from core.files import remove_leftovers, write_atomic, write_table
from core.progress import Progress, silent
from core.risk.cohort import Problem, TaskLabels, load_task_labels, unique_times
from core.risk.counts import CountOptions, count_features
from core.risk.featuresets import FeatureSet, require_distinct
from core.risk.fewshot import ALL, Shots, make_shots, read_shots_file, shots_from_json, shots_to_json
from core.risk.model_names import features_name, model_key, model_name
from core.risk.results import COLUMNS, differences_table, groups_table, predictions_table, result_rows, results_table
from core.risk.run_record import describe_dataset, describe_run, read_record, write_record
from core.risk.subtasks import SUBTASK_BY_KEY
from core.risk.units import VERSION, UnitResult, UnitSpec, fingerprint, load_unit, run_unit, save_unit

SHOTS_FILE = "all_shots_data.json"
FINISHED = "results.parquet"
"""Written last: a folder without it holds no finished run."""
_OURS = ("units", "shots", FINISHED)
"""What a run has written first of all, by where it was stopped."""


@dataclass(frozen=True)
class RunOptions:
    """How a benchmark runs.

    Attributes:
        shots: values of k; -1 for all training data.
        paper_exact: reproduce the quirks of the paper's code (see :func:`core.risk.fit.fit_logistic`).
        replicates: of the patient-level bootstrap.
        seed: of the resamples.
        shots_data: folder with ``<task>/all_shots_data.json`` of a release; by default those that lie beside the
            dataset's labels, and our own draws where there are none.
        workers: units at a time; the number of cores at most.
    """

    shots: tuple[int, ...] = (ALL,)
    paper_exact: bool = False
    replicates: int = 1000
    seed: int = 0
    shots_data: Path | None = None
    workers: int = 2


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """What a run gives; the same tables lie in the output folder.

    Attributes:
        results: one row a sub-task, model, head, replicate, k and score.
        groups: group and macro values.
        differences: paired differences between models.
        problems: everything that was wrong with the input.
        computed: units that this run computed.
        reused: units that an earlier run had finished.
        record: what ``run.json`` says (:mod:`core.risk.run_record`); None for a run of an older version.
    """

    results: pl.DataFrame
    groups: pl.DataFrame
    differences: pl.DataFrame
    problems: list[Problem]
    computed: int
    reused: int
    record: dict[str, Any] | None = None


def load_labels(dataset: Any, tasks: Sequence[str]) -> tuple[dict[str, TaskLabels], list[Problem]]:
    """Usable labels of each task and what was wrong with the others."""
    labels, problems = {}, []
    for task in tasks:
        loaded, wrong = load_task_labels(dataset, task)
        problems += wrong
        if len(loaded):
            labels[task] = loaded
    return labels, problems


def count_feature_set(
    dataset: Any,
    labels: dict[str, TaskLabels],
    heads: tuple[str, ...] = ("gbm", "lr_lbfgs"),
    options: CountOptions | None = None,
    progress: Progress | None = None,
) -> FeatureSet:
    """Count features of all labelled rows, learned on the train split."""
    subject, time = unique_times(list(labels.values()))
    splits = dict(dataset.splits().iter_rows())
    train = np.array([splits.get(int(s)) == "train" for s in subject])
    counted = count_features(dataset, subject, time, train, options, progress)
    about = {"columns": len(counted.names), "options": vars(options or CountOptions())}
    return FeatureSet("count", heads, subject, time, None, counted.matrix, about=about)


def draw_shots(
    labels: TaskLabels, options: RunOptions, out: Path, rows: np.ndarray, shipped: Path | None = None
) -> tuple[dict[str, list[Shots]], list[Problem]]:
    """Few-shot draws of each sub-task: read from a release where it has them, made and kept otherwise.

    Args:
        labels: of the task.
        options: of the run.
        out: output folder; draws are kept in ``out/shots/<task>/all_shots_data.json``.
        rows: bool ``(n,)`` labels that every model has features for, the only ones drawn from.
        shipped: the dataset's own ``all_shots_data.json``, which an import of EHRSHOT keeps beside the labels.
    """
    wanted = [k for k in options.shots if k != ALL]
    shots: dict[str, list[Shots]] = {}
    problems: list[Problem] = []
    if not wanted:
        return shots, problems
    given = options.shots_data / labels.task / SHOTS_FILE if options.shots_data else shipped
    if options.shots_data and given and not given.is_file():
        message = f"{options.shots_data.name} has no {labels.task}/{SHOTS_FILE}; our own draws were used"
        problems.append(Problem(labels.task, "shots_file", 0, message))
    if given is not None and given.is_file():
        try:
            data = read_shots_file(given)
            for key, target in labels.target.items():
                name = SUBTASK_BY_KEY[key].paper_name
                shots[key] = shots_from_json(data, name, labels.subject, labels.time, target, labels.split)
            given_k: list[set[int]] = [{shot.k for shot in drawn} for drawn in shots.values()]
            lacking = sorted(k for k in set(wanted) if not all(k in each for each in given_k))
            if not lacking:
                return shots, problems
            message = f"the few-shot file has no draws for k = {', '.join(map(str, lacking))}; our own draws were used"
            problems.append(Problem(labels.task, "shots_file", len(lacking), message))
            shots = {}
        except InputError as error:
            message = f"{error.what}; our own draws were used"
            problems.append(Problem(labels.task, "shots_file", 0, message))
            shots = {}
    made: dict[str, Any] = {}
    train, tuning = (np.flatnonzero((labels.split == split) & rows) for split in ("train", "tuning"))
    for key, target in labels.target.items():
        try:
            shots[key] = make_shots(target, train, tuning, wanted)
            made[SUBTASK_BY_KEY[key].paper_name] = shots_to_json(labels.subject, labels.time, target, shots[key])
        except InputError as error:
            problems.append(Problem(key, "one_class", len(target), f"no few-shot draws: {error.what}"))
    write_atomic(out / "shots" / labels.task / SHOTS_FILE, json.dumps(made).encode())
    return shots, problems


def run_benchmark(
    dataset: Any,
    features: Sequence[FeatureSet],
    out: Path,
    tasks: Sequence[str],
    options: RunOptions | None = None,
    progress: Progress | None = None,
    labels: dict[str, TaskLabels] | None = None,
    problems: Sequence[Problem] = (),
    command: str = "",
) -> BenchmarkResult:
    """Run the whole benchmark and write its tables into ``out``.

    Args:
        dataset: an open dataset with labels and splits.
        features: feature sets, each with its heads.
        out: output folder; made when missing, continued when an earlier run was stopped.
        tasks: task ids.
        options: of the run.
        progress: by units.
        labels: loaded already; read from the dataset otherwise.
        problems: found before.
        command: that this is run by, for the record.

    Raises:
        InputError: no feature set, no usable label of any task, or ``out`` holds something else than a run.
    """
    options, progress, out = options or RunOptions(), progress or silent, Path(out)
    started = datetime.now(UTC)
    wrong = list(problems)
    if labels is None:
        labels, found = load_labels(dataset, tasks)
        wrong += found
    if not features:
        raise InputError("there is no model to run", "give features, or name count among the models")
    require_distinct(features)
    if out.is_dir() and any(out.iterdir()) and not any((out / name).exists() for name in _OURS):
        raise InputError(f"{out} holds other files and no benchmark", "choose a new folder, or one of a stopped run")
    for folder in (out, out / "units"):
        remove_leftovers(folder, started)
    if not labels:
        raise InputError(f"{dataset.name} has no usable label of these tasks", "check labels and splits")
    about = describe_dataset(dataset, list(labels))
    positions, missing = _match(features, labels)
    wrong += missing
    shots_of = [options.shots if one.shots is None else one.shots for one in features]
    to_draw = replace(options, shots=tuple(dict.fromkeys(k for of_set in shots_of for k in of_set)))
    jobs = []
    for task, of_task in labels.items():
        has = [positions[i, task] >= 0 for i in range(len(features))]
        # a model without any features of the task is not run on it, and must not take the draws from the others
        everywhere = np.logical_and.reduce([one for one in has if one.any()] or [has[0]])
        shipped = Path(dataset.path) / "labels" / task / SHOTS_FILE if dataset is not None else None
        shots, bad = draw_shots(of_task, to_draw, out, everywhere, shipped)
        wrong += bad
        label_print = fingerprint(of_task.subject, of_task.time, of_task.split, *of_task.target.values())
        for i, feature_set in enumerate(features):
            for head in feature_set.heads:
                for k in shots_of[i]:
                    spec = UnitSpec(
                        task,
                        feature_set.name,
                        feature_set.variant,
                        head,
                        k,
                        options.paper_exact,
                        options.replicates,
                        options.seed,
                    )
                    drawn = [] if k == ALL else [shots.get(key, []) for key in of_task.target]
                    jobs.append((spec, of_task, i, shots, label_print, drawn))
    prints = [
        fingerprint(fs.matrix, fs.subject, fs.time, [] if fs.task is None else fs.task.tolist()) for fs in features
    ]
    results: dict[int, UnitResult] = {}
    computed = 0

    def work(job: tuple) -> tuple[UnitResult, bool]:
        spec, of_task, i, shots, label_print, drawn = job
        draw_print = [[s.k, s.replicate, s.train.tolist(), s.validation.tolist()] for part in drawn for s in part]
        draw_print = [entry for entry in draw_print if entry[0] == spec.k]
        name = fingerprint(VERSION, vars(spec), label_print, prints[i], draw_print)[:24]
        path = out / "units" / f"{spec.task}.{name}.npz"
        done = load_unit(spec, path)
        if done is not None:
            return done, False
        result = run_unit(spec, of_task, features[i].matrix, positions[i, spec.task], shots)
        save_unit(result, path)
        return result, True

    workers = max(1, min(options.workers, os.cpu_count() or 1))
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(work, job): n for n, job in enumerate(jobs)}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                n = futures[future]
                results[n], fresh = future.result()
                computed += fresh
                spec = jobs[n][0]
                progress(done, len(jobs), f"{spec.task} {spec.model} {spec.head} k={spec.k}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    units = [results[n] for n in range(len(jobs))]
    wrong += [problem for unit in units for problem in unit.problems]
    told = {
        "shots": ["all" if k == ALL else k for k in options.shots],
        "bootstrap_replicates": options.replicates,
        "seed": options.seed,
        "paper_exact": options.paper_exact,
        "shots_data": options.shots_data.name if options.shots_data else None,
    }
    reused = len(jobs) - computed
    record = describe_run(about, labels, features, told, command, started, (computed, reused))
    return _write(out, units, labels, _merged(wrong), computed, reused, record)


def _match(
    features: Sequence[FeatureSet], labels: dict[str, TaskLabels]
) -> tuple[dict[tuple[int, str], np.ndarray], list[Problem]]:
    """Feature row of each label, and what has none."""
    positions, problems = {}, []
    for i, feature_set in enumerate(features):
        bad = (feature_set.about or {}).get("rows_not_finite", 0)
        if bad:
            name = features_name(feature_set.name)
            message = f"{bad} feature rows of {name} hold values that are not finite and count as missing"
            problems.append(Problem(feature_set.name, "missing_features", int(bad), message))
        for task, of_task in labels.items():
            found = feature_set.find(task, of_task.subject, of_task.time)
            positions[i, task] = found
            n = int((found < 0).sum())
            if n:
                by_split = {
                    s: int(((found < 0) & (of_task.split == s)).sum()) for s in ("train", "tuning", "held_out")
                }
                parts = ", ".join(f"{count} {split}" for split, count in by_split.items() if count)
                name = model_name(model_key(feature_set.name, variant=feature_set.variant))
                message = f"{name}: no features for {n} of {len(found)} labels ({parts}); they were left out for it"
                problems.append(Problem(task, "missing_features", n, message))
    return positions, problems


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))


def _write(
    out: Path,
    units: Sequence[UnitResult],
    labels: dict[str, TaskLabels],
    problems: list[Problem],
    computed: int,
    reused: int,
    record: dict[str, Any],
) -> BenchmarkResult:
    """Make the tables and write them, with those of the results last: a folder that has them is whole."""
    results = results_table([row for unit in units for row in result_rows(unit, labels[unit.spec.task])])
    groups = groups_table(results)
    with threadpool_limits(1):
        differences = differences_table(units, labels)
    predictions = pl.concat([predictions_table(unit, labels[unit.spec.task]) for unit in units])
    problem_table = pl.DataFrame(
        [vars(problem) for problem in problems],
        schema={"task": pl.String, "kind": pl.String, "count": pl.Int64, "message": pl.String},
    )
    for stale in (FINISHED, "report.html"):  # tables of two runs must not pass for one after a kill
        (out / stale).unlink(missing_ok=True)
    write_table(out / "predictions.parquet", predictions)
    for name, table in (("groups", groups), ("differences", differences), ("problems", problem_table)):
        write_table(out / f"{name}.parquet", table)
        write_table(out / f"{name}.csv", table)
    write_record(record, out)
    write_table(out / "results.csv", results)
    write_table(out / FINISHED, results)
    return BenchmarkResult(results, groups, differences, problems, computed, reused, record)


def read_result(out: Path) -> BenchmarkResult:
    """The tables of a finished run. Not there or damaged: :class:`InputError`."""
    out = Path(out)
    try:
        tables = {
            name: pl.read_parquet(out / f"{name}.parquet", glob=False)
            for name in ("results", "groups", "differences", "problems")
        }
        problems = [Problem(**row) for row in tables["problems"].iter_rows(named=True)]
        tables["results"].select(COLUMNS)
    except (OSError, TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{out.name} holds no finished benchmark ({type(error).__name__})",
            "run `python -m core benchmark ... --out` to its end first",
        ) from None
    record = read_record(out)
    return BenchmarkResult(tables["results"], tables["groups"], tables["differences"], problems, 0, 0, record)


def read_predictions(out: Path) -> pl.DataFrame:
    """Every prediction of a finished run, for curves and subgroups."""
    try:
        return pl.read_parquet(Path(out) / "predictions.parquet", glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{Path(out).name} has no predictions ({type(error).__name__})", "run the benchmark"
        ) from None


def safe(read: Any, what: str, problems: list[Problem]) -> FeatureSet | None:
    """Read a feature set; what is wrong with it becomes a problem, so that other models still run."""
    try:
        return read()
    except ChartlightError as error:
        kind = "wrong_dimension" if "dimension" in error.what or "lengths" in error.what else "failed"
        problems.append(Problem(what, kind, 0, f"these features were left out: {error.what}"))
        return None
