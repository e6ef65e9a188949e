"""Risk heads on disk and in memory: plain arrays with a card, never a pickle.

A head is MaxAbsScaler + L2 logistic regression + calibrator (Hegselmann et al. 2025; EHRSHOT). On disk it is
``<key>.npz`` (arrays, loaded with ``allow_pickle=False``) beside ``<key>.json`` (the card).
"""

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, MissingError
from core.files import write_atomic
from core.risk.calibration import Calibrator
from core.risk.identity import FeatureIdentity, require_same
from core.risk.subtasks import SUBTASK_BY_KEY, SubTask

FORMAT = "chartlight-head/1"
_ARRAYS = (
    "scale",
    "coef",
    "intercept",
    "knots",
    "value",
    "lower",
    "upper",
    "reference_raw",
    "reference_target",
    "reference_cluster",
)


DAMAGED_ARRAYS = (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged .npz, or a card that is nested without end, can raise."""


@dataclass(frozen=True, eq=False)
class Head:
    """One fitted binary head.

    Attributes:
        subtask: the target.
        identity: what the features must be made with.
        scale: float64 ``(d,)`` maximum absolute value of each feature on the training rows (1 where that is 0).
        coef: float64 ``(d,)`` coefficients on scaled features.
        intercept: float.
        calibrator: raw log-odds to probability.
        reference_raw: float32 ``(n,)`` raw log-odds of the held-out rows, the reference cohort of percentiles.
        reference_target: int8 ``(n,)`` their outcomes.
        reference_cluster: int32 ``(n,)`` their patients, numbered from 0 (no ids).
        card: everything else, plain JSON (see :mod:`core.risk.cards` for the items).
        version: first 12 hex digits of the SHA-256 of the arrays.
    """

    subtask: SubTask
    identity: FeatureIdentity
    scale: np.ndarray
    coef: np.ndarray
    intercept: float
    calibrator: Calibrator
    reference_raw: np.ndarray
    reference_target: np.ndarray
    reference_cluster: np.ndarray
    card: dict[str, Any]
    version: str = ""

    @property
    def key(self) -> str:
        """Id of the head in its folder."""
        return self.subtask.key

    @property
    def n(self) -> int:
        """Held-out rows behind the reported numbers."""
        return len(self.reference_target)

    @property
    def n_positive(self) -> int:
        """Held-out positives."""
        return int(self.reference_target.sum())

    @cached_property
    def patients_with(self) -> int:
        """Held-out patients with at least one positive row."""
        return len(np.unique(self.reference_cluster[self.reference_target == 1]))

    @cached_property
    def patients_without(self) -> int:
        """Held-out patients with at least one negative row."""
        return len(np.unique(self.reference_cluster[self.reference_target == 0]))

    @property
    def cohort(self) -> str:
        """Name of the dataset that the head was trained and evaluated on, from its card."""
        return str(self.card.get("data", {}).get("source") or "an unnamed cohort")

    @property
    def cohort_synthetic(self) -> bool:
        """Whether that dataset's patients are no real people, from the card."""
        return bool(self.card.get("data", {}).get("synthetic"))

    @property
    def prevalence(self) -> float:
        """Share of positives in the held-out cohort."""
        return self.n_positive / self.n if self.n else float("nan")

    @property
    def reference_probability(self) -> np.ndarray:
        """Calibrated probabilities of the held-out rows, float64 ``(n,)``."""
        return self.calibrator(self.reference_raw)

    def raw(self, matrix: np.ndarray) -> np.ndarray:
        """Raw log-odds, float64 ``(n,)``, of features ``(n, d)``. Wrong dimension or NaN: :class:`InputError`."""
        matrix = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
        if matrix.shape[1] != len(self.coef):
            raise InputError(
                f"the features have {matrix.shape[1]} dimensions where the head {self.key} needs {len(self.coef)}",
                "use the encoder that the head's card names",
            )
        raw = matrix @ (self.coef / self.scale) + self.intercept
        if not np.isfinite(raw).all():
            raise InputError(f"a score of {self.key} is not a finite number", "check the features for NaN")
        return raw

    def probability(self, matrix: np.ndarray) -> np.ndarray:
        """Calibrated probability, float64 ``(n,)``, of features ``(n, d)``."""
        return self.calibrator(self.raw(matrix))

    def require(self, identity: FeatureIdentity) -> None:
        """Refuse features of another making (:class:`InputError` that names each difference)."""
        require_same(self.identity, identity, self.key)


def _array_dict(head: Head) -> dict[str, np.ndarray]:
    return {
        "scale": np.asarray(head.scale, np.float64),
        "coef": np.asarray(head.coef, np.float64),
        "intercept": np.asarray(head.intercept, np.float64),
        "knots": np.asarray(head.calibrator.knots, np.float64),
        "value": np.asarray(head.calibrator.value, np.float64),
        "lower": np.asarray(head.calibrator.lower, np.float64),
        "upper": np.asarray(head.calibrator.upper, np.float64),
        "reference_raw": np.asarray(head.reference_raw, np.float32),
        "reference_target": np.asarray(head.reference_target, np.int8),
        "reference_cluster": np.asarray(head.reference_cluster, np.int32),
    }


def head_version(head: Head) -> str:
    """First 12 hex digits of the SHA-256 over the head's arrays, so that a score names the head exactly."""
    digest = hashlib.sha256()
    for name, array in _array_dict(head).items():
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """A compressed npz whose bytes depend on the arrays only (np.savez stamps the time)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a reproducible npz, atomically."""
    write_atomic(path, _npz(arrays))


def save_head(head: Head, folder: Path) -> None:
    """Write ``<key>.npz`` and ``<key>.json`` into ``folder``, arrays first, each atomically."""
    folder = Path(folder)
    save_arrays(folder / f"{head.key}.npz", _array_dict(head))
    card = {
        "format": FORMAT,
        "task": head.subtask.task,
        "label": head.subtask.label,
        "version": head_version(head),
        "features": head.identity.to_dict(),
        "calibration_method": head.calibrator.method,
        **head.card,
    }
    text = json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / f"{head.key}.json", f"{text}\n".encode())


def load_head(folder: Path, key: str) -> Head:
    """Read one head.

    Raises:
        MissingError: no such head in the folder.
        InputError: a damaged or foreign file, arrays that do not fit, or a card of other arrays.
    """
    folder = Path(folder)
    arrays_path, card_path = folder / f"{key}.npz", folder / f"{key}.json"
    again = "make the heads again with `python -m core train-heads`"
    if not arrays_path.is_file() or not card_path.is_file():
        raise MissingError(f"there is no head {key!r} in {folder.name}", again)
    if key not in SUBTASK_BY_KEY:
        raise InputError(f"{key!r} is not the name of a task's head", f"use one of {', '.join(SUBTASK_BY_KEY)}")
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        with np.load(arrays_path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in _ARRAYS}
    except DAMAGED_ARRAYS as error:
        raise InputError(f"the head {key} cannot be read ({error})", again) from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise InputError(f"the card of {key} is not a {FORMAT} card", again)
    identity = FeatureIdentity.from_dict(card.get("features") or {}, f"the card of {key}")
    d = identity.dimension
    n, k = len(np.atleast_1d(arrays["reference_raw"])), len(np.atleast_1d(arrays["knots"]))
    shapes: dict[str, tuple[int, ...]] = {name: (n if name.startswith("reference") else k,) for name in _ARRAYS}
    shapes |= {"scale": (d,), "coef": (d,), "intercept": ()}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise InputError(f"the array {name} of the head {key} has not the shape or values it should have", again)
    calibrator = Calibrator(
        str(card.get("calibration_method", "")), *(arrays[name] for name in ("knots", "value", "lower", "upper"))
    )
    head = Head(
        SUBTASK_BY_KEY[key],
        identity,
        arrays["scale"],
        arrays["coef"],
        float(arrays["intercept"]),
        calibrator,
        arrays["reference_raw"],
        arrays["reference_target"],
        arrays["reference_cluster"],
        card,
        str(card.get("version", "")),
    )
    if head_version(head) != head.version:
        raise InputError(f"the card of {key} belongs to other arrays (version {head.version})", again)
    return head


def load_heads(folder: Path) -> dict[str, Head]:
    """All heads of a folder by key, in the paper's order. No folder or no head in it: :class:`MissingError`."""
    folder = Path(folder)
    keys = [key for key in SUBTASK_BY_KEY if (folder / f"{key}.npz").is_file()]
    if not keys:
        raise MissingError(
            f"there are no risk heads in {folder.name}", f"make them with `python -m core train-heads {folder.name}`"
        )
    return {key: load_head(folder, key) for key in keys}
