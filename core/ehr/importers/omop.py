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

from core.ehr.concepts import concept_batches, concept_files, describe_codes, sibling_table
from core.ehr.importers.cells import BAD_TIME, NO_SUBJECT, parse_integers, parse_times, typed_events
from core.ehr.importers.event_writer import EventWriter, bucket_of
from core.ehr.importers.labelling import add_labels
from core.ehr.importers.omop_tables import BIRTH_CODE, BUILT_IN_CONCEPTS, EVENT_TABLES, EventTable
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
from core.ehr.tables import MALFORMED, TableFile, find_tables
from core.ehr.vocabulary import Vocabulary, coverage
from core.errors import InputError
from core.progress import Progress, silent

NO_CONCEPT = "concept id is 0 or missing, and so is the source concept"
UNKNOWN_CONCEPT = "concept id is not in CONCEPT"
NO_PERSON = "person is not in PERSON"
TWICE = "person appears twice in PERSON"
SAME_DETAIL = "visit detail says the same as its visit"
_BYTES_PER_ROW = 110
_SPLIT_SHARES = (70, 15, 15)


class ConceptMap:
    """Code and name by concept id, for millions of concepts (sorted arrays)."""

    def __init__(self, concepts: pl.DataFrame):
        extra = pl.DataFrame(
            [(i, code, name) for i, (code, name) in BUILT_IN_CONCEPTS.items()], schema=concepts.schema, orient="row"
        )
        table = pl.concat([concepts, extra]).drop_nulls(["concept_id", "code"])
        table = table.unique("concept_id", keep="first", maintain_order=True).sort("concept_id")
        self._ids, self._code, self._name = table["concept_id"].to_numpy(), table["code"], table["name"]

    def codes(self, ids: pl.Series) -> pl.Series:
        """Code of each id, null where unknown."""
        return self._take(self._code, ids)

    def names(self, ids: pl.Series) -> pl.Series:
        """Name of each id, null where unknown or 0."""
        return self._take(self._name, ids)

    def described(self) -> pl.DataFrame:
        """``code`` and ``description`` of all concepts."""
        return pl.DataFrame({"code": self._code, "description": self._name})

    def _take(self, values: pl.Series, ids: pl.Series) -> pl.Series:
        wanted = ids.fill_null(-1).to_numpy()
        at = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        place = pl.Series(at).set(pl.Series((self._ids[at] != wanted) | (wanted == 0)), None)
        return values.gather(place)


def import_omop(
    source: str | Path, dest: str | Path, concepts: str | Path | None = None, progress: Progress | None = None
) -> ImportReport:
    """Import OMOP CDM tables into a new MEDS dataset, with the EHRSHOT labels that the data can carry.

    Args:
        source: a folder or a zip of tables, CSV (comma or tab) or Parquet, names in any case.
        dest: the dataset to write; one that Chartlight wrote there before is replaced.
        concepts: an Athena CONCEPT.csv or its folder, where the source holds no CONCEPT table.
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
    concepts = ConceptMap(pl.concat(list(concept_batches(vocabulary["concept"]))))
    names = ("person", "death", *(table.name for table in EVENT_TABLES))
    total = sum(file.size for name in names for file in tables.get(name, []))
    meter = _Meter(total, progress)
    persons, demographics, read = _persons(tables["person"], concepts, rejected)
    kept = persons.len()
    with EventWriter(folder, total // _BYTES_PER_ROW, grouped=False) as writer:
        writer.add(demographics)
        for table in EVENT_TABLES:
            visits = _visit_concepts(tables, meter) if table.name == "visit_detail" and table.name in tables else None
            for file in tables.get(table.name, []):
                for batch in meter.batches(file, ("person_id", table.concept), table.optional, rejected):
                    read += batch.height
                    events = _events(table, batch, concepts, persons, visits, rejected, repaired)
                    kept += events.height
                    writer.add(events)
        for file in tables.get("death", []):
            optional = ("death_datetime", "death_date", "cause_concept_id")
            for batch in meter.batches(file, ("person_id",), optional, rejected):
                read += batch.height
                events = _deaths(batch, concepts, persons, rejected, repaired)
                kept += events.height
                writer.add(events)
        written = writer.finish(progress)
    if not written.events:
        raise InputError("no row of the OMOP tables could be used", "check that PERSON and CONCEPT belong to the data")
    codes = _codes(written.counts["code"].to_list(), vocabulary)
    write_codes(folder, codes)
    write_splits(folder, assign_splits(written.subjects))
    synthetic = _is_synthetic(tables.get("cdm_source", []))
    write_dataset_json(folder, dest.name, "import-omop", synthetic=synthetic, created_at=created_now())
    labels, missing, label_notes = add_labels(folder, (), progress)
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


def _persons(
    files: list[TableFile], concepts: ConceptMap, rejected: Counter[str]
) -> tuple[pl.Series, pl.DataFrame, int]:
    """Ids of the persons kept, their birth, race, sex and ethnicity as events, and the rows read."""
    optional = (
        "year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime", "gender_concept_id", "race_concept_id",
        "ethnicity_concept_id",
    )  # fmt: skip
    batches = [batch for file in files for batch in file.batches(("person_id",), optional, rejected)]
    table = pl.concat(batches, how="vertical_relaxed")
    parts = [parse_integers(table[f"{part}_of_birth"]) for part in ("year", "month", "day")]
    by_parts = pl.DataFrame(parts).select(
        pl.datetime(
            pl.col("year_of_birth").cast(pl.Int32),
            pl.col("month_of_birth").fill_null(1).cast(pl.Int32),
            pl.col("day_of_birth").fill_null(1).cast(pl.Int32),
            time_unit="us",
        )
    )
    birth = parse_times(table["birth_datetime"])
    frame = table.select(
        person=parse_integers(table["person_id"]),
        birth=birth.zip_with(birth.is_not_null(), by_parts.to_series()),
        Race=concepts.codes(parse_integers(table["race_concept_id"])),
        Gender=concepts.codes(parse_integers(table["gender_concept_id"])),
        Ethnicity=concepts.codes(parse_integers(table["ethnicity_concept_id"])),
    )
    checks = (
        (NO_SUBJECT, pl.col("person").is_not_null()),
        ("person without a birth date", pl.col("birth").is_not_null()),
        (BAD_TIME, pl.col("birth").dt.year().is_between(1850, 2299)),
        (TWICE, pl.col("person").is_first_distinct()),
    )
    for reason, good in checks:
        passed = frame.filter(good)
        if passed.height < frame.height:
            rejected[reason] += frame.height - passed.height
        frame = passed
    codes = frame.select("person", "birth", pl.lit(BIRTH_CODE).alias("Birth"), "Race", "Gender", "Ethnicity")
    events = (
        codes.unpivot(["Birth", "Race", "Gender", "Ethnicity"], index=["person", "birth"], value_name="code")
        .drop_nulls("code")
        .select("code", subject_id="person", start="birth", table=pl.lit("person"))
    )
    return frame["person"], typed_events(events, Counter(), Counter()), table.height


def _events(
    table: EventTable,
    batch: pl.DataFrame,
    concepts: ConceptMap,
    persons: pl.Series,
    visits: pl.DataFrame | None,
    rejected: Counter[str],
    repaired: Counter[str],
) -> pl.DataFrame:
    concept = parse_integers(batch[table.concept])
    source = parse_integers(batch[table.source_concept])
    standard = concept.set(concept == 0, None)
    chosen = standard.zip_with(standard.is_not_null(), source.set(source == 0, None))
    code = concepts.codes(standard)
    code = code.zip_with(code.is_not_null(), concepts.codes(source))
    start, end = _first_time(batch, table.starts), _first_time(batch, table.ends)
    same_day = (end < start) & (end.dt.date() == start.dt.date())  # an end given as a date only
    end = end.zip_with(~same_day.fill_null(False), start)
    frame = batch.select(
        subject_id=parse_integers(batch["person_id"]),
        start=start,
        end=end,
        code=code,
        value=_values(table, batch, concepts),
        visit_id=_visit_ids(table, batch),
        table=pl.lit(table.name),
    )
    if table.units:
        unit = pl.when(pl.col("value").is_not_null()).then(_units(batch, concepts))
        frame = frame.with_columns(unit.alias("unit"))
    reasons = [
        (NO_CONCEPT, chosen.is_null()),
        (UNKNOWN_CONCEPT, code.is_null()),
        (NO_PERSON, ~frame["subject_id"].is_in(persons.implode()) & frame["subject_id"].is_not_null()),
    ]
    if visits is not None:
        reasons.append((SAME_DETAIL, _same_as_visit(batch, concept, visits)))
    return typed_events(_drop(frame, reasons, rejected), rejected, repaired)


def _deaths(
    batch: pl.DataFrame, concepts: ConceptMap, persons: pl.Series, rejected: Counter[str], repaired: Counter[str]
) -> pl.DataFrame:
    frame = batch.select(
        subject_id=parse_integers(batch["person_id"]),
        start=_first_time(batch, ("death_datetime", "death_date")),
        code=pl.lit("MEDS_DEATH"),
        text_value=concepts.names(parse_integers(batch["cause_concept_id"])),
        table=pl.lit("death"),
    )
    known = ~frame["subject_id"].is_in(persons.implode()) & frame["subject_id"].is_not_null()
    return typed_events(_drop(frame, [(NO_PERSON, known)], rejected), rejected, repaired)


def _drop(frame: pl.DataFrame, reasons: list[tuple[str, pl.Series]], rejected: Counter[str]) -> pl.DataFrame:
    """Leave out rows; the first reason that holds is counted."""
    good = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
    for reason, bad in reasons:
        hit = bad.fill_null(False) & good
        if hit.any():
            rejected[reason] += int(hit.sum())
            good &= ~hit
    return frame if good.all() else frame.filter(good)


def _first_time(batch: pl.DataFrame, columns: tuple[str, ...]) -> pl.Series:
    times = pl.repeat(None, batch.height, dtype=pl.Datetime("us"), eager=True)
    for column in columns:
        if times.null_count():
            times = times.zip_with(times.is_not_null(), parse_times(batch[column]))
    return times


def _values(table: EventTable, batch: pl.DataFrame, concepts: ConceptMap) -> pl.Series:
    value = pl.repeat(None, batch.height, dtype=pl.String, eager=True)
    for column in table.values:
        cell = batch[column]
        text = concepts.names(parse_integers(cell)) if column.endswith("_concept_id") else cell.cast(pl.String)
        value = value.zip_with(value.is_not_null(), text.set(text.str.strip_chars() == "", None))
    return value


def _units(batch: pl.DataFrame, concepts: ConceptMap) -> pl.Series:
    """UCUM code of the unit concept, else the source's text without UCUM's annotation braces."""
    code = concepts.codes(parse_integers(batch["unit_concept_id"]))
    ucum = code.str.strip_prefix("UCUM/").set(~code.str.starts_with("UCUM/").fill_null(False), None)
    text = batch["unit_source_value"].cast(pl.String).str.strip_chars()
    unit = ucum.zip_with(ucum.is_not_null(), text).str.replace(r"^\{(.*)\}$", "$1")
    return unit.set(unit.str.to_lowercase().is_in(["", "n/a", "na", "null", "none"]).fill_null(False), None)


def _visit_ids(table: EventTable, batch: pl.DataFrame) -> pl.Series:
    if table.name == "visit_detail":
        return -parse_integers(batch["visit_detail_id"])
    return parse_integers(batch["visit_occurrence_id"])


def _visit_concepts(tables: dict[str, list[TableFile]], meter: _Meter) -> pl.DataFrame:
    parts = [
        pl.DataFrame(
            {"visit": parse_integers(b["visit_occurrence_id"]), "concept": parse_integers(b["visit_concept_id"])}
        )
        for file in tables.get("visit_occurrence", [])
        for b in file.batches(("visit_occurrence_id", "visit_concept_id"))
    ]
    empty = pl.DataFrame(schema={"visit": pl.Int64, "concept": pl.Int64})
    return pl.concat([empty, *parts]).unique("visit", keep="first")


def _same_as_visit(batch: pl.DataFrame, concept: pl.Series, visits: pl.DataFrame) -> pl.Series:
    detail = pl.DataFrame({"visit": parse_integers(batch["visit_occurrence_id"]), "detail": concept})
    joined = detail.join(visits, on="visit", how="left", maintain_order="left")
    return (joined["detail"] == joined["concept"]).fill_null(False)


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
