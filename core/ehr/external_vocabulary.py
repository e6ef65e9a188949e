"""An Athena download as the second voice of a dataset's vocabulary: names and parents of codes that the dataset lacks.

EHRSHOT's MEDS release describes only its own STANFORD_ codes, so its readers need this. A full download takes seconds
to read; what was found in it is kept under ``CHARTLIGHT_HOME/vocabulary`` until the files or the codes change.
"""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

import polars as pl

from core.ehr.concepts import concept_files, describe_codes, sibling_table
from core.ehr.vocabulary import Vocabulary
from core.files import write_table
from core.settings import get_settings


def with_athena(
    own: Vocabulary, concepts: Path, data_version: str, codes_of_data: Callable[[], Collection[str]]
) -> Vocabulary:
    """A vocabulary with what ``own`` says, and what Athena says about everything else.

    Args:
        own: the dataset's vocabulary; it has the first word.
        concepts: Athena's CONCEPT.csv, or its folder; CONCEPT_RELATIONSHIP beside it gives the parents.
        data_version: changes when the dataset changes.
        codes_of_data: called for the dataset's codes when nothing is kept.

    Raises:
        InputError: there is no such file or it cannot be read.
    """
    files = concept_files(concepts)
    relationships, ancestors = (sibling_table(concepts, f"concept_{name}") for name in ("relationship", "ancestor"))
    facts = [(file.name, file.size, file.mtime_ns) for file in (*files, *relationships, *ancestors)]
    key = hashlib.sha256(repr((str(concepts.resolve()), facts, data_version)).encode()).hexdigest()[:32]
    kept = get_settings().home / "vocabulary" / f"{key}.parquet"
    try:
        found = pl.read_parquet(kept, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        codes = {*codes_of_data(), *own.descriptions, *own.parent_codes}
        found = describe_codes(sorted(codes), files, relationships, ancestors)
        _keep(found, kept)
    described = found.drop_nulls("description")
    parents = found.drop_nulls("parent_codes").select("code", "parent_codes").iter_rows()
    return Vocabulary(
        dict(zip(described["code"].to_list(), described["description"].to_list())) | own.descriptions,
        {code: tuple(above) for code, above in parents} | own.parent_codes,
    )


def _keep(found: pl.DataFrame, path: Path) -> None:
    try:
        write_table(path, found)
    except OSError:  # a convenience: without a writable home it is read again next time
        return
