import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from core import cli
from core.embedding import cache as cache_module
from core.embedding.cache import EmbeddingCache, vector_key
from core.errors import InputError

IDENTITY = {"name": "e", "precision": "float32"}


def vector(seed: int, dimension: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)


def key(n: int) -> bytes:
    return vector_key(IDENTITY, "", str(n))


@pytest.fixture
def cache(tmp_path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache.sqlite")


def test_what_is_put_is_got(cache):
    cache.put("e", {key(n): vector(n) for n in range(1200)})
    found = cache.get([key(n) for n in range(1300)])
    assert len(found) == 1200
    np.testing.assert_array_equal(found[key(7)], vector(7))
    assert cache.stats().encoders == {"e": 1200}


def test_the_key_depends_on_everything():
    keys = {
        vector_key({"name": "e"}, "", "ab"),
        vector_key({"name": "f"}, "", "ab"),
        vector_key({"name": "e", "precision": "bfloat16"}, "", "ab"),
        vector_key({"name": "e"}, "a", "b"),
        vector_key({"name": "e"}, "ab", ""),
        vector_key({"name": "e"}, "", "AB"),
    }
    assert len(keys) == 6


def test_a_damaged_vector_counts_as_absent(cache):
    cache.put("e", {key(1): vector(1), key(2): vector(2)})
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE vectors SET vector = ? WHERE key = ?", [vector(3).tobytes(), key(1)])
    assert set(cache.get([key(1), key(2)])) == {key(2)}


def test_a_vector_that_is_not_finite_is_refused_with_the_whole_batch(cache):
    with pytest.raises(InputError, match="not finite"):
        cache.put("e", {key(1): vector(1), key(2): np.array([np.nan], np.float32)})
    assert cache.get([key(1)]) == {}


def test_the_size_stays_bounded_and_the_oldest_entries_go_first(tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path / "c.sqlite", max_bytes=2_000_000)
    now = [1_000_000]
    monkeypatch.setattr(cache_module.time, "time", lambda: now[0])
    for step in range(30):
        now[0] += 7200
        cache.put("e", {key(step * 100 + n): vector(n, 384) for n in range(100)})
        cache.get([key(n) for n in range(50)])  # kept in use
    stats = cache.stats()
    assert 500 < stats.vectors < 1300
    assert stats.bytes < 2_000_000 * 1.5 + 5_000_000  # the write-ahead log comes on top
    assert len(cache.get([key(n) for n in range(50)])) == 50
    assert len(cache.get([key(2900 + n) for n in range(100)])) == 100
    assert cache.get([key(100)]) == {}


def test_a_file_that_is_no_cache_is_an_error_and_is_left_alone(tmp_path):
    path = tmp_path / "cache.sqlite"
    path.write_bytes(b"this is not a database, it is a letter " * 100)
    with pytest.raises(InputError, match="cannot be used"):
        EmbeddingCache(path)
    assert path.read_bytes().startswith(b"this is not")


def test_a_file_that_is_damaged_inside_is_one_sentence(tmp_path):
    path = tmp_path / "cache.sqlite"
    cache = EmbeddingCache(path)
    cache.put("e", {key(n): vector(n, 384) for n in range(400)})
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cache.close()
    data = bytearray(path.read_bytes())
    data[8192 : len(data) // 2] = os.urandom(len(data) // 2 - 8192)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be used .*; move it away; a new one is made") as caught:
        damaged = EmbeddingCache(path)
        damaged.get([key(n) for n in range(400)])
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(cache):
    cache.put("e", {key(n): vector(n, 384) for n in range(50)})
    pages = cache._connection().execute("PRAGMA page_count").fetchone()[0]
    cache._connection().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(InputError, match=r"cannot be used .*full.*; make room on the disk"):
        cache.put("e", {key(n): vector(n, 384) for n in range(1000, 1500)})
    assert len(cache.get([key(n) for n in range(50)])) == 50 and cache.stats().vectors == 50
    cache._connection().execute("PRAGMA max_page_count = 1000000")
    cache.put("e", {key(2000): vector(2000, 384)})
    assert cache.stats().vectors == 51


WRITER = """
import sys, numpy as np
from pathlib import Path
from core.embedding.cache import EmbeddingCache, vector_key
cache = EmbeddingCache(Path(sys.argv[1]))
start, stop = int(sys.argv[2]), int(sys.argv[3])
for n in range(start, stop, 20):
    cache.put("e", {vector_key({"name": "e", "precision": "float32"}, "", str(m)):
        np.random.default_rng(m).standard_normal(8).astype(np.float32) for m in range(n, n + 20)})
    print(n, flush=True)
"""


def start_writer(path, start, stop) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(start), str(stop)], stdout=subprocess.PIPE)


def test_a_writer_killed_at_any_moment_leaves_whole_vectors_only(tmp_path):
    path = tmp_path / "cache.sqlite"
    held = 0
    for round_ in range(6):
        writer = start_writer(path, round_ * 1_000_000, (round_ + 1) * 1_000_000)
        writer.stdout.readline()
        time.sleep(0.01 + 0.03 * round_)
        os.kill(writer.pid, signal.SIGKILL)
        told = [round_ * 1_000_000] + [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        cache = EmbeddingCache(path)
        numbers = range(round_ * 1_000_000, told[-1] + 40)
        found = cache.get([key(n) for n in numbers])
        assert all(key(n) in found for n in range(round_ * 1_000_000, told[-1] + 20))  # what was told is there
        assert len(found) % 20 == 0  # transactions are whole
        for n in numbers:
            if key(n) in found:
                np.testing.assert_array_equal(found[key(n)], vector(n))
        assert cache.stats().vectors > held
        held = cache.stats().vectors
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        cache.close()


def test_two_processes_share_one_file(tmp_path):
    path = tmp_path / "cache.sqlite"
    writers = [start_writer(path, 0, 600), start_writer(path, 300, 900)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdout.close()
    found = EmbeddingCache(path).get([key(n) for n in range(900)])
    assert len(found) == 900
    np.testing.assert_array_equal(found[key(450)], vector(450))


def test_clear_one_encoder_or_all(cache):
    cache.put("e", {key(1): vector(1)})
    cache.put("f", {key(2): vector(2)})
    assert cache.clear("e") == 1
    assert cache.stats().encoders == {"f": 1}
    assert cache.clear() == 1
    assert cache.stats().vectors == 0


def test_the_command_shows_and_clears(cache, monkeypatch, capsys):
    settings = cache_module.get_settings().model_copy(update={"cache": cache.path})
    monkeypatch.setattr(cache_module, "get_settings", lambda: settings)
    cache.put("e", {key(1): vector(1)})
    assert cli.main(["cache", "--stats"]) == 0
    out = capsys.readouterr().out
    assert "1 vectors" in out and "e: 1" in out
    assert cli.main(["cache", "--clear"]) == 0
    assert "removed 1 vectors" in capsys.readouterr().out
    assert cli.main(["cache", "--encoder", "e"]) == 2
    assert "error: --encoder goes with --clear" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("in_the_way", "fix"),
    [
        (lambda path: path.mkdir(), "let this user read and write it"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE vectors (a)").connection.commit(), "move it away"),
    ],
    ids=["a folder", "another program's table"],
)
def test_what_cannot_be_opened_is_one_sentence_that_says_what_helps(tmp_path, in_the_way, fix):
    in_the_way(tmp_path / "cache.sqlite")
    with pytest.raises(InputError, match=f"cannot be used .*; {fix}"):
        EmbeddingCache(tmp_path / "cache.sqlite")


def test_a_file_that_may_not_be_written_is_not_to_be_thrown_away(tmp_path, monkeypatch):
    """As root nothing is forbidden: a connection that may only read stands for the file."""
    EmbeddingCache(tmp_path / "cache.sqlite").close()
    connect, uri = sqlite3.connect, (tmp_path / "cache.sqlite").as_uri()
    monkeypatch.setattr(
        cache_module.sqlite3, "connect", lambda *_, **more: connect(f"{uri}?mode=ro", uri=True, **more)
    )
    with pytest.raises(InputError, match=r"cannot be used .*readonly.*; let this user read and write it"):
        EmbeddingCache(tmp_path / "cache.sqlite").put("e", {key(1): vector(1)})
