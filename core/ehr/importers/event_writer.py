"""Write the event files of a dataset from more events than memory holds.

A subject's events come out sorted by time; among events of one time the order in which they were added is kept, as a
stable sort keeps it. Where the source has its subjects together, as EHRSHOT's file has, files are written as the
events pass. Where a subject comes back later, and for sources that are known for it (OMOP: one table after another),
events are spilled into buckets by subject, and each bucket is sorted and written at the end.
"""

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import meds
import numpy as np
import polars as pl
import pyarrow as pa

from core.ehr.meds_layout import EVENT_SCHEMA, SHARD_ROWS, write_events


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        counts: ``code`` and ``n`` (events with that code), by code.
        subjects: subject ids, ascending.
        events: number of events.
    """

    counts: pl.DataFrame
    subjects: pl.Series
    events: int


class EventWriter:
    """Takes events, writes event files. Use as a context manager: temporary files are removed at its end.

    Args:
        folder: the dataset folder; event files go to its ``data``, temporary ones to its ``.spill``.
        expected_rows: estimate of the rows to come, from which the number of buckets follows.
        grouped: the source is expected to have each subject's rows together.
    """

    def __init__(self, folder: Path, expected_rows: int, grouped: bool):
        self._folder, self._spill = folder, folder / ".spill"
        self.buckets = max(1, -(-expected_rows // SHARD_ROWS))
        self._grouped = grouped
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0
        self._closed: list[pl.Series] = []  # subjects already written, a series a file
        self._counts: list[pl.DataFrame] = []
        self._shards = 0
        self._events = 0
        self._pool = ThreadPoolExecutor(1)  # writes one file while the next is read
        self._writing: Future[None] | None = None
        self._buckets: dict[int, pa.ipc.RecordBatchFileWriter] = {}

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for writer in self._buckets.values():
            writer.close()
        shutil.rmtree(self._spill, ignore_errors=True)

    def add(self, events: pl.DataFrame) -> None:
        """Add events with the columns of ``EVENT_SCHEMA``."""
        if not events.height:
            return
        self._events += events.height
        events = events.select([pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items()])
        if not self._grouped:
            self._to_buckets(events)
            return
        self._pending.append(events)
        self._pending_rows += events.height
        if self._pending_rows >= SHARD_ROWS:
            self._write_pending(last=False)

    def finish(self, say: Callable[[str], None] = lambda note: None) -> Written:
        """Write what is left, and return what was written.

        Args:
            say: called with what is being done.
        """
        if self._grouped and self._pending:
            self._write_pending(last=True)
        self._wait()
        if not self._grouped:
            self._write_buckets(say)
        none = pl.DataFrame(schema={"code": pl.String, "n": pl.UInt32})
        counts = pl.concat([none, *self._counts]).group_by("code").agg(pl.col("n").sum()).sort("code")
        subjects = pl.concat([pl.Series("subject_id", [], dtype=pl.Int64), *self._closed]).sort()
        return Written(counts, subjects, self._events)

    def _write_pending(self, last: bool) -> None:
        """Write the subjects that are complete: all of them at the end, all but the newest before."""
        events = pl.concat(self._pending)
        newest = events["subject_id"][-1]
        rest = events.filter(pl.col("subject_id") == newest) if not last else events.head(0)
        ready = events.filter(pl.col("subject_id") != newest) if not last else events
        subjects = ready["subject_id"].unique()
        if any(subjects.is_in(earlier.implode()).any() for earlier in self._closed):
            self._give_up_grouping(events)
            return
        self._pending, self._pending_rows = [rest], rest.height
        if ready.height:
            self._submit(ready, subjects)

    def _give_up_grouping(self, events: pl.DataFrame) -> None:
        """A subject came back: move what is written into buckets, and go on with these."""
        self._wait()
        self._grouped = False
        for shard in range(self._shards):
            path = self._folder / meds.data_subdirectory / f"{shard}.parquet"
            self._to_buckets(pl.read_parquet(path, glob=False))
            path.unlink()
        self._shards, self._closed, self._counts = 0, [], []
        self._to_buckets(events)
        self._pending, self._pending_rows = [], 0

    def _submit(self, events: pl.DataFrame, subjects: pl.Series) -> None:
        self._wait()
        self._closed.append(subjects)
        shard, self._shards = self._shards, self._shards + 1

        def write() -> None:
            ordered = events.sort("subject_id", "time", nulls_last=False, maintain_order=True)
            write_events(self._folder, shard, ordered)
            self._counts.append(events["code"].value_counts(name="n"))

        self._writing = self._pool.submit(write)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _to_buckets(self, events: pl.DataFrame) -> None:
        if self.buckets == 1:
            self._append(0, events)
            return
        bucket = pl.Series("_bucket", bucket_of(events["subject_id"].to_numpy(), self.buckets))
        parts = events.with_columns(bucket).partition_by("_bucket", include_key=False, as_dict=True)
        for (number,), part in parts.items():
            self._append(int(number), part)

    def _append(self, number: int, events: pl.DataFrame) -> None:
        table = events.to_arrow(compat_level=pl.CompatLevel.oldest())
        if number not in self._buckets:
            self._spill.mkdir(parents=True, exist_ok=True)
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._buckets[number] = pa.ipc.new_file(self._bucket_path(number), table.schema, options=options)
        self._buckets[number].write_table(table)

    def _bucket_path(self, number: int) -> Path:
        return self._spill / f"{number}.arrow"

    def _write_buckets(self, say: Callable[[str], None]) -> None:
        numbers = sorted(self._buckets)
        for writer in self._buckets.values():
            writer.close()
        for done, number in enumerate(numbers):
            say(f"sorting and writing, file {done + 1} of {len(numbers)}")
            events = pl.read_ipc(self._bucket_path(number))
            self._bucket_path(number).unlink()
            self._submit(events, events["subject_id"].unique())
        self._wait()


def bucket_of(subject_ids: np.ndarray, buckets: int) -> np.ndarray:
    """Bucket of each subject: a multiplicative hash, so that regular ids spread evenly."""
    mixed = subject_ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)) % np.uint64(buckets)).astype(np.int32)
