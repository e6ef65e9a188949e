"""The embedding cache: vectors by content, in one SQLite file.

A key is the SHA-256 of everything that a vector depends on (encoder identity, backend, precision, text), so an entry
is never wrong, only unused. Writes are transactions in write-ahead mode: a process killed at any moment leaves whole
entries only, and several processes may share the file. Beyond the size bound the entries used longest ago go first.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.settings import get_settings

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    encoder TEXT NOT NULL,
    used INTEGER NOT NULL,
    vector BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_use ON vectors (used);
"""
_LOOK = "SELECT key, encoder, used, vector, digest FROM vectors LIMIT 1"  # fails on a table of another making
_ROW_OVERHEAD = 160  # bytes of a row beside its vector: key twice (table, index), digest, name, page slack
_BATCH = 500  # keys of one query, below SQLite's limit of variables


def vector_key(identity: Mapping[str, Any], prefix: str, text: str) -> bytes:
    """The key of a piece's vector: SHA-256 over the encoder's identity, the text before it and the text."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for part in (prefix, text):
        digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
    return digest.digest()


@dataclass(frozen=True)
class CacheStats:
    """What a cache holds: number of vectors, bytes of the file, the bound in bytes, vectors by encoder."""

    path: Path
    vectors: int
    bytes: int
    max_bytes: int
    encoders: dict[str, int]


class EmbeddingCache:
    """Vectors on disk. Safe for several threads and several processes.

    Args:
        path: the SQLite file, made when it is not there; ``HOME/embeddings.sqlite`` by default.
        max_bytes: size bound of the vectors kept; the settings' ``cache_gb`` by default.

    Raises InputError when the file exists and is not such a cache.
    """

    def __init__(self, path: Path | None = None, max_bytes: int | None = None):
        settings = get_settings()
        self.path = path or settings.cache_path
        self.max_bytes = max_bytes or int(settings.cache_gb * 1e9)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._local = threading.local()
        self._connection()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self._spoken():
                connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
                try:
                    _prepare(connection)
                except sqlite3.Error:
                    connection.close()
                    raise
            self._local.connection = connection
        return connection

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Turn what SQLite raises (a damaged file, a full disk, a lock that is never given) into one sentence."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise InputError(f"the embedding cache {self.path} cannot be used ({error})", way_out(error)) from error

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """The vectors that are here, by key; each float32 ``(dimension,)``. A damaged one counts as absent."""
        with self._spoken():
            return self._get(self._connection(), keys)

    def _get(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        found: dict[bytes, np.ndarray] = {}
        for start in range(0, len(keys), _BATCH):
            part = list(keys[start : start + _BATCH])
            marks = ",".join("?" * len(part))
            rows = connection.execute(f"SELECT key, vector, digest FROM vectors WHERE key IN ({marks})", part)
            for key, blob, digest in rows:
                if _digest(blob) == digest:
                    found[key] = np.frombuffer(blob, dtype="<f4")
        if found:
            self._touch(list(found))
        return found

    def _touch(self, keys: list[bytes]) -> None:
        """Note the use, at most once an hour per entry: reading must not cost a write each time."""
        now = int(time.time())
        connection = self._connection()
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            marks = ",".join("?" * len(part))
            stale = connection.execute(
                f"SELECT count(*) FROM vectors WHERE key IN ({marks}) AND used < ?", [*part, now - 3600]
            ).fetchone()[0]
            if stale:
                connection.execute(f"UPDATE vectors SET used = ? WHERE key IN ({marks})", [now, *part])

    def put(self, encoder: str, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Store vectors in one transaction: all of them or, if the process dies, none. Not finite ones are refused."""
        rows = []
        now = int(time.time())
        for key, vector in vectors.items():
            if not np.isfinite(vector).all():
                raise InputError("a vector that is not finite was to be cached", "report this as a defect")
            blob = np.ascontiguousarray(vector, dtype="<f4").tobytes()
            rows.append((key, encoder, now, blob, _digest(blob)))
        with self._spoken():
            self._write(self._connection(), rows)

    def _write(self, connection: sqlite3.Connection, rows: list[tuple[bytes, str, int, bytes, bytes]]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "INSERT OR REPLACE INTO vectors (key, encoder, used, vector, digest) VALUES (?, ?, ?, ?, ?)", rows
            )
            self._evict(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled back already
                connection.execute("ROLLBACK")
            raise

    def _evict(self, connection: sqlite3.Connection) -> None:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        excess = (pages - free) * size - self.max_bytes
        if excess <= 0:
            return
        excess += self.max_bytes // 10  # make room for more than this write
        doomed, freed = [], 0
        for row, length in connection.execute("SELECT id, length(vector) FROM vectors ORDER BY used, id"):
            if freed >= excess:
                break
            doomed.append((row,))
            freed += length + _ROW_OVERHEAD
        connection.executemany("DELETE FROM vectors WHERE id = ?", doomed)

    def stats(self) -> CacheStats:
        """What the cache holds."""
        with self._spoken():
            rows = self._connection().execute(
                "SELECT encoder, count(*) FROM vectors GROUP BY encoder ORDER BY encoder"
            )
            encoders = dict(rows.fetchall())
        size = sum(
            file.stat().st_size
            for suffix in ("", "-wal")
            if (file := self.path.with_name(self.path.name + suffix)).exists()
        )
        return CacheStats(self.path, sum(encoders.values()), size, self.max_bytes, encoders)

    def clear(self, encoder: str | None = None) -> int:
        """Remove all vectors, or one encoder's; return how many. The file shrinks."""
        connection = self._connection()
        with self._spoken():
            if encoder is None:
                removed = connection.execute("DELETE FROM vectors").rowcount
            else:
                removed = connection.execute("DELETE FROM vectors WHERE encoder = ?", [encoder]).rowcount
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed

    def close(self) -> None:
        """Close this thread's connection."""
        if connection := getattr(self._local, "connection", None):
            connection.close()
            self._local.connection = None


def way_out(error: sqlite3.Error) -> str:
    """What to do about an error: not every file that cannot be used is damaged."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return "make room on the disk"
    if name.startswith("SQLITE_IOERR"):  # in write-ahead mode a full disk is one too
        return "make room on the disk; if there is enough, see that it works, and move the file away"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return "let this user read and write it and its folder, or name another place in CHARTLIGHT_CACHE"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "wait until the other process that uses it has ended"
    return "move it away; a new one is made"


def look_at(path: Path) -> None:
    """See that a file is a cache, and change nothing. Raises sqlite3.Error where it is none or cannot be read."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        connection.execute(_LOOK).fetchone()
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    """Set the mode and make the tables. Another process may be doing the same: its lock is waited for."""
    for attempt in range(100):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            connection.execute(_LOOK).fetchone()
            return
        except sqlite3.OperationalError as error:
            if attempt == 99 or not ("locked" in str(error) or "busy" in str(error)):
                raise
            time.sleep(0.05)


def _digest(blob: bytes) -> bytes:
    return hashlib.blake2b(blob, digest_size=8).digest()
