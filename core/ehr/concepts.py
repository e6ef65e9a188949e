"""Athena vocabulary tables: names of codes from CONCEPT, parents from CONCEPT_RELATIONSHIP or CONCEPT_ANCESTOR.

Athena writes tab-separated text without quoting, other exports commas and quotes; Parquet is read too. A full Athena
download has ten million concepts and forty million relationships: all are streamed, only what is asked for is kept.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import polars as pl

from core.ehr.tables import TableFile, table_file
from core.errors import InputError


def concept_batches(files: Sequence[TableFile]) -> Iterator[pl.DataFrame]:
    """Stream ``concept_id`` (int64), ``code`` ("LOINC/2951-2") and ``name`` from the files of a CONCEPT table."""
    for file in files:
        for batch in file.batches(("concept_id", "concept_name", "vocabulary_id", "concept_code")):
            yield batch.select(
                concept_id=pl.col("concept_id").cast(pl.Int64, strict=False),
                code=pl.col("vocabulary_id").cast(pl.String) + "/" + pl.col("concept_code").cast(pl.String),
                name=pl.col("concept_name").cast(pl.String).str.strip_chars(),
            )


def all_concepts(files: Sequence[TableFile]) -> pl.DataFrame:
    """Every concept: ``concept_id``, ``code``, ``name``."""
    return pl.concat([_NO_CONCEPTS, *concept_batches(files)])


def concepts_by_code(files: Sequence[TableFile], codes: Collection[str] | None = None) -> pl.DataFrame:
    """Concepts with these codes (all when None), the first of each code: ``concept_id``, ``code``, ``name``."""
    wanted = pl.Series("code", list(codes), dtype=pl.String).unique() if codes is not None else None
    parts = [
        batch.filter(pl.col("code").is_not_null() if wanted is None else pl.col("code").is_in(wanted.implode()))
        for batch in concept_batches(files)
    ]
    return pl.concat(parts or [_NO_CONCEPTS]).unique("code", keep="first", maintain_order=True)


def concept_files(path: str | Path) -> list[TableFile]:
    """The CONCEPT file at ``path``, or the CONCEPT files in that folder (also CONCEPT_CPT4.csv, as Athena splits it).

    Raises:
        InputError: there is none.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() == ".zip":  # as Athena sends it
        raise InputError(f"{path.name} is a zip file", "unpack it and give the CONCEPT.csv in it, or its folder")
    if path.is_file():
        return [table_file(path)]
    names = ("concept.csv", "concept.parquet", "concept.csv.gz", "concept.tsv", "concept_cpt4.csv")
    found = [item for item in sorted(path.iterdir()) if item.name.lower() in names] if path.is_dir() else []
    if not found:
        raise InputError(
            f"there is no concept table at {path}", "give Athena's CONCEPT.csv or the folder that holds it"
        )
    return [table_file(item) for item in found]


def sibling_table(path: str | Path, name: str) -> list[TableFile]:
    """Files of another vocabulary table ("concept_relationship") beside a CONCEPT file; empty when there is none."""
    path = Path(path).expanduser()
    folder = path if path.is_dir() else path.parent
    return [table_file(item) for item in sorted(folder.iterdir()) if item.name.lower().split(".")[0] == name]


def parent_pairs(relationships: Sequence[TableFile], ancestors: Sequence[TableFile]) -> pl.DataFrame:
    """Direct "is a" pairs of concept ids: ``child``, ``parent``.

    From CONCEPT_RELATIONSHIP ("Is a") where it is given, else from CONCEPT_ANCESTOR (one level apart).
    """
    parts = [
        batch.filter(pl.col("relationship_id").cast(pl.String).str.to_lowercase() == "is a").select(
            child=pl.col("concept_id_1").cast(pl.Int64, strict=False),
            parent=pl.col("concept_id_2").cast(pl.Int64, strict=False),
        )
        for file in relationships
        for batch in file.batches(("concept_id_1", "concept_id_2", "relationship_id"))
    ]
    if not any(part.height for part in parts):
        parts = [
            batch.filter(pl.col("min_levels_of_separation").cast(pl.Int64, strict=False) == 1).select(
                child=pl.col("descendant_concept_id").cast(pl.Int64, strict=False),
                parent=pl.col("ancestor_concept_id").cast(pl.Int64, strict=False),
            )
            for file in ancestors
            for batch in file.batches(("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"))
        ]
    empty = pl.DataFrame(schema={"child": pl.Int64, "parent": pl.Int64})
    return pl.concat([empty, *parts]).drop_nulls().unique(maintain_order=True)


def describe_codes(
    codes: Collection[str],
    concepts: Sequence[TableFile],
    relationships: Sequence[TableFile] = (),
    ancestors: Sequence[TableFile] = (),
) -> pl.DataFrame:
    """The rows of ``codes.parquet`` for these codes and everything above them.

    Returns:
        ``code``, ``description`` (null when unknown), ``parent_codes`` (list of str, null when none).
    """
    pairs = parent_pairs(relationships, ancestors)
    known = concepts_by_code(concepts, codes if not pairs.height else None)
    if pairs.height:
        ids = _closure(known.filter(pl.col("code").is_in(list(codes)))["concept_id"], pairs)
        known = known.filter(pl.col("concept_id").is_in(ids.implode()))
        names = known.select("concept_id", "code")
        parents = (
            pairs.join(names.rename({"concept_id": "child"}), on="child")
            .join(names.rename({"concept_id": "parent", "code": "parent_code"}), on="parent")
            .group_by("code")
            .agg(parent_codes=pl.col("parent_code").unique().sort())
        )
    else:
        parents = pl.DataFrame(schema={"code": pl.String, "parent_codes": pl.List(pl.String)})
    everything = pl.concat([pl.Series("code", list(codes), dtype=pl.String), known["code"]]).unique().sort().to_frame()
    return everything.join(known.select("code", description="name"), on="code", how="left").join(
        parents, on="code", how="left"
    )


def _closure(ids: pl.Series, pairs: pl.DataFrame) -> pl.Series:
    found, fresh = ids.unique(), ids.unique()
    while len(fresh):
        above = pairs.filter(pl.col("child").is_in(fresh.implode()))["parent"].unique()
        fresh = above.filter(~above.is_in(found.implode()))
        found = pl.concat([found.rename("id"), fresh.rename("id")])
    return found


_NO_CONCEPTS = pl.DataFrame(schema={"concept_id": pl.Int64, "code": pl.String, "name": pl.String})
