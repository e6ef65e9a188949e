"""The app killed at any moment, while it scores: cache, audit log and dataset stay whole, and it starts again."""

import asyncio
import hashlib
import os
import random
import signal
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks._session import Session
from core.audit import AuditLog
from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.embedding.cache import EmbeddingCache, _digest, vector_key
from core.embedding.encoders import load_encoder
from core.privacy import load_key, pseudonym
from core.risk.heads import load_heads
from core.risk.records import options_of, record_at
from core.settings import Settings
from tests.e2e.app_process import ROOT, apart, running

ROUNDS, SUBJECTS, PEOPLE = 3, 60, 4
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


async def score(url: str, subjects: list[int]) -> None:
    """Open the scores of subjects one after the other until the connection breaks."""
    async with Session(url) as session:
        for subject in subjects:
            await session.open("risk", f"subject={subject}")


def work(url: str, subjects: list[int]) -> None:
    async def everybody() -> None:
        people = (score(url, subjects[number::PEOPLE]) for number in range(PEOPLE))
        await asyncio.gather(*people, return_exceptions=True)

    apart(everybody())


def wait_for_scoring(log: AuditLog, before: int) -> None:
    """Wait until a new score is being made."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if sum(entry.action == "score" for entry in log.entries()) > before:
            return
        time.sleep(0.02)
    raise AssertionError("nobody scored anything")


def vectors(path: Path) -> dict[bytes, np.ndarray]:
    """Every vector of the cache; all must be whole."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = connection.execute("SELECT key, vector, digest FROM vectors").fetchall()
    connection.close()
    assert all(_digest(blob) == digest for _, blob, digest in rows)
    return {key: np.frombuffer(blob, "<f4") for key, blob, _ in rows}


def test_a_kill_while_scoring_harms_nothing(tmp_path: Path):
    demo = tmp_path / "demo"
    generate_demo(demo, subjects=SUBJECTS, seed=11)
    before = fingerprint(demo)
    settings = Settings(_env_file=None, home=tmp_path)
    log, draw = AuditLog(settings.audit_path), random.Random(4)
    subjects = [int(subject) for subject in open_dataset(demo).index.subject_ids]
    draw.shuffle(subjects)
    for number in range(ROUNDS):
        server = running(tmp_path, demo)
        with server as url:
            scored = sum(entry.action == "score" for entry in log.entries())
            mine = subjects[number::ROUNDS]
            people = threading.Thread(target=work, args=(url, mine), daemon=True)
            people.start()
            wait_for_scoring(log, scored)
            time.sleep(draw.uniform(0.0, 2.0))
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait(10)
            people.join(30)
        if settings.cache_path.exists():
            EmbeddingCache(settings.cache_path, 10**9).close()
            assert all(
                vector.shape == (384,) and np.isfinite(vector).all()
                for vector in vectors(settings.cache_path).values()
            )
        assert log.damaged_lines() <= number + 1
        assert fingerprint(demo) == before

    subject = subjects[0]
    name = pseudonym(subject, load_key(settings))
    with running(tmp_path, demo) as url:

        async def last() -> None:
            async with Session(url) as session:
                await session.open("risk", f"subject={subject}")
                assert session.sees(name)
                assert session.sees("Probability") or session.sees("no reliable estimate")
                assert not session.sees("Something went wrong")

        apart(last())
    assert fingerprint(demo) == before
    check_correct(settings, demo, subjects)
    assert sum(entry.action == "start" or entry.action == "score" for entry in log.entries()) >= ROUNDS


def check_correct(settings: Settings, demo: Path, subjects: list[int]) -> None:
    """What the killed processes left under a text's key is what that text gives when it is embedded anew."""
    encoder = load_encoder("minilm", "cpu")
    options = options_of(next(iter(load_heads(ROOT / "assets" / "heads" / "minilm").values())).identity)
    kept, dataset = vectors(settings.cache_path), open_dataset(demo)
    pieces = {}
    for subject in subjects:
        times = [at for task in dataset.tasks() for at in _times(dataset, task, subject)]
        for at in set(times):
            for piece in encoder.pieces(record_at(dataset, subject, at, options).text):
                pieces[vector_key(encoder.cache_identity, piece.prefix, piece.text)] = piece
    known = [key for key in kept if key in pieces][:60]
    assert len(known) >= 10
    anew = encoder.embed_pieces([pieces[key] for key in known])
    np.testing.assert_allclose(np.stack([kept[key] for key in known]), anew, atol=2e-5)


def _times(dataset, task: str, subject: int) -> list:
    labels = dataset.labels(task)
    return labels.filter(labels["subject_id"] == subject)["prediction_time"].to_list()
