"""A small MEDS dataset with all label types and a planted signal, and an encoder that needs no weights."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from core.ehr.markdown import SerializationOptions
from core.ehr.store import open_dataset
from core.ehr.tasks import TASKS
from core.risk.cohort import unique_times
from core.risk.featuresets import FeatureSet
from core.risk.records import embed_rows
from core.risk.runner import load_labels

N_SUBJECTS = 360
START = datetime(2020, 1, 1)


def write_dataset(folder, n=N_SUBJECTS, seed=0):
    """Subjects carry one of 14 codes a finding would follow from; labels of every task depend on those codes."""
    rng = np.random.default_rng(seed)
    events, labels = [], {task.id: [] for task in TASKS}
    codes = [f"ICD10CM/X{i:02d}" for i in range(14)]
    for subject in range(1, n + 1):
        has = rng.random(14) < 0.35
        events.append((subject, datetime(1950 + subject % 50, 3, 1), "MEDS_BIRTH", None, None))
        events.append((subject, datetime(1950 + subject % 50, 3, 1), f"Gender/{'FM'[subject % 2]}", None, None))
        for v in range(3):
            at = START + timedelta(days=int(rng.integers(0, 300)) + 300 * v)
            for i in np.flatnonzero(has):
                events.append((subject, at, codes[i], None, None))
            events.append((subject, at, "LOINC/2951-2", float(140 - 8 * has[0] + rng.normal()), "mmol/L"))
        for t in range(2):
            when = START + timedelta(days=950 + t, hours=23, minutes=59)
            noisy = has ^ (rng.random(14) < 0.12)
            for j, task in enumerate(TASKS):
                if task.label_type == "boolean":
                    value = bool(noisy[j % 14])
                elif task.label_type == "severity":
                    value = int(noisy[j % 14]) * int(rng.integers(1, 4))
                else:
                    value = int("".join(str(int(bit)) for bit in noisy), 2)  # the first finding is the highest bit
                labels[task.id].append((subject, when, value))
    frame = pl.DataFrame(
        events,
        schema={
            "subject_id": pl.Int64,
            "time": pl.Datetime("us"),
            "code": pl.String,
            "numeric_value": pl.Float32,
            "unit": pl.String,
        },
        orient="row",
    ).sort("subject_id", "time", maintain_order=True)
    (folder / "data").mkdir(parents=True)
    (folder / "metadata").mkdir()
    frame.write_parquet(folder / "data" / "0.parquet")
    words = ["asthma", "gout", "anemia", "sepsis", "stroke", "migraine", "eczema"]
    words += ["psoriasis", "hepatitis", "nephritis", "scoliosis", "glaucoma", "tinnitus", "vertigo"]
    pl.DataFrame(
        {
            "code": [*codes, "LOINC/2951-2"],
            "description": [*words, "Sodium"],
            "parent_codes": [*([f"ICD10CM/P{i % 3}"] for i in range(14)), []],
        },
        schema={"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
    ).write_parquet(folder / "metadata" / "codes.parquet")
    split = np.array(["train", "tuning", "held_out"])[rng.permutation(n) % 3]
    pl.DataFrame({"subject_id": np.arange(1, n + 1), "split": split}).write_parquet(
        folder / "metadata" / "subject_splits.parquet"
    )
    for task in TASKS:
        write_labels(folder, task, labels[task.id])
    return folder


def write_labels(folder, task, rows):
    name, kind = ("boolean_value", pl.Boolean) if task.label_type == "boolean" else ("integer_value", pl.Int64)
    (folder / "labels" / task.id).mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        rows, schema={"subject_id": pl.Int64, "prediction_time": pl.Datetime("us"), name: kind}, orient="row"
    ).write_parquet(folder / "labels" / task.id / "labels.parquet")


@pytest.fixture(scope="session")
def dataset_path(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("ehrshot") / "shaped")


@pytest.fixture(scope="session")
def dataset(dataset_path):
    return open_dataset(dataset_path)


@dataclass(frozen=True)
class HashSpec:
    name: str = "hash-words"
    template: str = "{record}"
    max_tokens: int = 4096

    @property
    def takes_instruction(self):
        return "{instruction}" in self.template


@dataclass(frozen=True)
class WordPiece:
    prefix: str
    text: str
    weight: int
    tokens: int


class HashEncoder:
    """Words hashed to signed directions and averaged: deterministic, quick, and linear in what the text says."""

    dimension = 48

    def __init__(self, template="{record}"):
        self.spec = HashSpec(template=template)
        self.calls = 0
        self.pieces_embedded = 0

    @property
    def identity(self):
        return {
            "name": self.spec.name,
            "revision": "1",
            "weights_sha256": "",
            "config_sha256": "",
            "template": self.spec.template,
            "pooling": "mean",
            "attention": "bidirectional",
            "chunking": "structure",
            "chunk_tokens": 64,
            "max_tokens": 4096,
            "dimension": self.dimension,
        }

    cache_identity = identity

    def count_tokens(self, text):
        return len(text.split())

    def pieces(self, text, instruction=None):
        lines = [line for line in text.split("\n") if line.strip()]
        prefix = instruction or "" if self.spec.takes_instruction else ""
        return [WordPiece(prefix, line, max(1, len(line.split())), max(1, len(line.split()))) for line in lines]

    def embed_pieces(self, pieces, progress=None):
        self.calls += 1
        self.pieces_embedded += len(pieces)
        return np.stack([self._words(f"{piece.prefix} {piece.text}") for piece in pieces])

    def stream(self, pieces, progress=None):
        if pieces:
            yield 0, self.embed_pieces(pieces)

    def _words(self, text):
        total = np.zeros(self.dimension)
        for word in text.split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
            total += np.random.default_rng(seed).normal(size=self.dimension)
        return total.astype(np.float32)

    def combine(self, pieces, vectors):
        mean = np.asarray(vectors, np.float64).sum(axis=0)
        return (mean / np.linalg.norm(mean)).astype(np.float32)


@pytest.fixture(scope="session")
def encoder():
    return HashEncoder()


@pytest.fixture(scope="session")
def heads_folder(tmp_path_factory, dataset, encoder):
    from core.ehr.markdown import SerializationOptions
    from core.risk.train import TrainingSource
    from core.risk.training_run import TrainingRun

    folder = tmp_path_factory.mktemp("heads")
    source = TrainingSource("shaped", True, "python -m core train-heads heads")
    run = TrainingRun(
        dataset, encoder, SerializationOptions(), source, None, [task.id for task in TASKS], max_labels=None
    )
    run.embed()
    trained = run.fit(folder)
    assert not trained.problems
    return folder


@pytest.fixture(scope="session")
def heads(heads_folder):
    from core.risk.heads import load_heads

    return load_heads(heads_folder)


@pytest.fixture(scope="module")
def embedded(dataset, encoder):
    labels, _ = load_labels(dataset, [task.id for task in TASKS])
    subject, time = unique_times(list(labels.values()))
    matrix = embed_rows(dataset, encoder, subject, time, SerializationOptions())
    return FeatureSet("hash-words", ("lr_lbfgs",), subject, time, None, matrix)
