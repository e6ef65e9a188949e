"""serve: refuses what would be unsafe or cannot work, in one sentence, before it starts anything."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from core.commands import serve
from core.errors import InputError
from core.settings import Settings


def test_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=str(port)):
            serve.refuse_taken_port("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 70000])
def test_impossible_port_is_named(port):
    with pytest.raises(InputError, match="cannot listen"):
        serve.refuse_taken_port("127.0.0.1", port)


def test_missing_dataset_is_named(tmp_path):
    (tmp_path / "a-file").write_text("")
    for name in ("nowhere", "a-file"):
        with pytest.raises(InputError, match=f"there is no dataset folder .*{name}; .*DATA="):
            serve.ensure_datasets(Settings(home=tmp_path, datasets=[tmp_path / name]))


def test_command_binds_where_it_was_told():
    line = serve.command("127.0.0.1", 8601, Settings(upload_mb=7))
    assert "--server.address=127.0.0.1" in line
    assert "--server.port=8601" in line
    assert "--server.maxUploadSize=7" in line
    assert not any("allowedHosts" in part for part in line)


def test_threads_of_models_sleep_while_they_wait_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert serve.environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert serve.environment()["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.parametrize(("cores", "workers", "threads"), [(2, 2, "1"), (16, 2, "8"), (1, 2, "1"), (8, 1, "8")])
def test_jobs_that_run_at_once_share_the_cores(cores, workers, threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(serve, "available_cores", lambda: cores)
    monkeypatch.setattr(serve, "get_settings", lambda: Settings(queue_workers=workers))
    assert serve.environment()["OMP_NUM_THREADS"] == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert serve.environment()["OMP_NUM_THREADS"] == "3"


def test_nothing_calls_home_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("STREAMLIT_BROWSER_GATHER_USAGE_STATS", "true")
    assert serve.environment()["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] == "false"


def test_arguments_are_read():
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    assert parser.parse_args(["--port", "1", "--address", "::1"]).port == 1


APP = """
import pathlib, signal, sys, time
here = pathlib.Path(sys.argv[1])
def stop(number, frame):
    time.sleep(0.5)  # what it still has to write
    (here / "finished").touch()
    sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in sys.argv else stop)
signal.signal(signal.SIGINT, signal.SIG_IGN)
(here / "up").write_text(str(__import__("os").getpid()))
time.sleep(60)
"""
SERVE = """
import signal, sys
from core import cli
from core.commands import serve
serve.GRACE_SECONDS = 2.0
signal.signal(signal.SIGTERM, cli.as_interrupt)
sys.exit(serve.run_until_stopped([sys.executable, "-c", *sys.argv[1:]]))
"""


def until(done, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("deaf", [False, True])
def test_a_signal_to_the_command_alone_ends_the_app_with_time_to_finish(tmp_path, asked, deaf):
    line = [sys.executable, "-c", SERVE, APP, str(tmp_path), *(["deaf"] if deaf else [])]
    command = subprocess.Popen(line, cwd=serve.PROJECT_ROOT, start_new_session=True)
    until(lambda: (tmp_path / "up").exists() and (tmp_path / "up").read_text())
    command.send_signal(asked)
    assert command.wait(20) == 0
    assert not is_running(int((tmp_path / "up").read_text()))
    assert (tmp_path / "finished").exists() is not deaf


def test_an_app_that_ends_by_itself_gives_its_status():
    assert serve.run_until_stopped([sys.executable, "-c", "raise SystemExit(7)"]) == 7
