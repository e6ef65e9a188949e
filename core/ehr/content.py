"""Hashes of what a result rests on: a dataset's files, and all that the text of a record is made from."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.ehr.store import Dataset
from core.hashing import file_sha256


def dataset_sha256(folder: Path, tasks: Sequence[str]) -> str:
    """SHA-256 over the contents of a dataset's events, splits and labels of these tasks, and their relative names."""
    folder = Path(folder)
    files = [*sorted(folder.glob("data/**/*.parquet")), folder / "metadata" / "subject_splits.parquet"]
    for task in sorted(tasks):
        files += [folder / "labels" / f"{task}.parquet", *sorted(folder.glob(f"labels/{task}/**/*.parquet"))]
    return _files_sha256(folder, files)


def records_sha256(dataset: Dataset) -> str:
    """SHA-256 over all that the text of a record rests on: the events, and descriptions and parents of codes.

    The vocabulary is taken as it was read, from ``codes.parquet`` and from Athena's files alike: those may have
    gigabytes of codes that the dataset does not know.
    """
    digest = hashlib.sha256(
        _files_sha256(dataset.path, [dataset.path / shard.path for shard in dataset.index.shards]).encode()
    )
    for table in (dataset.vocabulary.descriptions, dataset.vocabulary.parent_codes):
        for code, said in sorted(table.items()):
            digest.update(json.dumps([code, said]).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _files_sha256(folder: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
