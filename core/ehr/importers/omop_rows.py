"""Rows of OMOP tables to events."""

from collections import Counter
from datetime import timedelta

import numpy as np
import polars as pl

from core.ehr.importers.cells import BAD_TIME, NO_SUBJECT, parse_integers, parse_times, typed_events
from core.ehr.importers.omop_tables import BIRTH_CODE, BUILT_IN_CONCEPTS, EventTable
from core.ehr.index import EARLIEST, LATEST
from core.ehr.tables import TableFile
from core.errors import InputError

NO_CONCEPT = "concept id is 0 or missing, and so is the source concept"
UNKNOWN_CONCEPT = "concept id is not in CONCEPT"
NO_PERSON = "person is not in PERSON"
TWICE = "person appears twice in PERSON"
SAME_DETAIL = "visit detail says the same as its visit"
DATE_ONLY = "no time of day: the event counts from 23:59 of its day, for it may have happened until then"
BAD_CLOCK = "time of day is unreadable (the date alone was used)"
BAD_BIRTH = "day of birth does not exist (1 January of the year was used)"

_DAY_END = timedelta(hours=23, minutes=59)
"""Where a day stands that has no clock time, as in the STARR data behind EHRSHOT (FEMR's ``move_to_day_end``): at its
beginning a record would tell of the afternoon in the morning. Midnight is what OMOP tables write for no time."""


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


def person_events(
    files: list[TableFile], concepts: ConceptMap, rejected: Counter[str], repaired: Counter[str]
) -> tuple[pl.Series, pl.DataFrame, int]:
    """Ids of the persons kept, their birth, race, sex and ethnicity as events, and the rows read."""
    optional = (
        "year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime", "gender_concept_id", "race_concept_id",
        "ethnicity_concept_id",
    )  # fmt: skip
    batches = [batch for file in files for batch in file.batches(("person_id",), optional, rejected)]
    if not batches:
        raise InputError("the PERSON table has no rows", "give the PERSON table of the data")
    table = pl.concat(batches, how="vertical_relaxed")
    frame = table.select(
        person=parse_integers(table["person_id"]),
        birth=_birth(table, repaired),
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


def _birth(table: pl.DataFrame, repaired: Counter[str]) -> pl.Series:
    """Time of birth, else year, month and day of it; a month or day that is missing or impossible is the first."""
    parts = table.select(
        *(parse_integers(table[f"{part}_of_birth"]).fill_null(1).alias(part) for part in ("month", "day")),
        year=parse_integers(table["year_of_birth"]),
    )
    date = pl.format("{}-{}-{}", "year", "month", "day").str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    exact, new_year = (frame.select(date).to_series() for frame in (parts, parts.with_columns(month=1, day=1)))
    birth = parse_times(table["birth_datetime"])
    impossible = birth.is_null() & exact.is_null() & new_year.is_not_null()
    if impossible.any():
        repaired[BAD_BIRTH] += int(impossible.sum())
    exact = exact.zip_with(exact.is_not_null(), new_year)
    return birth.zip_with(birth.is_not_null(), exact)


def table_events(
    table: EventTable,
    batch: pl.DataFrame,
    concepts: ConceptMap,
    persons: pl.Series,
    visits: pl.DataFrame | None,
    rejected: Counter[str],
    repaired: Counter[str],
) -> pl.DataFrame:
    """Events of one batch of a table, in its order.

    Args:
        table: where its columns lie.
        batch: the columns that ``table`` names, and ``person_id``.
        concepts: codes by concept id.
        persons: ids of the persons kept; rows of others are rejected.
        visits: for visit_detail, ``visit`` and ``concept`` of each visit: a detail that says the same is rejected.
        rejected: counts rows left out, by reason.
        repaired: counts rows kept without a bad part, by reason.
    """
    concept = parse_integers(batch[table.concept])
    source = parse_integers(batch[table.source_concept])
    standard = concept.set(concept == 0, None)
    chosen = standard.zip_with(standard.is_not_null(), source.set(source == 0, None))
    code = concepts.codes(standard)
    code = code.zip_with(code.is_not_null(), concepts.codes(source))
    end = pl.col("end")
    frame = batch.select(
        subject_id=parse_integers(batch["person_id"]),
        start=_first_time(batch, table.starts, repaired),
        end=_first_time(batch, table.ends, repaired),
        code=code,
        value=_values(table, batch, concepts),
        visit_id=_visit_ids(table, batch),
        table=pl.lit(table.name),
    ).with_columns(end=pl.when(_has_no_clock(end)).then(end + _DAY_END).otherwise(end))
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
    frame = _drop(frame, reasons, rejected)
    if not table.name.startswith("visit_"):  # a visit is there from the beginning of its day
        frame = _at_day_end(frame, repaired)
    start = pl.col("start")
    earlier_that_day = (end < start) & (end.dt.date() == start.dt.date())  # one of them has no clock time
    frame = frame.with_columns(end=pl.when(earlier_that_day).then(start).otherwise(end))
    return typed_events(frame, rejected, repaired)


def death_events(
    batch: pl.DataFrame, concepts: ConceptMap, persons: pl.Series, rejected: Counter[str], repaired: Counter[str]
) -> pl.DataFrame:
    """Deaths, with the cause's name as their text; arguments as for :func:`table_events`."""
    frame = batch.select(
        subject_id=parse_integers(batch["person_id"]),
        start=_first_time(batch, ("death_datetime", "death_date"), repaired),
        code=pl.lit("MEDS_DEATH"),
        text_value=concepts.names(parse_integers(batch["cause_concept_id"])),
        table=pl.lit("death"),
    )
    known = ~frame["subject_id"].is_in(persons.implode()) & frame["subject_id"].is_not_null()
    return typed_events(_at_day_end(_drop(frame, [(NO_PERSON, known)], rejected), repaired), rejected, repaired)


def _drop(frame: pl.DataFrame, reasons: list[tuple[str, pl.Series]], rejected: Counter[str]) -> pl.DataFrame:
    """Leave out rows; the first reason that holds is counted."""
    good = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
    for reason, bad in reasons:
        hit = bad.fill_null(False) & good
        if hit.any():
            rejected[reason] += int(hit.sum())
            good &= ~hit
    return frame if good.all() else frame.filter(good)


def _first_time(batch: pl.DataFrame, columns: tuple[str, ...], repaired: Counter[str]) -> pl.Series:
    """Times from the datetime column, else from the date column; nulls where ``columns`` is empty."""
    if not columns:
        return pl.repeat(None, batch.height, dtype=pl.Datetime("us"), eager=True)
    clock, day = (batch[column] for column in columns)
    times, days = parse_times(clock), parse_times(day)
    unread = times.is_null() & days.is_not_null() & (clock.cast(pl.String).str.strip_chars() != "").fill_null(False)
    if unread.any():
        repaired[BAD_CLOCK] += int(unread.sum())
    return times.zip_with(times.is_not_null(), days)


def _has_no_clock(times: pl.Expr) -> pl.Expr:
    return times.dt.truncate("1d") == times


def _at_day_end(frame: pl.DataFrame, repaired: Counter[str]) -> pl.DataFrame:
    """Move starts without a clock time to the end of their day, and count them."""
    start = pl.col("start")
    dated = frame.select(_has_no_clock(start) & start.is_between(EARLIEST, LATEST, closed="left")).to_series()
    if dated.any():
        repaired[DATE_ONLY] += int(dated.sum())
    return frame.with_columns(start=pl.when(_has_no_clock(start)).then(start + _DAY_END).otherwise(start))


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


def _same_as_visit(batch: pl.DataFrame, concept: pl.Series, visits: pl.DataFrame) -> pl.Series:
    detail = pl.DataFrame({"visit": parse_integers(batch["visit_occurrence_id"]), "detail": concept})
    joined = detail.join(visits, on="visit", how="left", maintain_order="left")
    return (joined["detail"] == joined["concept"]).fill_null(False)
