"""What structure-aware chunks save in a cohort with 20 prediction times a subject.

Subjects of the demo generator that have 20 or more days with a visit; the prediction times are the last 20 such days
(and, as a harder case that is reported beside it, 20 days spread over the whole history). Counted is what the cohort
computes with one cache, in the order of time; "plain" is embedding each record by itself, in windows. One subject is
embedded for real to show that the count is right and that the cache does not change the vectors.
Special tokens and the names that value chunks repeat are counted.
"""

import argparse
import tempfile
from datetime import datetime, time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks._common import report
from core.ehr.demo import generate_demo
from core.ehr.markdown import serialize_many
from core.ehr.store import Dataset, open_dataset
from core.embedding.cache import EmbeddingCache
from core.embedding.cached import EmbedStats, embed_texts, plain_tokens
from core.embedding.encoders import Encoder, load_encoder

TIMES = 20


def visit_days(dataset: Dataset, subject: int) -> list[datetime]:
    """The end of each day on which the subject had an event of a visit."""
    events = dataset.events(subject).filter(pl.col("visit_id").is_not_null() & pl.col("time").is_not_null())
    return [datetime.combine(day, time(23, 59)) for day in events["time"].dt.date().unique().sort().to_list()]


def count(encoder: Encoder, dataset: Dataset, days: dict[int, list[datetime]]) -> EmbedStats:
    """What embedding all subjects at their times with one cache computes: each piece that was not seen before."""
    stats, seen = EmbedStats(), set()
    for subject, times in days.items():
        for record in serialize_many(dataset.events(subject), times, dataset.vocabulary):
            plan = encoder.pieces(record.text)
            new = {piece.text: piece for piece in plan if piece.text not in seen}
            seen |= set(new)
            stats.add(
                EmbedStats(
                    plain_tokens(encoder, plan), sum(map(encoder.model_tokens, new.values())), len(plan), len(new)
                )
            )
    return stats


def check(encoder: Encoder, dataset: Dataset, days: dict[int, list[datetime]], cache: EmbeddingCache) -> None:
    """Embed one subject for real: the counts are those of the count, the vectors those without a cache."""
    stats = EmbedStats()
    for subject, times in days.items():
        for record in serialize_many(dataset.events(subject), times, dataset.vocabulary):
            vector = embed_texts(encoder, [record.text], cache=cache, stats=stats)
        assert np.abs(encoder.embed([record.text]) - vector).max() < 1e-5, "the cache changes the numbers"
    assert stats == count(encoder, dataset, days), "the count is not what embedding does"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--subjects", type=int, default=100)
    args = parser.parse_args()
    encoder = load_encoder("minilm", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo"
        generate_demo(path, subjects=8 * args.subjects, seed=2)
        dataset = open_dataset(path)
        labelled = sorted({s for task in dataset.tasks() for s in dataset.labels(task)["subject_id"].to_list()})
        days = {subject: visit_days(dataset, subject) for subject in labelled}
        days = {subject: list_ for subject, list_ in days.items() if len(list_) >= TIMES}
        days = dict(list(days.items())[: args.subjects])
        last = {subject: list_[-TIMES:] for subject, list_ in days.items()}
        spread = {
            subject: [list_[int(i)] for i in np.linspace(0, len(list_) - 1, TIMES)] for subject, list_ in days.items()
        }
        shares = {}
        for name, chosen in (("last", last), ("spread", spread)):
            stats = count(encoder, dataset, chosen)
            shares[name] = (1 - stats.saved, stats.computed, stats.tokens)
        first = min(days, key=lambda subject: len(dataset.events(subject)))
        check(encoder, dataset, {first: last[first][:5]}, EmbeddingCache(Path(folder) / "cache.sqlite"))
    share = max(share for share, _, _ in shares.values())
    report(
        "chunk_reuse",
        ours=shares["last"][1],
        peer=shares["last"][2],
        unit="tokens computed",
        ratio=share,
        target="share of plain embedding's tokens <= 0.25, prediction times: last 20 visit days and 20 spread ones",
        met=share <= 0.25,
        rounds=1,
        share_last=shares["last"][0],
        share_spread=shares["spread"][0],
        subjects=len(days),
        times=TIMES,
    )


if __name__ == "__main__":
    main()
