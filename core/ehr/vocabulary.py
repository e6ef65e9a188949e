"""What codes mean: the dataset's ``codes.parquet`` (an Athena download adds to it: ``external_vocabulary``).

A code is ``<vocabulary>/<concept code>`` ("LOINC/2951-2"); some MEDS extractions write ``//``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import meds
import polars as pl

from core.ehr.index import DAMAGE, reason
from core.errors import InputError


@dataclass(frozen=True)
class Vocabulary:
    """Descriptions and parents by code.

    Attributes:
        descriptions: text by code; codes without one are absent.
        parent_codes: direct parents by code; codes without any are absent.
    """

    descriptions: dict[str, str] = field(default_factory=dict, repr=False)
    parent_codes: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def describe(self, code: str) -> str | None:
        """Text of a code, or None when it is unknown."""
        return self.descriptions.get(code)

    def parents(self, code: str) -> tuple[str, ...]:
        """Direct parents of a code."""
        return self.parent_codes.get(code, ())

    def has_hierarchy(self, vocabulary: str) -> bool:
        """Whether any code of a vocabulary ("SNOMED") has a parent."""
        return any(vocabulary_of(code) == vocabulary for code in self.parent_codes)

    def ancestors(self, code: str) -> frozenset[str]:
        """All codes above this one, itself not among them. Cycles do no harm."""
        found: set[str] = set()
        todo = list(self.parents(code))
        while todo:
            parent = todo.pop()
            if parent not in found and parent != code:
                found.add(parent)
                todo.extend(self.parents(parent))
        return frozenset(found)

    def descendants(self, roots: Iterable[str]) -> frozenset[str]:
        """The roots and all codes below them."""
        found: set[str] = set()
        todo = list(roots)
        while todo:
            code = todo.pop()
            if code not in found:
                found.add(code)
                todo.extend(self._children.get(code, ()))
        return frozenset(found)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for code, parents in self.parent_codes.items():
            for parent in parents:
                children.setdefault(parent, []).append(code)
        return children


def vocabulary_of(code: str) -> str:
    """Vocabulary of a code: what stands before the first slash ("LOINC"), or the whole code."""
    return code.split("/", 1)[0]


def load_vocabulary(codes_file: Path) -> Vocabulary:
    """Read ``codes.parquet``; a missing file is an empty vocabulary.

    Raises:
        InputError: the file cannot be read.
    """
    frame = _read_codes(codes_file)
    described = frame.filter(pl.col("description").is_not_null() & (pl.col("description").str.strip_chars() != ""))
    descriptions = dict(zip(described["code"].to_list(), described["description"].to_list()))
    parents = {
        code: tuple(of)
        for code, of in frame.filter(pl.col("parent_codes").list.len() > 0).select("code", "parent_codes").iter_rows()
    }
    return Vocabulary(descriptions, parents)


def _read_codes(path: Path) -> pl.DataFrame:
    types = {"code": pl.String(), "description": pl.String(), "parent_codes": pl.List(pl.String())}
    if not path.is_file():
        return pl.DataFrame(schema=types)
    try:
        frame = pl.read_parquet(path, glob=False)
        missing = [pl.lit(None, dtype).alias(name) for name, dtype in types.items() if name not in frame.columns]
        return (
            frame.with_columns(missing)
            .select([pl.col(name).cast(dtype) for name, dtype in types.items()])
            .filter(pl.col("code").is_not_null())
            .unique("code", keep="first", maintain_order=True)
        )
    except DAMAGE as error:
        raise InputError(
            f"{meds.code_metadata_filepath} cannot be read ({reason(error)})",
            "give it the columns code, description, parent_codes",
        ) from error


@dataclass(frozen=True)
class Coverage:
    """How much of one vocabulary can be read.

    Attributes:
        vocabulary: its name, from the codes' prefix.
        codes: distinct codes in the data.
        described: how many of them have a description.
        events: events with such codes.
        events_described: how many of these events have a description.
    """

    vocabulary: str
    codes: int
    described: int
    events: int
    events_described: int


def coverage(counts: pl.DataFrame, vocabulary: Vocabulary) -> list[Coverage]:
    """Coverage per vocabulary, the most frequent first, from ``code`` and ``n`` (events with that code)."""
    frame = counts.with_columns(
        vocabulary=pl.col("code").str.extract(r"^([^/]*)", 1),
        known=pl.col("code").is_in(list(vocabulary.descriptions)),
    )
    table = (
        frame.group_by("vocabulary")
        .agg(
            codes=pl.len(),
            described=pl.col("known").sum(),
            events=pl.col("n").sum(),
            events_described=pl.col("n").filter("known").sum(),
        )
        .sort("events", "vocabulary", descending=[True, False])
    )
    return [Coverage(**row) for row in table.iter_rows(named=True)]
