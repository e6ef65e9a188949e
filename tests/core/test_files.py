"""Files written whole or not at all: every writer of core goes through :func:`core.files.replacing`."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from core.ehr import external_vocabulary, index
from core.embedding.features import read_json, write_json, write_part
from core.files import remove_leftovers, replacing, write_atomic, write_table

CORE = Path(__file__).parents[2] / "core"


def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("hal")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["table.csv"]


def test_a_block_that_wrote_nothing_is_an_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["table.csv"]


def test_the_data_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(("fsync", os.fstat(fd).st_size)), sync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append(("replace", Path(paths[1]).name)), rename(*paths)))
    write_atomic(tmp_path / "new" / "file", b"four")
    assert done == [("fsync", 4), ("replace", "file")]
    assert (tmp_path / "new" / "file").read_bytes() == b"four"


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path):
    code = (
        "import os, signal; from pathlib import Path; from core.files import replacing\n"
        f"with replacing(Path({str(tmp_path / 'file')!r})) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CORE.parent, check=False)
    (left,) = tmp_path.iterdir()
    remove_leftovers(tmp_path, datetime.fromtimestamp(left.stat().st_mtime - 1, UTC))
    assert left.exists() and not (tmp_path / "file").exists()
    os.utime(left, (0, 0))
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("whole")
        (tmp_path / ".hidden").write_text("mine")
        # a millisecond off: a datetime rounds to microseconds, up as well as down
        remove_leftovers(tmp_path, datetime.fromtimestamp(temporary.stat().st_mtime - 0.001, UTC))
    assert sorted(os.listdir(tmp_path)) == [".hidden", "file"]
    remove_leftovers(tmp_path / "none", datetime.now(UTC))


def test_two_threads_in_one_file_at_once_leave_one_whole_file(tmp_path):
    path, together = tmp_path / "file", Barrier(2, timeout=10)

    def write(letter: str) -> None:
        with replacing(path) as temporary:
            with temporary.open("w") as file:
                file.write(letter * 1000)
                together.wait()
                file.write(letter * 1000)
            together.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert path.read_text() in ("a" * 2000, "b" * 2000) and os.listdir(tmp_path) == ["file"]


ROWS = pl.DataFrame({"subject_id": [1, 2], "prediction_time": [datetime(2020, 1, 1)] * 2, "task": ["all"] * 2})
WRITERS: dict[str, tuple[Callable[[Path, int], object], Callable[[Path], object]]] = {
    "file.bin": (lambda path, n: write_atomic(path, bytes([n]) * 100_000), Path.read_bytes),
    "manifest.json": (lambda path, n: write_json(path, {"n": [n] * 1000}), read_json),
    "part.parquet": (
        lambda path, n: write_part(path, ROWS, np.full((2, 4), n, np.float32)),
        lambda path: pq.read_table(path).num_rows,
    ),
    "results.csv": (lambda path, n: write_table(path, pl.DataFrame({"n": [n] * 1000})), pl.read_csv),
    "table.parquet": (lambda path, n: write_table(path, pl.DataFrame({"n": [n]})), pl.read_parquet),
    "vocabulary.parquet": (lambda path, n: external_vocabulary._keep(pl.DataFrame({"n": [n]}), path), pl.read_parquet),
    "name-state.arrow": (
        lambda path, n: index._save(pl.DataFrame({"n": [n]}), path),
        pl.read_ipc,
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_many_threads_may_write_one_file(tmp_path, name):
    write, read = WRITERS[name]
    path = tmp_path / name
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write(path, n), range(80)))
    read(path)
    assert os.listdir(tmp_path) == [name]


@pytest.fixture
def short_of_room():
    """No file of this process may be longer than 8,192 bytes: what a disk that fills up does to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["results.csv", "table.parquet", "index.arrow"])
def test_a_table_that_finds_no_room_is_an_error_of_the_system_and_leaves_the_old_one(tmp_path, short_of_room, name):
    """Polars itself raises a ComputeError, or an OSError without a number, which the command line takes for ours."""
    (tmp_path / name).write_text("old")
    with pytest.raises(OSError) as caught:
        write_table(tmp_path / name, pl.DataFrame({"n": np.random.default_rng(0).random(10_000)}))
    assert caught.value.errno == errno.EFBIG
    assert (tmp_path / name).read_text() == "old" and os.listdir(tmp_path) == [name]


def test_a_vocabulary_that_finds_no_room_is_not_kept_and_does_no_harm(tmp_path, short_of_room):
    external_vocabulary._keep(pl.DataFrame({"n": np.random.default_rng(0).random(10_000)}), tmp_path / "v.parquet")
    assert os.listdir(tmp_path) == []


def test_no_other_module_replaces_files_by_itself():
    """Folders are swapped in meds_layout by rename; files only here."""
    by_hand = [path.relative_to(CORE).as_posix() for path in CORE.rglob("*.py") if "os.replace(" in path.read_text()]
    assert by_hand == ["files.py"]
