"""Find the tables of a source: a folder or a zip of delimited text or Parquet, file names in any case.

A file in a zip is streamed from inside it. Only Parquet is unpacked, into a temporary folder and under a name of our
own: no path in the archive is ever used as a path.
"""

import gzip
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from core.ehr.tables import TableFile, table_file
from core.errors import InputError

_SUFFIX = re.compile(r"(?i)\.(csv|tsv|txt|csv\.gz|tsv\.gz|parquet)$")
_BOMB_BYTES, _BOMB_RATIO = 4 << 30, 200


@contextmanager
def find_tables(source: Path) -> Iterator[dict[str, list[TableFile]]]:
    """Yield the files of each table in a folder or zip, by lower-case table name ("condition_occurrence").

    A table is ``NAME.csv``, ``.csv.gz``, ``.tsv``, ``.txt`` or ``.parquet`` in any case, or a folder of these.

    Raises:
        InputError: the source does not exist, is no folder or zip, is a damaged zip, or unpacks beyond reason.
    """
    if source.is_dir():
        yield _folder_tables(source)
    elif source.is_file() and zipfile.is_zipfile(source):
        with tempfile.TemporaryDirectory(prefix="chartlight-") as scratch:
            try:
                with zipfile.ZipFile(source) as archive:
                    yield _zip_tables(archive, source, Path(scratch))
            except zipfile.BadZipFile as error:
                raise InputError(f"{source.name} is a damaged zip file ({error})", "copy it again") from error
    elif source.exists():
        raise InputError(
            f"{source.name} is neither a folder nor a readable zip file", "give the folder or zip of tables"
        )
    else:
        raise InputError(f"there is no {source}", "check the path of the source")


def _folder_tables(folder: Path) -> dict[str, list[TableFile]]:
    tables: dict[str, list[TableFile]] = {}
    for path in sorted(item for depth in ("*", "*/*", "*/*/*") for item in folder.glob(depth)):
        relative = path.relative_to(folder).as_posix()
        name = _table_name(relative)
        if name and path.is_file():
            tables.setdefault(name, []).append(replace(table_file(path), name=relative))
    _check_once(tables, folder.name)
    return tables


def _zip_tables(archive: zipfile.ZipFile, source: Path, scratch: Path) -> dict[str, list[TableFile]]:
    members = [info for info in archive.infolist() if not info.is_dir()]
    total, packed = sum(info.file_size for info in members), max(1, source.stat().st_size)
    if total > _BOMB_BYTES and total / packed > _BOMB_RATIO:
        raise InputError(
            f"{source.name} would unpack to {total / 1e9:.0f} GB, {total // packed} times its size",
            "unpack it yourself and give the folder, if you trust it",
        )
    tables: dict[str, list[TableFile]] = {}
    for info in sorted(members, key=lambda info: info.filename):
        name = _table_name(info.filename)
        if not name:
            continue
        if info.flag_bits & 0x1:
            raise InputError(f"{source.name} is encrypted", "unpack it yourself and give the folder")
        tables.setdefault(name, []).append(_zip_member(archive, info, scratch))
    _check_once(tables, source.name)
    return tables


def _check_once(tables: dict[str, list[TableFile]], source: str) -> None:
    """Files of one table are parts only in a folder of its name; elsewhere one is a copy, and rows would double."""
    for name, files in tables.items():
        if name not in OMOP_TABLES or len(files) < 2:
            continue
        if any(name not in file.name.lower().split("/")[:-1] for file in files):
            raise InputError(
                f"{source} holds the table {name} more than once ({', '.join(file.name for file in files[:3])})",
                f"keep one file, or put the parts into a folder {name}",
            )


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, scratch: Path) -> TableFile:
    lower = info.filename.lower()

    def open_member() -> BinaryIO:
        handle = archive.open(info)
        return cast(BinaryIO, gzip.open(handle, "rb")) if lower.endswith(".gz") else cast(BinaryIO, handle)

    def open_parquet() -> BinaryIO:  # Parquet is read from its end: it needs a real file
        unpacked = scratch / f"{abs(hash(info.filename)):x}.parquet"
        if not unpacked.exists():
            with archive.open(info) as packed, unpacked.open("wb") as out:
                shutil.copyfileobj(packed, out)
        return unpacked.open("rb")

    parquet = lower.endswith(".parquet")
    return TableFile(info.filename, info.file_size, open_parquet if parquet else open_member, parquet)


def _table_name(path: str) -> str | None:
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if any(part.startswith((".", "_", "~")) for part in parts) or not _SUFFIX.search(parts[-1]):
        return None
    stem = _SUFFIX.sub("", parts[-1]).lower()
    folder = parts[-2].lower() if len(parts) > 1 else ""
    return folder if folder in OMOP_TABLES else stem


OMOP_TABLES = {
    "person",
    "visit_occurrence",
    "visit_detail",
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "device_exposure",
    "measurement",
    "observation",
    "death",
    "concept",
    "concept_relationship",
    "concept_ancestor",
}
"""Tables of the OMOP CDM that are read; a folder of that name holds the parts of one table."""
