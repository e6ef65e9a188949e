"""The audit log is append-only, whole after a kill, and takes no free text."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from core.audit import AuditLog

WRITER = """
import sys
from pathlib import Path
from core.audit import AuditLog
log = AuditLog(Path(sys.argv[1]))
for index in range(int(sys.argv[2])):
    log.record(sys.argv[3], "view_subject", f"P-{index}", page="patients")
"""


def start_writer(path, count, who):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(count), who])


def test_entries_come_back_in_order(tmp_path):
    log = AuditLog(tmp_path / "logs" / "audit.jsonl")
    written = [log.record("ada", "score", "P-1", task="guo_los"), log.record("local", "export", format="png")]
    assert list(log.entries()) == written
    assert log.damaged_lines() == 0
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("call", [{"action": "browse"}, {"action": "score", "diagnosis": "pneumonia"}])
def test_what_the_log_does_not_know_is_refused_and_not_written(tmp_path, call):
    log = AuditLog(tmp_path / "audit.jsonl")
    with pytest.raises(ValueError, match="does not know"):
        log.record("ada", **call)
    assert not log.path.exists()


def test_two_processes_share_the_file(tmp_path):
    path = tmp_path / "audit.jsonl"
    writers = [start_writer(path, 200, name) for name in ("one", "two")]
    assert [writer.wait() for writer in writers] == [0, 0]
    log = AuditLog(path)
    for name in ("one", "two"):
        assert [e.subject for e in log.entries() if e.who == name] == [f"P-{i}" for i in range(200)]
    assert log.damaged_lines() == 0


def test_a_kill_loses_at_most_the_line_being_written(tmp_path):
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for attempt in range(4):
        writer = start_writer(path, 100_000, f"run{attempt}")
        before = path.stat().st_size if path.exists() else 0
        while not path.exists() or path.stat().st_size < before + 2000:
            time.sleep(0.005)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        log.record("after", "search")
    for attempt in range(4):
        subjects = [e.subject for e in log.entries() if e.who == f"run{attempt}"]
        assert subjects == [f"P-{i}" for i in range(len(subjects))] and subjects
    assert sum(e.who == "after" for e in log.entries()) == 4
    assert log.damaged_lines() <= 4


def test_a_torn_line_is_closed_off_and_counted(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.record("ada", "sign_in")
    with log.path.open("ab") as file:
        file.write(b'{"time": "2026-')
    log.record("ada", "sign_out")
    assert [entry.action for entry in log.entries()] == ["sign_in", "sign_out"]
    assert log.damaged_lines() == 1


@pytest.mark.parametrize("refused", [False, True])
def test_a_half_written_line_is_an_error_and_does_not_take_the_next_entry_with_it(tmp_path, monkeypatch, refused):
    """``refused``: on a file system that lets nobody shorten the file, the half line stays and is closed off."""
    log = AuditLog(tmp_path / "audit.jsonl")
    log.record("ada", "sign_in")
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda descriptor, line: write(descriptor, line[: len(line) // 2]))
        if refused:

            def refuse(descriptor, size):
                raise PermissionError(1, "Operation not permitted")

            full.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="No space left"):
            log.record("ada", "view_subject", "P-1")
    log.record("ada", "sign_out")
    assert [entry.action for entry in log.entries()] == ["sign_in", "sign_out"]
    assert log.damaged_lines() == refused


LIMITED = """
import resource, signal, sys
from pathlib import Path
from core.audit import AuditLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
log, written = AuditLog(Path(sys.argv[1])), 0
try:
    while True:
        log.record("ada", "view_subject", f"P-{written}")
        written += 1
except OSError:
    print(written)
"""


def test_what_is_said_to_be_written_on_a_full_disk_is_written(tmp_path):
    path = tmp_path / "audit.jsonl"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    log = AuditLog(path)
    assert len(list(log.entries())) == int(done.stdout) > 5
    assert log.damaged_lines() == 0


def test_a_long_name_cannot_fill_the_disk(tmp_path):
    entry = AuditLog(tmp_path / "audit.jsonl").record("x" * 10_000, "error", error_id="y" * 10_000)
    assert len(entry.who) == 120 and len(entry.details["error_id"]) == 120
