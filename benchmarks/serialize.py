"""Serialising subject-times of 6,000 events, against the rules followed event by event.

Each subject is serialised once, at its end, from the events frame that the store returns: nothing is kept
between subjects but what the vocabulary says of codes. The peer gets its events as ready objects. That both write the
same text is checked.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from benchmarks._common import interleave, median, report
from benchmarks._naive_serializer import naive_events, naive_markdown
from core.ehr.aggregated_concepts import concepts_by_code
from core.ehr.markdown import SerializationOptions, serialize, serialize_many
from core.ehr.vocabulary import Vocabulary

SUBJECTS, EVENTS, ROUNDS, TIMES = 30, 6_000, 7, 10
TARGET = 150.0
MIX = {"LOINC": 0.42, "SNOMED": 0.27, "RxNorm": 0.15, "CPT4": 0.09, "ICD10PCS": 0.02, "HCPCS": 0.03, "CVX": 0.02}
"""Share of events by vocabulary; a third of the LOINC events are measurements of the aggregated concepts."""


def make_vocabulary() -> Vocabulary:
    """Describe 1,500 codes a vocabulary."""
    descriptions = {f"{name}/{i}": f"{name} item {i} in words of usual length" for name in MIX for i in range(1500)}
    descriptions |= {code: concept.name for code, concept in concepts_by_code("corrected").items()}
    descriptions |= {
        "SNOMED/3950001": "Birth",
        "Race/5": "White",
        "Gender/F": "FEMALE",
        "Ethnicity/Not Hispanic": "Not",
    }
    return Vocabulary(descriptions | {"Visit/OP": "Outpatient Visit", "Visit/IP": "Inpatient Visit"})


def make_subject(seed: int) -> pl.DataFrame:
    """Draw one subject: 6,000 events in about 130 visits over ten years, as frequent codes are in EHRSHOT."""
    rng = np.random.default_rng(seed)
    n, visits = EVENTS - 4, 130
    begin = np.sort(rng.integers(0, 3650 * 1440, visits))
    concepts = list(concepts_by_code("paper"))
    names = rng.choice(list(MIX), n, p=list(MIX.values()))
    number = np.minimum(rng.zipf(1.3, n), 1500) - 1
    visit = np.sort(rng.integers(0, visits, n))
    measured = (names == "LOINC") & (rng.random(n) < 1 / 3)
    codes = [f"{name}/{i}" for name, i in zip(names, number)]
    for i in np.flatnonzero(measured):
        codes[i] = concepts[rng.integers(len(concepts))]
    minutes = begin[visit] + np.minimum(rng.integers(0, 600, n), 599)
    opens = np.unique(visit, return_index=True)[1]
    for i in opens:
        codes[i], minutes[i] = rng.choice(["Visit/OP", "Visit/IP"]), begin[visit[i]]
    order = np.argsort(minutes, kind="stable")
    valued = (rng.random(n) < 0.35) | measured
    values = np.where(valued, np.round(rng.lognormal(4, 0.6, n), 1), np.nan).astype(np.float32)
    birth, start = datetime(1950, 1, 1), datetime(2010, 1, 1)
    head = pl.DataFrame(
        {"time": [birth] * 4, "code": ["SNOMED/3950001", "Race/5", "Gender/F", "Ethnicity/Not Hispanic"]}
    )
    opening = np.zeros(n, bool)
    opening[opens] = True
    body = pl.DataFrame(
        {
            "time": [start + timedelta(minutes=int(minutes[i])) for i in order],
            "code": [codes[i] for i in order],
            "numeric_value": pl.Series(
                [None if opening[i] or np.isnan(values[i]) else values[i] for i in order], dtype=pl.Float32
            ),
            "unit": ["mg/dL" if names[i] == "LOINC" and not measured[i] else None for i in order],
            "end": pl.Series(
                [start + timedelta(minutes=int(minutes[i]) + 2000) if opening[i] else None for i in order],
                dtype=pl.Datetime("us"),
            ),
            "visit_id": [int(visit[i]) for i in order],
        }
    )
    frame = pl.concat([head, body], how="diagonal").with_columns(
        text_value=pl.lit(None, pl.String), table=pl.lit(None, pl.String)
    )
    return frame.with_row_index("row").with_columns(
        pl.col("row").cast(pl.Int64), pl.col("time").cast(pl.Datetime("us"))
    )


def _cpu_seconds(case: Callable[[], object]) -> float:
    start = time.process_time()
    case()
    return time.process_time() - start


def main() -> None:
    """Measure."""
    vocabulary = make_vocabulary()
    frames = [make_subject(seed) for seed in range(SUBJECTS)]
    objects = [naive_events(frame) for frame in frames]
    at = datetime(2021, 1, 1)
    paper = SerializationOptions("paper")
    for frame, events in zip(frames, objects):
        assert serialize(frame, at, vocabulary, paper).text == naive_markdown(events, at, vocabulary)
    times = [datetime(2019, 1, 1) + timedelta(days=60 * k) for k in range(TIMES)]
    few = frames[: SUBJECTS // 3]
    cases = {
        "paper": lambda: [serialize(frame, at, vocabulary, paper) for frame in frames],
        "corrected": lambda: [serialize(frame, at, vocabulary) for frame in frames],
        "many": lambda: [serialize_many(frame, times, vocabulary) for frame in few],
        "naive": lambda: [naive_markdown(events, at, vocabulary) for events in objects],
    }
    seconds = interleave(cases, ROUNDS)
    cpu = min(_cpu_seconds(cases["corrected"]) for _ in range(ROUNDS))
    count = {name: SUBJECTS for name in cases} | {"many": len(few) * TIMES}
    rate = {name: count[name] / median(seconds[name]) for name in cases}
    report(
        "serialize",
        ours=rate["paper"],
        peer=rate["naive"],
        unit="subject-times/s of 6,000 events, one process",
        ratio=rate["paper"] / rate["naive"],
        target=f">= {TARGET:.0f} subject-times/s",
        met=min(rate["paper"], rate["corrected"]) >= TARGET,
        rounds=ROUNDS,
        corrected=rate["corrected"],
        corrected_ten_times_a_subject=rate["many"],
        corrected_per_cpu_second=SUBJECTS / cpu,  # what a core gives that is not shared with other work
        peer_name="the rules followed event by event, in plain Python",
    )


if __name__ == "__main__":
    main()
