"""Sort more events than memory holds: they are spilled into buckets by subject, and each bucket is sorted and written.

The order in which a subject's events were added is kept among events of one time, as a stable sort keeps it. Subjects
may come in any order, even interleaved.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from core.ehr.meds_layout import EVENT_SCHEMA, SHARD_ROWS, write_events


class EventSpill:
    """Buckets of events on disk. Use as a context manager; the bucket files are removed at the end.

    Args:
        folder: a temporary folder, on a disk with room for the events.
        expected_rows: estimate of the rows to come, from which the number of buckets follows.
    """

    def __init__(self, folder: Path, expected_rows: int):
        self._folder = folder
        self.buckets = max(1, -(-expected_rows // SHARD_ROWS))
        self._writers: dict[int, pa.ipc.RecordBatchFileWriter] = {}
        self._paths: dict[int, Path] = {}
        self.rows = 0

    def __enter__(self) -> "EventSpill":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()
        for path in self._paths.values():
            path.unlink(missing_ok=True)
        self._folder.rmdir()

    def add(self, events: pl.DataFrame) -> None:
        """Add events with the columns of ``EVENT_SCHEMA``."""
        if not events.height:
            return
        self.rows += events.height
        events = events.select([pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items()])
        if self.buckets == 1:
            self._append(0, events)
            return
        bucket = pl.Series("_bucket", bucket_of(events["subject_id"].to_numpy(), self.buckets))
        for (number,), part in (
            events.with_columns(bucket)
            .partition_by("_bucket", maintain_order=True, include_key=False, as_dict=True)
            .items()
        ):
            self._append(int(number), part)

    def write(self, dest: Path) -> Iterator[pl.DataFrame]:
        """Write the event files of the dataset folder ``dest``, one a bucket; yield each file's events."""
        for writer in self._writers.values():
            writer.close()
        for shard, number in enumerate(sorted(self._paths)):
            events = pl.read_ipc(self._paths[number])
            events = events.sort("subject_id", "time", nulls_last=False, maintain_order=True)
            write_events(dest, shard, events)
            self._paths[number].unlink()
            yield events

    def _append(self, number: int, events: pl.DataFrame) -> None:
        table = events.to_arrow(compat_level=pl.CompatLevel.oldest())
        if number not in self._writers:
            self._paths[number] = self._folder / f"{number}.arrow"
            self._writers[number] = pa.ipc.new_file(
                self._paths[number], table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
            )
        self._writers[number].write_table(table)


def bucket_of(subject_ids: np.ndarray, buckets: int) -> np.ndarray:
    """Bucket of each subject: a multiplicative hash, so that regular ids spread evenly."""
    mixed = subject_ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)) % np.uint64(buckets)).astype(np.int32)
