"""One unit of a benchmark: a head on a feature set, for one task and one number of shots.

A unit's result is a file of arrays named by the hash of everything that it depends on, so that a run that was stopped
goes on where it was, and a run with other data or options never takes an old result.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit

from core.errors import ChartlightError, InputError
from core.risk.baselines import fit_boosted
from core.risk.bootstrap import Resamples, bootstrap_values
from core.risk.calibration import fit_calibrator, prior_shift
from core.risk.cohort import Problem, TaskLabels
from core.risk.fewshot import ALL, Shots
from core.risk.fit import check_target, fit_logistic
from core.risk.heads import save_arrays
from core.risk.metrics import log_odds
from core.risk.model_names import model_key, model_name

HEADS = ("lr_lbfgs", "gbm")
VERSION = 1  # raise it when a unit's numbers change


@dataclass(frozen=True)
class UnitSpec:
    """What one unit computes."""

    task: str
    model: str
    variant: str
    head: str
    k: int
    paper_exact: bool
    replicates: int
    seed: int


@dataclass(frozen=True, eq=False)
class UnitPart:
    """The result of one sub-task and few-shot replicate of a unit.

    Attributes:
        key: sub-task key.
        replicate: few-shot replicate, 0 for all data.
        rows: int64 ``(m,)`` held-out label rows of the task that have features.
        probability: float64 ``(m,)`` as the model gives it (EHRSHOT's ``proba``).
        calibrated: float64 ``(m,)`` calibrated on validation; for k shots moved from the balanced draw to the
            prevalence of the train split.
        boot: float64 ``(3, b)`` bootstrap replicates of AUROC, AUPRC and Brier.
        chosen: hyper-parameter in words ("C=0.1").
    """

    key: str
    replicate: int
    rows: np.ndarray
    probability: np.ndarray
    calibrated: np.ndarray
    boot: np.ndarray
    chosen: str


@dataclass(frozen=True)
class UnitResult:
    """All parts of a unit and what was wrong."""

    spec: UnitSpec
    parts: tuple[UnitPart, ...]
    problems: tuple[Problem, ...]


def run_unit(
    spec: UnitSpec,
    labels: TaskLabels,
    features: Any,
    found: np.ndarray,
    shots: dict[str, Sequence[Shots]],
) -> UnitResult:
    """Fit and evaluate.

    Args:
        spec: what to compute.
        labels: of the task.
        features: matrix of the feature set, dense or sparse.
        found: feature row of each label, -1 where there is none.
        shots: draws by sub-task key (unused for all data).
    """
    parts, problems = [], []
    for key, target in labels.target.items():
        try:
            parts += _subtask(spec, key, target, labels, features, found, shots.get(key, ()))
        except ChartlightError as error:
            n = int((labels.split == "held_out").sum())
            name = model_name(model_key(spec.model, spec.head, spec.variant))
            problems.append(Problem(key, "one_class", n, f"{name}: not evaluated: {error.what}"))
    return UnitResult(spec, tuple(parts), tuple(problems))


def _subtask(
    spec: UnitSpec,
    key: str,
    target: np.ndarray,
    labels: TaskLabels,
    features: Any,
    found: np.ndarray,
    shots: Sequence[Shots],
) -> list[UnitPart]:
    has = found >= 0
    train, validation, held = (
        np.flatnonzero((labels.split == split) & has) for split in ("train", "tuning", "held_out")
    )
    check_target(target[held], "the held_out split")
    resamples = Resamples(labels.subject[held], spec.replicates, spec.seed)
    draws = [Shots(ALL, 0, train, validation)] if spec.k == ALL else [s for s in shots if s.k == spec.k]
    if not draws:
        raise InputError(f"there are no draws of {spec.k} shots", "see the problems of the few-shot draws")
    parts = []
    for draw in draws:
        x, v = draw.train[has[draw.train]], draw.validation[has[draw.validation]]
        raw_v, raw_h, chosen = _fit(spec, features, found, target, x, v, held)
        probability = expit(raw_h)
        calibrated = fit_calibrator(raw_v, target[v], labels.subject[v], n_bootstrap=0)(raw_h)
        if spec.k != ALL:
            prevalence = float(np.clip(target[train].mean(), 1e-6, 1 - 1e-6))
            calibrated = prior_shift(calibrated, float(target[v].mean()), prevalence)
        boot = bootstrap_values(target[held], probability, resamples)
        parts.append(
            UnitPart(
                key,
                draw.replicate,
                held,
                probability,
                calibrated,
                np.stack([boot["auroc"], boot["auprc"], boot["brier"]]),
                chosen,
            )
        )
    return parts


def _fit(
    spec: UnitSpec,
    features: Any,
    found: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    held: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Raw log-odds on validation and held-out rows, and the hyper-parameters chosen."""
    x, v, h = (features[found[rows]] for rows in (train, validation, held))
    if not sparse.issparse(x):
        x, v, h = (np.asarray(part, np.float64) for part in (x, v, h))
    if spec.head == "gbm":
        fitted = fit_boosted(x, target[train], v, target[validation])
        words = ", ".join(f"{name}={value}" for name, value in fitted.params.items())
        return log_odds(fitted.probability(v)), log_odds(fitted.probability(h)), words
    logistic = fit_logistic(x, target[train], v, target[validation], paper_exact=spec.paper_exact)
    return logistic.raw(v), logistic.raw(h), f"C={logistic.c:g}"


def fingerprint(*arrays: Any) -> str:
    """SHA-256 over arrays, texts and plain values, for the names of unit files."""
    digest = hashlib.sha256()
    for value in arrays:
        if sparse.issparse(value):
            digest.update(fingerprint(value.data, value.indices, value.indptr).encode())
        elif isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).view(np.uint8).tobytes() if value.size else b"")
        else:
            digest.update(json.dumps(value, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def save_unit(result: UnitResult, path: Path) -> None:
    """Write a unit's parts and problems into one npz, atomically."""
    arrays: dict[str, np.ndarray] = {}
    index = []
    for i, part in enumerate(result.parts):
        index.append({"key": part.key, "replicate": part.replicate, "chosen": part.chosen})
        arrays |= {
            f"{i}.rows": part.rows.astype(np.int64),
            f"{i}.probability": part.probability,
            f"{i}.calibrated": part.calibrated,
            f"{i}.boot": part.boot,
        }
    about = {"parts": index, "problems": [vars(problem) for problem in result.problems]}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    save_arrays(path, arrays)


def load_unit(spec: UnitSpec, path: Path) -> UnitResult | None:
    """A unit's result, None where there is none or the file is damaged (it is then computed again)."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            about = json.loads(archive["about"].tobytes())
            parts = tuple(
                UnitPart(
                    entry["key"],
                    entry["replicate"],
                    archive[f"{i}.rows"],
                    archive[f"{i}.probability"],
                    archive[f"{i}.calibrated"],
                    archive[f"{i}.boot"],
                    entry["chosen"],
                )
                for i, entry in enumerate(about["parts"])
            )
    except Exception:  # whatever is wrong with the file, the unit can be computed again
        return None
    return UnitResult(spec, parts, tuple(Problem(**problem) for problem in about["problems"]))
