"""Open one subject: ours against Polars over the same shard, the shard chosen by hand.

``python -m benchmarks.subject_lookup [--subjects N] [--events N] [--release FOLDER] [--rounds N] [--sample N]``

Both read every column of one subject from the page cache (warm). Ours also fixes types, checks values and visits and
numbers the rows, as the Patients page needs it.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks._common import median, report
from benchmarks._ehrshot_sized import EVENTS, SUBJECTS, write_release
from core.ehr.importers.ehrshot import import_ehrshot
from core.ehr.store import Dataset, open_dataset
from core.ehr.subjects import SubjectFilter, list_subjects
from core.settings import get_settings

TARGET_MS = 12.0


def polars_on_the_shard(dataset: Dataset, subject: int) -> pl.DataFrame:
    at = dataset.index.find(subject)
    shard = dataset.index.shards[dataset.index.table["shard"][at]]
    return pl.scan_parquet(dataset.path / shard.path).filter(pl.col("subject_id") == subject).collect()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--release", type=Path, help="made-up release to use instead of a new one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=120, help="subjects opened a round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chartlight-bench-") as scratch:
        folder = Path(scratch)
        get_settings().home = folder / "home"
        release = args.release or write_release(folder / "release", args.subjects, args.events)
        import_ehrshot(release, folder / "dataset")
        start = time.perf_counter()
        dataset = open_dataset(folder / "dataset")
        open_s = time.perf_counter() - start
        start = time.perf_counter()
        list_subjects(dataset, SubjectFilter(sex="female", sort="n_events", descending=True))
        list_s = time.perf_counter() - start
        rng = np.random.default_rng(0)
        subjects = rng.choice(dataset.index.subject_ids, min(args.sample, dataset.n_subjects), replace=False).tolist()
        for subject in subjects:  # warm
            assert dataset.events(subject).height == polars_on_the_shard(dataset, subject).height
        ours_ms: list[np.ndarray] = []
        peer_ms: list[np.ndarray] = []
        for number in range(args.rounds):
            ours, peer = [], []
            for subject in subjects:
                cases = [(ours, dataset.events, (subject,)), (peer, polars_on_the_shard, (dataset, subject))]
                for times, call, arguments in cases if number % 2 == 0 else reversed(cases):
                    start = time.perf_counter()
                    call(*arguments)
                    times.append(1e3 * (time.perf_counter() - start))
            ours_ms.append(np.array(ours))
            peer_ms.append(np.array(peer))
        p95 = median([float(np.percentile(times, 95)) for times in ours_ms])
        peer_p95 = median([float(np.percentile(times, 95)) for times in peer_ms])
        p50 = median([float(np.median(times)) for times in ours_ms])
        peer_p50 = median([float(np.median(times)) for times in peer_ms])
        ratio = median([float(np.median(a / b)) for a, b in zip(ours_ms, peer_ms)])
        report(
            "subject_lookup",
            ours=p95,
            peer=peer_p95,
            unit="ms p95 to open one subject",
            ratio=ratio,
            target="p95 <= 12 ms and ratio (ours / Polars, median of pairs) <= 1",
            met=p95 <= TARGET_MS and ratio <= 1.0,
            rounds=args.rounds,
            p50_ms=p50,
            peer_p50_ms=peer_p50,
            open_dataset_ms=1e3 * open_s,
            first_list_page_ms=1e3 * list_s,
            subjects=dataset.n_subjects,
            events=dataset.n_events,
        )


if __name__ == "__main__":
    main()
