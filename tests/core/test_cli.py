"""The frame of the command line: statuses, one-line errors, help."""

import io
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from core import cli
from core.errors import InputError
from core.progress import terminal_bar


def with_command(monkeypatch, run) -> None:
    module = SimpleNamespace(HELP="test", add_arguments=lambda parser: parser.add_argument("--n", type=int), run=run)
    monkeypatch.setattr(cli, "_command_modules", lambda: {"probe": module})


def test_success_is_zero(monkeypatch):
    seen = []
    with_command(monkeypatch, lambda args: seen.append(args.n))
    assert cli.main(["probe", "--n", "3"]) == 0
    assert seen == [3]


def test_an_input_error_is_one_line_and_status_two(monkeypatch, capsys):
    def run(args):
        raise InputError("the file\nx is empty", "give a file with rows")

    with_command(monkeypatch, run)
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err == "error: the file x is empty; give a file with rows\n"


def test_an_interrupt_is_status_130(monkeypatch, capsys):
    def run(args):
        raise KeyboardInterrupt

    with_command(monkeypatch, run)
    assert cli.main(["probe"]) == 130
    assert capsys.readouterr().err.startswith("error: interrupted;")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            PermissionError(13, "Permission denied", "/data/x"),
            "error: /data/x: Permission denied; write to a folder of your own",
        ),
        (OSError(30, "Read-only file system", "/data/x"), "error: /data/x: Read-only file system; write to a folder"),
        (OSError(28, "No space left on device"), "error: No space left on device; free space"),
        (NotADirectoryError(20, "Not a directory", b"x"), "error: x: Not a directory; check the path"),
    ],
)
def test_what_the_operating_system_refuses_is_one_line_and_status_two(monkeypatch, capsys, error, line):
    def run(args):
        raise error

    with_command(monkeypatch, run)
    assert cli.main(["probe"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(line) and said.count("\n") == 1


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    def run(args):
        raise OSError("cannot find loader for this file")

    with_command(monkeypatch, run)
    with pytest.raises(OSError, match="cannot find loader"):
        cli.main(["probe"])


def test_sigterm_ends_a_command_as_ctrl_c_does_and_nothing_is_left(tmp_path):
    line = [sys.executable, "-m", "core", "demo", str(tmp_path / "demo"), "--subjects", "100000"]
    running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".demo.partial/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.terminate()
    assert "error: interrupted; run the same command again" in running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert not list(tmp_path.iterdir())


def test_output_is_utf8_whatever_the_locale_is(monkeypatch):
    """Under PYTHONUTF8=0 with LC_ALL=C, or a Latin-1 locale, a middle dot in a score was a traceback."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    with_command(monkeypatch, lambda args: print("7 · 日本", os.fsdecode(b"klinik-\xe4"), flush=True))
    assert cli.main(["probe"]) == 0
    assert out.getvalue() == "7 · 日本 klinik-".encode() + b"\xe4\n"


def test_a_bar_without_any_stderr_is_none(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)  # a service that was started with it closed
    with terminal_bar("probe") as progress:
        progress(1, 2, "half")


@pytest.mark.parametrize("arguments", [["nonsense"], ["probe", "--n", "three"], []])
def test_wrong_arguments_are_one_line_and_status_two(monkeypatch, capsys, arguments):
    with_command(monkeypatch, lambda args: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


def test_help_lists_the_commands_quickly_and_without_heavy_imports():
    script = "import sys; from core.cli import build_parser; build_parser(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "False", result.stderr
