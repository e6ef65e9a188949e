"""The command line: ``python -m core COMMAND``.

Each command is a module of ``core.commands`` with ``HELP``, ``add_arguments(parser)`` and ``run(args)``.
A command module imports what is heavy inside ``run``, so that ``--help`` stays quick.
Exit status: 0 on success, 2 with one line ``error: what; how to fix it`` on bad input or where a file or folder cannot
be read or written, 130 when interrupted, by Ctrl-C or by SIGTERM.
"""

import argparse
import errno
import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import NoReturn

from core import commands
from core.errors import ChartlightError

_WRITABLE = "write to a folder of your own (name one in the command, or in CHARTLIGHT_HOME), or let this user read it"
_FIXES = {
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: _WRITABLE,
    errno.ENOSPC: "free space on that disk, or write to another",
}
_FIX = "check the path, and the disk that it is on"


def _command_modules() -> dict[str, ModuleType]:
    """Every module of core.commands by its command's name (``train_heads`` -> ``train-heads``)."""
    names = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    return {name.rstrip("_").replace("_", "-"): importlib.import_module(f"core.commands.{name}") for name in names}


def as_interrupt(number: int, frame: FrameType | None) -> None:
    """What SIGTERM does: a scheduler or a container that stops a command is as good as Ctrl-C, and nothing is left.

    The first process of a container, besides, is ended by no signal that it does not answer.
    """
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(prog="python -m core", description="Chartlight without a browser. Research use only.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _command_modules().items():
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # records and cards are UTF-8, whatever the locale is
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    args = build_parser().parse_args(argv)
    args.words = list(sys.argv[1:] if argv is None else argv)  # for the records of what a result was made by
    try:
        args.run(args)
    except ChartlightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno is None:  # not of the operating system: a mistake in the program
            raise
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        print(f"error: {where}{error.strerror}; {_FIXES.get(error.errno, _FIX)}", file=sys.stderr)
        return 2
    return 0
