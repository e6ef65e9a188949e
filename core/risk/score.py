"""Score one patient at one time on all tasks: what the Risk page and `python -m core score` show.

A score never stands alone: each :class:`TaskScore` carries the calibrated probability with its interval, the cohort
that the head was trained on with its prevalence and percentile, the natural frequency in words, the number of
held-out rows, positives and patients behind it, the horizon, the prediction time, and the encoder and head behind it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from core.ehr.tasks import TASK_BY_ID
from core.errors import InputError
from core.risk.cards import SYNTHETIC_WARNING
from core.risk.heads import Head
from core.risk.records import embed_for_tasks, feature_identity, options_of, record_at
from core.risk.subtasks import parse_tasks
from core.wording import part

MIN_CASES = 30
"""Positives in training, held-out patients with a positive and held-out patients with a negative, each, below which
there is no reliable estimate. Patients and not rows: thirty rows of one patient are one case."""
RARE = 0.02
"""Prevalence below which natural frequencies count in 1,000 instead of 100."""


@dataclass(frozen=True)
class TaskScore:
    """The score of one patient at one time on one target.

    Attributes:
        task: task id.
        label: chexpert finding, None elsewhere.
        name: display name of the target.
        probability: calibrated probability, 0 to 1.
        cohort: name of the dataset that the head was trained and evaluated on, which need not be the patient's.
        cohort_synthetic: whether that dataset's patients are no real people.
        prevalence: share of positives among the cohort's held-out rows.
        percentile: percent of the cohort's held-out rows with a lower score, ties counted half, 0 to 100.
        interval: 95 % interval of the probability. It is the uncertainty of the calibration: percentiles over 200
            patient-level bootstrap refits of the calibrator on the validation data. The uncertainty of the head's
            training and of a change of population is not in it.
        n: held-out rows behind prevalence, percentile and reliability.
        n_positive: held-out positives.
        n_patients_with: held-out patients with a positive.
        n_patients_without: held-out patients with a negative.
        n_train_positive: positives that the head was trained on.
        shortage: what there are fewer than :data:`MIN_CASES` of, in words; "" where there are enough.
        reliable: False where there is a shortage; then there is no reliable estimate and the numbers must not be
            shown as one.
        natural_frequency: the probability as a sentence with its horizon and the cohort's average.
        horizon: in words ("30 days").
        prediction_time: the time of the score.
        encoder: name and revision of the encoder.
        head_version: hash of the head's arrays.
        log_odds: raw log-odds before calibration, the scale of the evidence (attribution, sensitivity).
    """

    task: str
    label: str | None
    name: str
    probability: float
    cohort: str
    cohort_synthetic: bool
    prevalence: float
    percentile: float
    interval: tuple[float, float]
    n: int
    n_positive: int
    n_patients_with: int
    n_patients_without: int
    n_train_positive: int
    shortage: str
    reliable: bool
    natural_frequency: str
    horizon: str
    prediction_time: datetime
    encoder: str
    head_version: str
    log_odds: float

    @property
    def group(self) -> str:
        """Key of the task's group."""
        return TASK_BY_ID[self.task].group

    @property
    def departure(self) -> float:
        """Log-odds of the probability minus log-odds of the prevalence, the order of "departs most from average"."""
        p, q = np.clip([self.probability, self.prevalence], 1e-6, 1 - 1e-6)
        return float(np.log(p / (1 - p)) - np.log(q / (1 - q)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(self)
        values["interval"] = list(self.interval)
        values["prediction_time"] = self.prediction_time.isoformat()
        return values


def cohort_notes(scores: Sequence[TaskScore], dataset: Any) -> list[str]:
    """What to know of the heads' cohort before reading scores of a patient of ``dataset``, a sentence each.

    Heads of the scored dataset itself have nothing to say but that it is synthetic, where it is.
    """
    cohorts = dict.fromkeys((score.cohort, score.cohort_synthetic) for score in scores)
    notes = [
        f"The heads were trained on {name}, not on {dataset.name}: averages and percentiles are those of {name}."
        for name, synthetic in cohorts
        if (name, synthetic) != (dataset.name, bool(dataset.synthetic))
    ]
    return notes + [SYNTHETIC_WARNING] * any(synthetic for _, synthetic in cohorts)


def natural_frequency(probability: float, prevalence: float, horizon: str, cohort: str, shortage: str = "") -> str:
    """The probability as a natural frequency, denominator 100 (1,000 for outcomes rarer than :data:`RARE`).

    The denominator depends on the outcome's prevalence only, so that it is the same for all patients.

    Args:
        probability: 0 to 1.
        prevalence: the cohort's.
        horizon: in words.
        cohort: whose average is named beside it.
        shortage: of :func:`shortage`.
    """
    if shortage:
        return f"No reliable estimate: only {shortage} behind this score"
    of = 1000 if prevalence < RARE else 100
    count = _count(probability, of)
    sentence = (
        f"about {count} of {of:,} patients like this one, {_horizon_phrase(horizon)} "
        f"(average of {cohort}: {_count(prevalence, of)} of {of:,})"
    )
    if not count[0].isdigit():
        sentence = sentence.removeprefix("about ")
    return sentence[0].upper() + sentence[1:]


def _count(probability: float, of: int) -> str:
    count = round(probability * of)
    if count == 0 and probability > 0:
        return "fewer than 1"
    if count == of and probability < 1:
        return f"more than {of - 1:,}"
    return f"{count:,}"


def _horizon_phrase(horizon: str) -> str:
    return (
        f"within {horizon}" if horizon[:1].isdigit() else horizon if horizon.startswith("until") else f"at {horizon}"
    )


def score_subject(
    dataset: Any,
    subject_id: int,
    at: datetime,
    encoder: Any,
    heads: Mapping[str, Head],
    tasks: Sequence[str] | None = None,
    cache: Any = None,
    options: Any = None,
) -> list[TaskScore]:
    """Serialise the record at ``at``, embed it (once for encoders without instruction) and score it.

    Args:
        dataset: an open dataset.
        subject_id: the patient.
        at: prediction time; nothing after it is read.
        encoder: a loaded encoder; must be the one that the heads were trained on.
        heads: from :func:`core.risk.heads.load_heads`.
        tasks: task ids, all that have a head by default.
        cache: an embedding cache.
        options: serialisation options; those of the heads by default.

    Raises:
        InputError: unknown subject or task, a time before birth, or heads that do not fit the encoder.
    """
    wanted = select_heads(heads, tasks)
    options = options or options_of(wanted[0].identity)
    record = record_at(dataset, subject_id, at, options)
    return score_text(record.text, at, encoder, {head.key: head for head in wanted}, cache=cache, options=options)


def score_text(
    text: str, at: datetime, encoder: Any, heads: Mapping[str, Head], cache: Any = None, options: Any = None
) -> list[TaskScore]:
    """Score a serialised record; the heads must fit the encoder and the serialisation options."""
    options = options or options_of(next(iter(heads.values())).identity)
    identity = feature_identity(encoder, options)
    for head in heads.values():
        head.require(identity)
    tasks = list(dict.fromkeys(head.subtask.task for head in heads.values()))
    vectors = embed_for_tasks(encoder, [text], tasks, options, cache)
    return score_vectors({task: vectors[task][0] for task in tasks}, at, heads)


def select_heads(heads: Mapping[str, Head], tasks: Sequence[str] | None = None) -> list[Head]:
    """The heads of these tasks, all 14 for chexpert. A task without head: :class:`InputError`."""
    present = list(dict.fromkeys(head.subtask.task for head in heads.values()))
    wanted = present if tasks is None else parse_tasks(",".join(tasks))
    missing = [task for task in wanted if task not in present]
    if missing:
        raise InputError(f"there is no head for {', '.join(missing)}", f"use one of {', '.join(present)}")
    return [head for task in wanted for head in heads.values() if head.subtask.task == task]


def score_vectors(vectors: Mapping[str, np.ndarray], at: datetime, heads: Mapping[str, Head]) -> list[TaskScore]:
    """Score embeddings ``(d,)`` by task id with their heads, in the order of the heads."""
    return [
        _task_score(head, float(head.raw(vectors[head.subtask.task])[0]), at)
        for head in heads.values()
        if head.subtask.task in vectors
    ]


def shortage(head: Head) -> str:
    """What a head has fewer than :data:`MIN_CASES` of, the scarcest in words; "" where there are enough."""
    n, what = min(
        (head.patients_with, "held-out patients with the outcome"),
        (head.patients_without, "held-out patients without the outcome"),
        (train_positives(head), "positive cases in training"),
        key=lambda case: case[0],
    )
    if n == 1:
        what = what.replace("patients", "patient").replace("cases", "case")
    return f"{n:,} {what}" if n < MIN_CASES else ""


def train_positives(head: Head) -> int:
    """Positives that a head was trained on, from its card; 0 where the card does not say."""
    return int(head.card.get("data", {}).get("train_positive", 0))


def percentile(raw: float, reference: np.ndarray) -> float:
    """Percent of the reference below ``raw``, ties counted half."""
    if not len(reference):
        return float("nan")
    raw32 = np.float32(raw)  # the reference is kept as float32: compare alike
    return float(100 * ((reference < raw32).mean() + 0.5 * (reference == raw32).mean()))


def percentile_text(value: float) -> str:
    """The percentile for reading: whole, and never 0 or 100, which would claim the whole cohort ("<1", ">99")."""
    return "<1" if value < 1 else ">99" if value >= 99.5 else f"{value:.0f}"


def percent_text(value: float) -> str:
    """A probability as a percentage for reading: a tenth of a percent where that says something.

    Never "0 %" or "100 %" of a probability that is neither 0 nor 1.
    """
    return f"{of_100(value)} %"


def of_100(value: float) -> str:
    """A probability as a number of 100, as :func:`percent_text` writes it."""
    return part(100 * value, percent_digits(value), whole=100)


def percent_digits(value: float) -> int:
    """Decimals of the percentage that :func:`percent_text` writes."""
    return 0 if 0.0995 <= value < 0.995 else 1


def _task_score(head: Head, raw: float, at: datetime) -> TaskScore:
    probability = float(head.calibrator(raw))
    lower, upper = head.calibrator.interval(raw)
    horizon = TASK_BY_ID[head.subtask.task].horizon_text
    short = shortage(head)
    return TaskScore(
        head.subtask.task,
        head.subtask.label,
        head.subtask.name,
        probability,
        head.cohort,
        head.cohort_synthetic,
        head.prevalence,
        percentile(raw, head.reference_raw),
        (float(lower), float(upper)),
        head.n,
        head.n_positive,
        head.patients_with,
        head.patients_without,
        train_positives(head),
        short,
        not short,
        natural_frequency(probability, head.prevalence, horizon, head.cohort, short),
        horizon,
        at,
        f"{head.identity.encoder}@{head.identity.revision}",
        head.version,
        raw,
    )
