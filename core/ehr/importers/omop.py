"""OMOP CDM 5.3 and 5.4 to MEDS.

Codes are ``<vocabulary>/<code>`` of the standard concept, else of the source concept; ``visit_id`` is the
``visit_occurrence_id``. A visit detail becomes an event only where it says more than its visit (an intensive
care stay within an inpatient visit); it then is a visit of its own, with the negative of its ``visit_detail_id``.
Death is ``MEDS_DEATH``.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from core.ehr.concepts import all_concepts, concept_files, describe_codes, sibling_table
from core.ehr.importers.cells import parse_integers
from core.ehr.importers.event_writer import EventWriter, bucket_of
from core.ehr.importers.labelling import add_labels
from core.ehr.importers.omop_rows import SAME_DETAIL, ConceptMap, death_events, person_events, table_events
from core.ehr.importers.omop_tables import BUILT_IN_CONCEPTS, EVENT_TABLES
from core.ehr.importers.report import ImportReport
from core.ehr.index import load_index
from core.ehr.meds_layout import (
    SPLITS,
    created_now,
    new_dataset,
    write_codes,
    write_dataset_json,
    write_splits,
)
from core.ehr.sources import find_tables
from core.ehr.tables import MALFORMED, TableFile
from core.ehr.vocabulary import Vocabulary, coverage
from core.errors import InputError
from core.progress import Progress, silent
from core.settings import get_settings

_BYTES_PER_ROW = 110
_SPLIT_SHARES = (70, 15, 15)


def import_omop(
    source: str | Path, dest: str | Path, concepts: str | Path | None = None, progress: Progress | None = None
) -> ImportReport:
    """Import OMOP CDM tables into a new MEDS dataset, with the EHRSHOT labels that the data can carry.

    Args:
        source: a folder or a zip of tables, CSV (comma or tab) or Parquet, names in any case.
        dest: the dataset to write; one that Chartlight wrote there before is replaced.
        concepts: an Athena CONCEPT.csv or its folder, instead of the source's CONCEPT table; where it holds none the
            default is the setting ``CHARTLIGHT_CONCEPTS``.
        progress: called with bytes read.

    Raises:
        InputError: PERSON or CONCEPT is missing, a table is damaged or lacks a column, or ``dest`` cannot be written.
    """
    progress = progress or silent
    source, dest = Path(source).expanduser(), Path(dest).expanduser()
    rejected: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    with find_tables(source) as tables:
        if "person" not in tables:
            raise InputError(
                f"{source.name} holds no PERSON table", "give the folder or zip of OMOP CDM tables, with PERSON.csv"
            )
        vocabulary = {name: tables.get(name, []) for name in ("concept", "concept_relationship", "concept_ancestor")}
        if concepts is None and not vocabulary["concept"]:
            concepts = get_settings().concepts
        if concepts is not None:
            vocabulary["concept"] = concept_files(concepts)
            for name in ("concept_relationship", "concept_ancestor"):
                vocabulary[name] = sibling_table(concepts, name) or vocabulary[name]
        if not vocabulary["concept"]:
            raise InputError(
                f"{source.name} holds no CONCEPT table",
                "add CONCEPT.csv from Athena, or name it: --concepts CONCEPT.csv",
            )
        with new_dataset(dest) as folder:
            report = _import(tables, vocabulary, folder, dest, rejected, repaired, progress)
            report.save(folder)
    load_index(dest)
    return report


def _import(
    tables: dict[str, list[TableFile]],
    vocabulary: dict[str, list[TableFile]],
    folder: Path,
    dest: Path,
    rejected: Counter[str],
    repaired: Counter[str],
    progress: Progress,
) -> ImportReport:
    progress(0, 0, "reading the vocabulary")
    concepts = ConceptMap(all_concepts(vocabulary["concept"]))
    names = ("person", "death", *(table.name for table in EVENT_TABLES))
    total = sum(file.size for name in names for file in tables.get(name, []))
    meter = _Meter(total, progress)
    persons, demographics, read = person_events(tables["person"], concepts, rejected, repaired)
    kept = persons.len()
    losses: list[str] = []
    with EventWriter(folder, total // _BYTES_PER_ROW, grouped=False) as writer:
        writer.add(demographics)
        for table in EVENT_TABLES:
            visits = _visit_concepts(tables) if table.name == "visit_detail" and table.name in tables else None
            rows, used, before = 0, 0, rejected.copy()
            for file in tables.get(table.name, []):
                for batch in meter.batches(file, ("person_id", table.concept), table.optional, rejected):
                    events = table_events(table, batch, concepts, persons, visits, rejected, repaired)
                    rows, used = rows + batch.height, used + events.height
                    writer.add(events)
            read, kept = read + rows, kept + used
            losses += _loss(table.name, rows, used, rejected - before)
        for file in tables.get("death", []):
            optional = ("death_datetime", "death_date", "cause_concept_id")
            for batch in meter.batches(file, ("person_id",), optional, rejected):
                read += batch.height
                events = death_events(batch, concepts, persons, rejected, repaired)
                kept += events.height
                writer.add(events)
        written = writer.finish(meter.say)
    if not written.events:
        raise InputError("no row of the OMOP tables could be used", "check that PERSON and CONCEPT belong to the data")
    meter.say("describing codes")
    codes = _codes(written.counts["code"].to_list(), vocabulary)
    write_codes(folder, codes)
    write_splits(folder, assign_splits(written.subjects))
    synthetic = _is_synthetic(tables.get("cdm_source", []))
    write_dataset_json(folder, dest.name, "import-omop", synthetic=synthetic, created_at=created_now())
    labels, missing, label_notes = add_labels(folder, (), meter.say)
    known = Vocabulary({code: "" for code in codes.filter(pl.col("description").is_not_null())["code"].to_list()})
    absent = [table.name for table in EVENT_TABLES if table.name not in tables]
    return ImportReport(
        dest=dest,
        subjects=len(written.subjects),
        rows_read=read + rejected[MALFORMED],
        rows_kept=kept,
        rejected=dict(rejected),
        repaired=dict(repaired),
        events=written.events,
        coverage=coverage(written.counts, known),
        labels=labels,
        tasks_missing=missing,
        notes=[
            *losses,
            *(f"the source has no table {name}" for name in absent),
            "OMOP names no splits: subjects are split 70/15/15 by a hash of their id",
            *label_notes,
        ],
    )


class _Meter:
    """Adds up bytes over the files of an import for the progress callback."""

    def __init__(self, total: int, progress: Progress):
        self._total, self._progress, self._done = total, progress, 0

    def batches(
        self, file: TableFile, required: tuple[str, ...], optional: tuple[str, ...], rejected: Counter[str]
    ) -> Iterator[pl.DataFrame]:
        start = self._done
        self._progress(start, self._total, f"reading {file.name}")
        yield from file.batches(
            required,
            optional,
            rejected,
            lambda at: self._progress(min(start + at, self._total), self._total, file.name),
        )
        self._done = start + file.size

    def say(self, note: str) -> None:
        """Say what is being done once all is read."""
        self._progress(self._total, self._total, note)


def _loss(table: str, rows: int, used: int, reasons: Counter[str]) -> list[str]:
    """A sentence on a table that lost most of its rows: a wrong CONCEPT or a missing column, as a rule."""
    if 2 * used >= rows:
        return []
    reason, n = reasons.most_common(1)[0]
    if reason == SAME_DETAIL:  # nothing is lost: the visit is there
        return []
    return [f"{table} lost {rows - used:,} of its {rows:,} rows, {n:,} of them because: {reason}"]


def _visit_concepts(tables: dict[str, list[TableFile]]) -> pl.DataFrame:
    parts = [
        pl.DataFrame(
            {"visit": parse_integers(b["visit_occurrence_id"]), "concept": parse_integers(b["visit_concept_id"])}
        )
        for file in tables.get("visit_occurrence", [])
        for b in file.batches(("visit_occurrence_id", "visit_concept_id"))
    ]
    empty = pl.DataFrame(schema={"visit": pl.Int64, "concept": pl.Int64})
    return pl.concat([empty, *parts]).unique("visit", keep="first")


def _codes(codes: list[str], vocabulary: dict[str, list[TableFile]]) -> pl.DataFrame:
    frame = describe_codes(
        codes, vocabulary["concept"], vocabulary["concept_relationship"], vocabulary["concept_ancestor"]
    )
    own = dict(BUILT_IN_CONCEPTS.values()) | {"MEDS_DEATH": "Death"}
    extra = pl.col("code").replace_strict(own, default=None, return_dtype=pl.String)
    return frame.with_columns(pl.coalesce("description", extra))


def assign_splits(subject_ids: pl.Series) -> pl.DataFrame:
    """Split subjects 70/15/15 into train, tuning and held_out by a hash of the id: the same on every machine."""
    share = bucket_of(subject_ids.to_numpy(), 100)
    edges = np.cumsum(_SPLIT_SHARES)
    split = np.array(SPLITS)[np.searchsorted(edges, share, side="right")]
    return pl.DataFrame({"subject_id": subject_ids, "split": split})


def _is_synthetic(files: list[TableFile]) -> bool:
    """Whether CDM_SOURCE says that the people are made up."""
    for file in files:
        for batch in file.batches((), ("cdm_source_name", "source_description", "cdm_etl_reference")):
            text = " ".join(str(cell) for row in batch.rows() for cell in row if cell)
            if re.search(r"(?i)synthe(a|tic)", text):
                return True
    return False
