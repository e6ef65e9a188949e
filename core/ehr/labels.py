"""The EHRSHOT label definitions of 14 tasks, computed from events (Wornow et al. 2023, section 2.2 of its labelers).

Prediction times are 23:59 of the day of admission or discharge, or one minute before a laboratory result. Chexpert
labels come from radiology reports, which MEDS data do not hold: they can only be brought in as label files.

Where this differs from the authors' code: a discharge followed by an admission on the same day is left out of
guo_readmission, as their text says (their code looks only at earlier admissions); potassium in mg/dL is converted
by its own molar mass; infinite and NaN values give no label.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import meds
import polars as pl

from core.ehr.column_names import find_column, omop_table
from core.ehr.label_codes import (
    ADMISSION_PREFIX,
    DIAGNOSES,
    DISCHARGE_PREFIX,
    INPATIENT_CODES,
    LABS,
    NORMAL_WORDS,
    LabDefinition,
    diagnosis_codes,
    intensive_care_codes,
    lab_codes,
)
from core.ehr.meds_layout import write_labels
from core.ehr.store import Dataset
from core.ehr.tasks import TASK_BY_ID, get_task
from core.ehr.vocabulary import Vocabulary
from core.errors import InputError
from core.progress import Progress, silent

LONG_STAY = timedelta(days=7)
READMISSION = (timedelta(minutes=1), timedelta(days=30))
FIRST_DIAGNOSIS = (timedelta(days=1), timedelta(days=365))
BEFORE_RESULT = timedelta(minutes=1)
_COLUMNS: dict[str, pl.DataType] = {
    "subject_id": pl.Int64(),
    "time": pl.Datetime("us"),
    "code": pl.String(),
    "numeric_value": pl.Float32(),
    "text_value": pl.String(),
    "unit": pl.String(),
    "end": pl.Datetime("us"),
    "table": pl.String(),
}


@dataclass(frozen=True)
class ComputedLabels:
    """Labels by task, and why the other tasks have none.

    Attributes:
        labels: task -> ``subject_id``, ``prediction_time``, ``value`` (bool, or int64 severity), sorted.
        missing: task -> why these events give no labels.
        notes: task -> what a reader should know about its labels.
    """

    labels: dict[str, pl.DataFrame]
    missing: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def compute_labels(
    source: Dataset | pl.DataFrame | pl.LazyFrame,
    tasks: Iterable[str] | None = None,
    vocabulary: Vocabulary | None = None,
    admissions: Sequence[str] = INPATIENT_CODES,
    progress: Progress | None = None,
) -> ComputedLabels:
    """Compute the labels of EHRSHOT tasks on a whole dataset.

    Args:
        source: a dataset, or MEDS events of whole subjects (``subject_id``, ``time``, ``code``, and what there is of
            ``numeric_value``, ``text_value``, ``unit``, ``end``, ``table``).
        tasks: task ids, all 15 by default.
        vocabulary: descriptions and hierarchy of the codes; a dataset's own by default.
        admissions: visit codes that count as a hospital stay (add "Visit/ER" to count emergency visits).
        progress: called with (tasks done, tasks, task).

    Raises:
        InputError: an unknown task, or events without the MEDS columns.
    """
    wanted = [get_task(task).id for task in (TASK_BY_ID if tasks is None else tasks)]
    progress = progress or silent
    if isinstance(source, Dataset):
        vocabulary = vocabulary or source.vocabulary
        events = source.scan()
    else:
        events = source.lazy()
    vocabulary = vocabulary or Vocabulary()
    events = _with_columns(events)
    codes = events.select(pl.col("code").drop_nulls().unique()).collect(engine="streaming")["code"].to_list()
    result = ComputedLabels({}, {}, {})
    stays: pl.DataFrame | None = None
    for done, task in enumerate(wanted):
        progress(done, len(wanted), task)
        group = TASK_BY_ID[task].group
        if group == "chexpert":
            result.missing[task] = "the findings are read off radiology reports; bring them as a label file"
            continue
        if group == "lab_values":
            labels, reason, note = _lab_labels(events, task, codes, vocabulary)
        else:
            if stays is None:
                stays = hospital_stays(events, codes, admissions)
            labels, reason, note = _stay_labels(events, task, stays, codes, vocabulary)
        if reason:
            result.missing[task] = reason
        else:
            result.labels[task] = labels
        if note:
            result.notes[task] = note
    progress(len(wanted), len(wanted), "")
    return result


def write_computed_labels(folder: Path, computed: ComputedLabels) -> None:
    """Write ``labels/<task>/labels.parquet`` (MEDS label schema) for every task that has labels."""
    for task, labels in computed.labels.items():
        write_labels(folder, task, labels)


def hospital_stays(
    events: pl.LazyFrame, codes: Iterable[str] | None = None, admissions: Sequence[str] = INPATIENT_CODES
) -> pl.DataFrame:
    """Hospital stays with a beginning and a later end: ``subject_id``, ``start``, ``end``, in time order.

    Rows of the OMOP table visit_detail do not count, nor do stays that end when they begin. MIMIC-IV's separate
    admission and discharge events are joined in pairs.
    """
    events = _with_columns(events)
    visits = events.filter(
        pl.col("code").is_in(list(admissions))
        & (pl.col("table").is_null() | (pl.col("table") == "visit_occurrence"))
        & (pl.col("end") > pl.col("time"))
    ).select("subject_id", start="time", end="end")
    present = events.select(pl.col("code").drop_nulls().unique()).collect()["code"] if codes is None else codes
    if any(code.startswith(ADMISSION_PREFIX) for code in present):
        visits = pl.concat([visits, _paired_stays(events)])
    return visits.collect(engine="streaming").sort("subject_id", "start", "end", maintain_order=True)


def _paired_stays(events: pl.LazyFrame) -> pl.LazyFrame:
    """Stays from an admission event and the next discharge event."""
    begins = pl.col("code").str.starts_with(ADMISSION_PREFIX)
    marks = events.filter(begins | pl.col("code").str.starts_with(DISCHARGE_PREFIX)).select(
        "subject_id", "time", begins=begins
    )
    following = marks.sort("subject_id", "time", maintain_order=True).with_columns(
        end=pl.col("time").shift(-1).over("subject_id"), next_begins=pl.col("begins").shift(-1).over("subject_id")
    )
    return following.filter(pl.col("begins") & ~pl.col("next_begins") & (pl.col("end") > pl.col("time"))).select(
        "subject_id", start="time", end="end"
    )


def _end_of_day(column: str) -> pl.Expr:
    return pl.col(column).dt.truncate("1d") + timedelta(hours=23, minutes=59)


def _stay_labels(
    events: pl.LazyFrame, task: str, stays: pl.DataFrame, codes: Sequence[str], vocabulary: Vocabulary
) -> tuple[pl.DataFrame, str, str]:
    empty = pl.DataFrame()
    if stays.is_empty():
        return empty, "there is no inpatient stay with a beginning and a later end (Visit/IP)", ""
    overnight = stays.filter(pl.col("start").dt.date() != pl.col("end").dt.date())
    if task == "guo_los":
        labels = overnight.select(
            "subject_id", prediction_time=_end_of_day("start"), value=pl.col("end") - pl.col("start") >= LONG_STAY
        )
        return _sorted(labels), "", ""
    if task == "guo_readmission":
        return _readmissions(stays), "", ""
    if task == "guo_icu":
        places = intensive_care_codes(codes, vocabulary)
        if not places:
            return empty, "no event says that somebody is in intensive care (a care site, visit or transfer)", ""
        care = events.filter(
            pl.col("code").is_in(list(places)) & (pl.col("end").is_null() | (pl.col("end") > pl.col("time")))
        )
        return _intensive_care(overnight, _times(care)), "", ""
    definition = DIAGNOSES[task]
    found = diagnosis_codes(definition, codes, vocabulary)
    if not found:
        icd = ", ".join(definition.icd10)
        return empty, f"no event carries {definition.root}, a code below it, or ICD-10-CM {icd}", ""
    shown = ", ".join(sorted(found)[:8]) + (" ..." if len(found) > 8 else "")
    diagnoses = _times(events.filter(pl.col("code").is_in(list(found))))
    note = f"diagnosis codes: {shown}"
    if any(code.startswith("SNOMED/") for code in codes) and not vocabulary.has_hierarchy("SNOMED"):
        note += (
            f"; there is no SNOMED hierarchy, so diagnoses below {definition.root} are not counted: give the codes "
            "their parents (CONCEPT_RELATIONSHIP.csv beside CONCEPT.csv)"
        )
    return _first_diagnoses(stays, diagnoses), "", note


def _times(events: pl.LazyFrame) -> pl.DataFrame:
    times = events.filter(pl.col("time").is_not_null()).select("subject_id", outcome="time")
    return times.collect(engine="streaming").sort("subject_id", "outcome")


def _sorted(labels: pl.DataFrame) -> pl.DataFrame:
    return labels.sort("subject_id", "prediction_time", maintain_order=True)


def _next_outcome(times: pl.DataFrame, outcomes: pl.DataFrame, after: timedelta) -> pl.DataFrame:
    """Add ``outcome``: the first one of the subject at or later than ``after`` past the prediction time, else null."""
    left = times.with_columns(opens=pl.col("prediction_time") + after).sort("opens", maintain_order=True)
    joined = left.join_asof(
        outcomes.sort("outcome"),
        left_on="opens",
        right_on="outcome",
        by="subject_id",
        strategy="forward",
        coalesce=False,
        check_sortedness=False,
    )
    return joined.drop("opens")


def _within(window: timedelta) -> pl.Expr:
    return (pl.col("outcome") <= pl.col("prediction_time") + window).fill_null(False)


def _readmissions(stays: pl.DataFrame) -> pl.DataFrame:
    starts = stays.select("subject_id", outcome="start").sort("outcome")
    next_start = stays.sort("end").join_asof(
        starts,
        left_on="end",
        right_on="outcome",
        by="subject_id",
        strategy="forward",
        coalesce=False,
        check_sortedness=False,
    )
    same_day = (pl.col("outcome").dt.date() == pl.col("end").dt.date()).fill_null(False)
    times = next_start.filter(~same_day).select("subject_id", prediction_time=_end_of_day("end")).unique()
    labels = _next_outcome(times, starts, READMISSION[0])
    return _sorted(labels.select("subject_id", "prediction_time", value=_within(READMISSION[1])))


def _intensive_care(overnight: pl.DataFrame, care: pl.DataFrame) -> pl.DataFrame:
    days = care.select("subject_id", day=pl.col("outcome").dt.date()).unique()
    stays = overnight.with_columns(day=pl.col("start").dt.date()).join(days, on=["subject_id", "day"], how="anti")
    times = stays.select("subject_id", "start", "end", prediction_time=_end_of_day("start"))
    labels = _next_outcome(times, care, timedelta(0))
    value = (pl.col("outcome") <= pl.col("end")).fill_null(False)
    return _sorted(labels.sort("start", "end").select("subject_id", "prediction_time", value=value))


def _first_diagnoses(stays: pl.DataFrame, diagnoses: pl.DataFrame) -> pl.DataFrame:
    first = diagnoses.group_by("subject_id").agg(first=pl.col("outcome").min())
    times = stays.select("subject_id", prediction_time=_end_of_day("end")).unique().join(first, "subject_id", "left")
    times = times.filter(pl.col("first").is_null() | (pl.col("prediction_time") <= pl.col("first"))).drop("first")
    labels = _next_outcome(times, diagnoses, FIRST_DIAGNOSIS[0])
    return _sorted(labels.select("subject_id", "prediction_time", value=_within(FIRST_DIAGNOSIS[1])))


def _lab_labels(
    events: pl.LazyFrame, task: str, codes: Sequence[str], vocabulary: Vocabulary
) -> tuple[pl.DataFrame, str, str]:
    definition = LABS[task]
    found = lab_codes(definition, codes, vocabulary)
    if not found:
        looked = ", ".join((*definition.roots, *definition.added))
        return pl.DataFrame(), f"no event carries one of {looked}", ""
    results = events.filter(pl.col("code").is_in(list(found)) & pl.col("time").is_not_null())
    results = results.select("subject_id", "time", "code", "numeric_value", "text_value", "unit")
    frame = results.collect(engine="streaming")
    first = (
        events.filter(
            pl.col("time").is_not_null() & pl.col("subject_id").is_in(frame["subject_id"].unique().to_list())
        )
        .group_by("subject_id")
        .agg(first=pl.col("time").min())
        .collect(engine="streaming")
    )
    frame = frame.join(first, "subject_id").filter(pl.col("time") > pl.col("first"))
    grades = frame.select("code", "numeric_value", "text_value", "unit").unique()
    grades = grades.with_columns(
        value=pl.Series([_severity(definition, *row) for row in grades.iter_rows()], dtype=pl.Int64)
    )
    graded = frame.join(grades, ["code", "numeric_value", "text_value", "unit"], "left", nulls_equal=True)
    labels = graded.filter(pl.col("value").is_not_null()).select(
        "subject_id", prediction_time=pl.col("time") - BEFORE_RESULT, value="value"
    )
    note = f"laboratory codes: {', '.join(sorted(found))}"
    unread = graded.height - labels.height
    if unread:
        note += f"; {unread} results without a usable value or unit give no label"
    without_unit = frame.filter(pl.col("unit").is_null() & pl.col("numeric_value").is_not_null()).height
    if without_unit:
        note += f"; {without_unit} values without a unit are read in the usual one"
    if labels.is_empty():
        return labels, "its laboratory results carry no value in a known unit", note
    return _sorted(labels), "", note


def _severity(
    definition: LabDefinition, code: str, number: float | None, text: str | None, unit: str | None
) -> int | None:
    """Severity 0 to 3 of one result, or None when it cannot be read."""
    if number is None and text is not None:
        word = text.strip().lower()
        if word in NORMAL_WORDS:
            return 0
        try:
            number = float(word)
        except ValueError:
            return None
    if number is None or not math.isfinite(number):
        return None
    value = definition.to_threshold_unit(number, unit, code)
    return None if value is None else definition.grade(value)


def _with_columns(events: pl.LazyFrame) -> pl.LazyFrame:
    """The columns that labels need, the optional ones as nulls where they are absent; float32 in shortest decimals."""
    have = events.collect_schema()
    lacking = [name for name in ("subject_id", "time", "code") if name not in have]
    if lacking:
        raise InputError(
            f"the events have no column {lacking[0]}",
            f"give MEDS events ({meds.DataSchema.schema().names[0]}, time, code)",
        )
    chosen = []
    for name, dtype in _COLUMNS.items():
        source = find_column(name, have)
        if source is None:
            chosen.append(pl.lit(None, dtype).alias(name))
        elif name == "table":
            chosen.append(omop_table(pl.col(source)).alias(name))
        elif name == "numeric_value" and have[source] == pl.Float32:
            chosen.append(pl.col(source).cast(pl.String).cast(pl.Float64, strict=False).alias(name))
        else:
            chosen.append(pl.col(source).cast(dtype if name != "numeric_value" else pl.Float64()).alias(name))
    return events.select(chosen)
