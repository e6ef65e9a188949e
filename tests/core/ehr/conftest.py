"""Small datasets for the tests of records."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from core.ehr.meds_layout import EVENT_SCHEMA
from core.settings import get_settings


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep subject indexes of tests out of the user's home."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(get_settings(), "home", folder)
    return folder


def events_frame(rows: list[tuple]) -> pl.DataFrame:
    """Events from tuples in the order of EVENT_SCHEMA; what is left off at the end is null."""
    names = list(EVENT_SCHEMA)
    filled = [tuple(row) + (None,) * (len(names) - len(row)) for row in rows]
    return pl.DataFrame(filled, schema=EVENT_SCHEMA, orient="row")


@pytest.fixture
def meds_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write Parquet files as they are given into ``data/`` of a new folder, as a foreign tool would."""

    def write(name: str = "foreign", **files: pl.DataFrame) -> Path:
        folder = tmp_path / name
        (folder / "data").mkdir(parents=True)
        for file, frame in files.items():
            frame.write_parquet(folder / "data" / f"{file}.parquet")
        return folder

    return write


@pytest.fixture
def two_subjects() -> pl.DataFrame:
    """Two subjects with birth, sex, a visit and a laboratory value."""
    birth, seen = datetime(1970, 5, 1), datetime(2010, 3, 4, 9)
    rows = []
    for subject, sex in ((3, "M"), (7, "F")):
        rows += [
            (subject, birth, "MEDS_BIRTH"),
            (subject, birth, f"Gender/{sex}"),
            (subject, seen, "Visit/IP", None, None, None, datetime(2010, 3, 6), 11, "visit_occurrence"),
            (subject, seen, "LOINC/718-7", 12.35, None, "g/dL", None, 11, "measurement"),
        ]
    return events_frame(rows)
