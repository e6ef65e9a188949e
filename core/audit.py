"""The audit log: who did what, when, to which (hashed) subject or image. No clinical content.

One JSON object a line, appended with one write and flushed to the disk, so that a kill at any moment loses at most the
line being written. A torn last line is closed off by the next writer and reported, not repaired, by the reader.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ACTIONS = (
    "sign_in",
    "sign_out",
    "denied",
    "search",
    "view_subject",
    "score",
    "evidence",
    "what_if",
    "segment",
    "explain_image",
    "export",
    "view_audit",
    "error",
)
DETAILS = ("page", "task", "encoder", "head", "model", "format", "outcome", "error_id", "dataset", "seconds", "role")
_LONGEST = 120


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes:
        time: UTC, ISO 8601 with milliseconds.
        who: the signed-in user, or ``local`` without sign-in.
        action: one of :data:`ACTIONS`.
        subject: pseudonym of a subject or hash of an image, never an id or a file name.
        details: values for the keys of :data:`DETAILS` only.
    """

    time: str
    who: str
    action: str
    subject: str = ""
    details: dict[str, str] = field(default_factory=dict)


class AuditLog:
    """Append-only log in one file, shared by threads and processes."""

    def __init__(self, path: Path):
        self.path = path

    def record(self, who: str, action: str, subject: str = "", **details: object) -> Entry:
        """Append one entry and return it.

        Raises:
            ValueError: an action or a detail that the log does not know (a mistake in the program: free text could
                carry clinical content).
            OSError: the entry is not, or not wholly, in the log; no half of it is left there.
        """
        unknown = set(details) - set(DETAILS)
        if action not in ACTIONS or unknown:
            raise ValueError(f"the audit log does not know {action} with {sorted(unknown)}")
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = Entry(time, who[:_LONGEST], action, subject, {k: str(v)[:_LONGEST] for k, v in details.items()})
        line = json.dumps(asdict(entry), ensure_ascii=True).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(descriptor, line) < len(line):
                with suppress(OSError):  # else the next writer closes the half line off
                    os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return entry

    def entries(self) -> Iterator[Entry]:
        """Yield the whole entries in order; a torn or foreign line is left out (see :meth:`damaged_lines`)."""
        for line in self._lines():
            entry = _parse(line)
            if entry is not None:
                yield entry

    def damaged_lines(self) -> int:
        """Return how many lines are not whole entries."""
        return sum(_parse(line) is None for line in self._lines())

    def _lines(self) -> Iterator[bytes]:
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from (line for line in file if line.strip())


def _parse(line: bytes) -> Entry | None:
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None
