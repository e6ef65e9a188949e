"""What structure-aware chunks save in a cohort with 20 prediction times a subject.

Subjects of the demo generator that have 20 or more days with a visit; the prediction times are the last 20 such days
(and, as a harder case that is reported beside it, 20 days spread over the whole history). Records are embedded in
the order of time through the real cache; "plain" counts the tokens of embedding each record by itself, in windows.
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
from core.embedding.cached import EmbedStats, embed_texts
from core.embedding.encoders import Encoder, load_encoder

TIMES = 20


def visit_days(dataset: Dataset, subject: int) -> list[datetime]:
    """The end of each day on which the subject had an event of a visit."""
    events = dataset.events(subject).filter(pl.col("visit_id").is_not_null() & pl.col("time").is_not_null())
    return [datetime.combine(day, time(23, 59)) for day in events["time"].dt.date().unique().sort().to_list()]


def embed(encoder: Encoder, dataset: Dataset, days: dict[int, list[datetime]], cache: EmbeddingCache) -> EmbedStats:
    """Embed the records of all subjects at their times through the cache."""
    stats = EmbedStats()
    for number, (subject, times) in enumerate(days.items()):
        texts = [r.text for r in serialize_many(dataset.events(subject), times, dataset.vocabulary)]
        vectors = embed_texts(encoder, texts, cache=cache, stats=stats)
        if number % 10 == 0:  # the cache must not change the numbers
            assert np.abs(encoder.embed(texts[:1])[0] - vectors[0]).max() < 1e-5
        print(f"{number + 1} of {len(days)} subjects: {1 - stats.saved:.1%} computed", flush=True)
    return stats


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--subjects", type=int, default=24)
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
            stats = embed(encoder, dataset, chosen, EmbeddingCache(Path(folder) / f"{name}.sqlite"))
            shares[name] = (1 - stats.saved, stats.computed, stats.tokens)
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
