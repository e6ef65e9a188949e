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
        log.record("after", "start")
    for attempt in range(4):
        subjects = [e.subject for e in log.entries() if e.who == f"run{attempt}"]
        assert subjects == [f"P-{i}" for i in range(len(subjects))] and subjects
    assert sum(e.who == "after" for e in log.entries()) == 4
    assert log.damaged_lines() <= 4


def test_a_torn_line_is_closed_off_and_counted(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.record("ada", "start")
    with log.path.open("ab") as file:
        file.write(b'{"time": "2026-')
    log.record("ada", "sign_out")
    assert [entry.action for entry in log.entries()] == ["start", "sign_out"]
    assert log.damaged_lines() == 1


def test_a_long_name_cannot_fill_the_disk(tmp_path):
    entry = AuditLog(tmp_path / "audit.jsonl").record("x" * 10_000, "error", error_id="y" * 10_000)
    assert len(entry.who) == 120 and len(entry.details["error_id"]) == 120
