"""From a head's raw score to a probability that means what it says.

A calibrator is a pair of arrays: knots on the raw log-odds axis and the probability at each knot, with linear
interpolation between and constant values outside. Platt's sigmoid and isotonic regression are both stored so,
with a 95 % interval at the same knots, so that a head needs no code of the library that fitted it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from core.errors import InputError

ISOTONIC_POSITIVES = 200
"""Positives (and negatives) on the validation data from which isotonic regression replaces Platt's sigmoid."""
N_KNOTS = 257
N_BOOTSTRAP = 200


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from raw log-odds to probability.

    Attributes:
        method: "platt", "isotonic" or "none".
        knots: float64 ``(k,)`` raw log-odds, ascending.
        value: float64 ``(k,)`` probability at each knot.
        lower: float64 ``(k,)`` 2.5 % bound of that probability.
        upper: float64 ``(k,)`` 97.5 % bound.
    """

    method: str
    knots: np.ndarray
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def __call__(self, raw: np.ndarray | float) -> np.ndarray:
        """Probability for raw log-odds of any shape."""
        return np.interp(raw, self.knots, self.value)

    def interval(self, raw: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """95 % interval of the probability: how sure the *calibration* is.

        Percentiles of the probability over patient-level bootstrap refits of the calibrator on the validation data.
        It does not hold the uncertainty of the head's own training, nor that of a change of population.
        """
        return np.interp(raw, self.knots, self.lower), np.interp(raw, self.knots, self.upper)


def fit_platt(raw: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float]:
    """Slope and offset of Platt's sigmoid ``expit(a * raw + b)``, by Newton on Platt's smoothed targets.

    The smoothed targets (Platt 1999: ``(n+ + 1) / (n+ + 2)`` and ``1 / (n- + 2)``) keep the slope finite where the
    classes are separated. ``weight`` counts rows (bootstrap multiplicities). A negative slope is not kept: a score
    that points the wrong way on the validation data carries no information, so the slope becomes 0.
    """
    raw = np.asarray(raw, dtype=np.float64)
    weight = np.ones(len(raw)) if weight is None else np.asarray(weight, dtype=np.float64)
    n_pos = float(weight @ (target == 1))
    n_neg = float(weight @ (target == 0))
    smoothed = np.where(target == 1, (n_pos + 1) / (n_pos + 2), 1 / (n_neg + 2))
    centre = float(weight @ raw) / max(weight.sum(), 1)
    spread = float(np.sqrt(weight @ (raw - centre) ** 2 / max(weight.sum(), 1))) or 1.0
    x = (raw - centre) / spread
    base = float(logit(np.clip((n_pos + 1) / (n_pos + n_neg + 2), 1e-6, 1 - 1e-6)))
    a, b = 0.0, base

    def loss(a: float, b: float) -> float:
        margin = a * x + b
        return float(weight @ (np.logaddexp(0, margin) - smoothed * margin))

    current = loss(a, b)
    for _ in range(100):
        p = expit(a * x + b)
        residual, curvature = weight * (p - smoothed), weight * p * (1 - p)
        gradient = np.array([residual @ x, residual.sum()])
        hessian = np.array([[curvature @ x**2, curvature @ x], [curvature @ x, curvature.sum()]]) + 1e-10 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and loss(a - size * step[0], b - size * step[1]) > current:
            size /= 2
        a, b = a - size * step[0], b - size * step[1]
        previous, current = current, loss(a, b)
        if previous - current < 1e-12 * max(abs(previous), 1):
            break
    if a < 0:
        a, b = 0.0, base
    return float(a / spread), float(b - a * centre / spread)


def _isotonic(raw: np.ndarray, target: np.ndarray, weight: np.ndarray, at: np.ndarray) -> np.ndarray:
    keep = weight > 0
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(raw[keep], target[keep], sample_weight=weight[keep])
    floor = 1 / (weight.sum() + 2)  # no finite sample shows that a probability is 0 or 1
    return np.clip(model.predict(at), floor, 1 - floor)


def fit_calibrator(
    raw: np.ndarray,
    target: np.ndarray,
    subject: np.ndarray | None = None,
    method: str | None = None,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Calibrator:
    """Fit a calibrator on validation data.

    Args:
        raw: float ``(n,)`` raw log-odds of the head on validation rows.
        target: 0/1 ``(n,)``.
        subject: ``(n,)`` patient of each row, the unit of resampling; rows are taken as patients without it.
        method: "platt" or "isotonic"; by size otherwise (:data:`ISOTONIC_POSITIVES`).
        n_bootstrap: refits behind the interval.
        seed: of the resampling.

    Raises:
        InputError: fewer than one positive and one negative, or scores that are not finite.
    """
    raw, target = np.asarray(raw, dtype=np.float64), np.asarray(target).astype(np.int8)
    if not np.isfinite(raw).all():
        raise InputError("a score is not a finite number", "check the features for NaN")
    n_pos, n_neg = int((target == 1).sum()), int((target == 0).sum())
    if not n_pos or not n_neg:
        raise InputError("the validation data have one class only", "give validation labels of both classes")
    method = method or ("isotonic" if min(n_pos, n_neg) >= ISOTONIC_POSITIVES else "platt")
    knots = _knots(raw)
    if method == "platt":

        def fitted(weight: np.ndarray) -> np.ndarray:
            a, b = fit_platt(raw, target, weight)
            return expit(a * knots + b)
    elif method == "isotonic":

        def fitted(weight: np.ndarray) -> np.ndarray:
            return _isotonic(raw, target, weight, knots)
    else:
        raise InputError(f"unknown calibration method {method!r}", "use platt or isotonic")

    value = fitted(np.ones(len(raw)))
    _, cluster = np.unique(np.arange(len(raw)) if subject is None else np.asarray(subject), return_inverse=True)
    n_clusters = int(cluster.max()) + 1
    rng = np.random.default_rng(seed)
    replicates = []
    for _ in range(n_bootstrap):
        weight = np.bincount(rng.integers(0, n_clusters, n_clusters), minlength=n_clusters)[cluster].astype(float)
        if weight @ target > 0 and weight @ (1 - target) > 0:
            replicates.append(fitted(weight))
    if replicates:
        lower, upper = np.percentile(replicates, [2.5, 97.5], axis=0)
    else:  # every resample had one class: nothing is known
        lower, upper = np.zeros_like(value), np.ones_like(value)
    return Calibrator(method, knots, value, np.minimum(lower, value), np.maximum(upper, value))


def _knots(raw: np.ndarray) -> np.ndarray:
    """Knots where the scores are (quantiles) and evenly between and beyond them, ascending and distinct."""
    low, high = float(raw.min()), float(raw.max())
    reach = max(high - low, 1.0)
    even = np.linspace(low - reach / 2, high + reach / 2, N_KNOTS // 2)
    return np.unique(np.concatenate([np.quantile(raw, np.linspace(0, 1, N_KNOTS - len(even))), even]))


def prior_shift(probability: np.ndarray, trained_prevalence: float, prevalence: float) -> np.ndarray:
    """Move probabilities of a model trained at one prevalence to another (Saerens et al. 2002, known priors).

    A balanced few-shot head is trained at 0.5. ``logit`` moves by ``logit(prevalence) - logit(trained_prevalence)``;
    ranks do not change.
    """
    for name, value in (("trained_prevalence", trained_prevalence), ("prevalence", prevalence)):
        if not 0 < value < 1:
            raise InputError(f"{name} is {value}", "give a prevalence between 0 and 1")
    shift = logit(prevalence) - logit(trained_prevalence)
    with np.errstate(divide="ignore"):
        return expit(logit(np.asarray(probability, dtype=np.float64)) + shift)
