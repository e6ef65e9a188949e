from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from core.ehr.importers import event_writer
from core.ehr.importers.event_writer import EventWriter, bucket_of
from core.ehr.store import open_dataset
from tests.core.ehr.conftest import events_frame


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(event_writer, "SHARD_ROWS", 100)


def random_frame(rows: int = 1000) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    start = datetime(2000, 1, 1)
    return events_frame(
        [
            (
                int(rng.integers(0, 30)),
                start + timedelta(days=int(rng.integers(0, 5))) if rng.random() < 0.9 else None,
                f"C{i}",
            )
            for i in range(rows)
        ]
    )


def write(folder: Path, frame: pl.DataFrame, grouped: bool, batch: int = 77):
    with EventWriter(folder, frame.height, grouped) as writer:
        for start in range(0, frame.height, batch):
            writer.add(frame.slice(start, batch))
        return writer.finish()


def one_subject_that_comes_back(frame: pl.DataFrame) -> pl.DataFrame:
    together = frame.sort("subject_id", maintain_order=True)
    return pl.concat([together.slice(5), together.head(5)])


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(
    "order",
    [
        lambda frame: frame,  # interleaved
        lambda frame: frame.sort("subject_id", maintain_order=True),
        lambda frame: frame.sort("subject_id", descending=True, maintain_order=True),
        one_subject_that_comes_back,
    ],
)
def test_events_come_out_by_subject_and_time_with_the_order_of_ties_kept(tmp_path, order, grouped):
    frame = order(random_frame())
    written = write(tmp_path, frame, grouped)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert written.events == 1000
    assert written.subjects.to_list() == list(range(30))
    assert written.counts.height == 1000
    dataset = open_dataset(tmp_path)  # which insists on each subject in one place
    expected = frame.sort("subject_id", "time", nulls_last=False, maintain_order=True)
    for subject in range(30):
        events = dataset.events(subject)
        assert events["code"].to_list() == expected.filter(pl.col("subject_id") == subject)["code"].to_list()
    assert len(dataset.index.shards) > 3


def test_a_subject_larger_than_a_file_stays_in_one(tmp_path):
    frame = pl.concat([random_frame(90).with_columns(subject_id=pl.lit(i, pl.Int64)) for i in (1, 2, 2, 2, 2, 3)])
    write(tmp_path, frame, grouped=True)
    assert open_dataset(tmp_path).events(2).height == 360


@pytest.mark.parametrize("grouped", [True, False])
def test_temporary_files_are_removed_after_an_error(tmp_path, grouped):
    with pytest.raises(RuntimeError), EventWriter(tmp_path, 1000, grouped) as writer:
        writer.add(random_frame())
        raise RuntimeError
    assert not (tmp_path / ".spill").exists()


def test_an_error_while_writing_a_file_is_raised(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(event_writer, "write_events", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, random_frame().sort("subject_id"), grouped=True)


def test_nothing_added_is_nothing_written(tmp_path):
    written = write(tmp_path, events_frame([]), grouped=True)
    assert (written.events, len(written.subjects), written.counts.height) == (0, 0, 0)


def test_buckets_are_even_for_regular_ids():
    counts = np.bincount(bucket_of(np.arange(0, 100_000, 10), 7), minlength=7)
    assert counts.min() > 0.8 * counts.mean()
