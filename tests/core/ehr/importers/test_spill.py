from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from core.ehr.importers import spill
from core.ehr.importers.spill import EventSpill, bucket_of
from tests.core.ehr.conftest import events_frame


def test_interleaved_subjects_come_out_sorted_with_the_order_of_ties_kept(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(spill, "SHARD_ROWS", 100)
    rng = np.random.default_rng(0)
    rows = [
        (int(rng.integers(0, 30)), datetime(2000, 1, 1) + timedelta(days=int(rng.integers(0, 5))), f"C{i}")
        for i in range(1000)
    ]
    frame = events_frame(rows)
    with EventSpill(tmp_path / "spill", len(rows)) as store:
        for start in range(0, 1000, 77):
            store.add(frame.slice(start, 77))
        written = list(store.write(tmp_path))
    assert store.buckets == 10
    assert not (tmp_path / "spill").exists()
    together = pl.concat(written)
    assert together.sort("subject_id", maintain_order=True).equals(
        frame.sort("subject_id", "time", maintain_order=True)
    )
    on_disk = pl.concat(
        [pl.read_parquet(path).with_columns(f=pl.lit(path.name)) for path in (tmp_path / "data").iterdir()]
    )
    assert on_disk.group_by("subject_id").agg(pl.col("f").n_unique())["f"].to_list() == [1] * 30


def test_files_are_removed_after_an_error(tmp_path: Path):
    try:
        with EventSpill(tmp_path / "spill", 10) as store:
            store.add(events_frame([(1, datetime(2000, 1, 1), "A")]))
            raise RuntimeError
    except RuntimeError:
        pass
    assert list(tmp_path.iterdir()) == []


def test_buckets_are_even_for_regular_ids():
    counts = np.bincount(bucket_of(np.arange(0, 100_000, 10), 7), minlength=7)
    assert counts.min() > 0.8 * counts.mean()
