"""Where the columns of an event lie in each table of the OMOP CDM (versions 5.3 and 5.4).

Source: OHDSI CommonDataModel, the table definitions of 5.3.1 and 5.4.
"""

from dataclasses import dataclass

BIRTH_CODE = "SNOMED/3950001"
"""Code of the birth event, the one EHRSHOT has (OMOP concept 4216316)."""


@dataclass(frozen=True)
class EventTable:
    """One table whose rows are events.

    Attributes:
        name: table name.
        concept: column of the standard concept.
        source_concept: column of the source concept, used where the standard one is 0.
        starts: columns of the start, the first that is filled counts (datetime before date).
        ends: columns of the end, likewise.
        values: columns of the value, likewise; ``*_concept_id`` stands for that concept's name.
        units: True when it has ``unit_concept_id`` and ``unit_source_value``.
    """

    name: str
    concept: str
    source_concept: str
    starts: tuple[str, str]
    ends: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    units: bool = False

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns that are used where they exist."""
        units = ("unit_concept_id", "unit_source_value") if self.units else ()
        extra = ("visit_detail_id",) if self.name == "visit_detail" else ()
        return (self.source_concept, *self.starts, *self.ends, *self.values, *units, "visit_occurrence_id", *extra)


def _dated(
    name: str,
    prefix: str,
    start: str,
    end: str | None = None,
    values: tuple[str, ...] = (),
    units: bool = False,
) -> EventTable:
    ends = (f"{end}_datetime", f"{end}_date") if end else ()
    starts = (f"{start}_datetime", f"{start}_date")
    return EventTable(name, f"{prefix}_concept_id", f"{prefix}_source_concept_id", starts, ends, values, units)


EVENT_TABLES: tuple[EventTable, ...] = (
    _dated("visit_occurrence", "visit", "visit_start", "visit_end"),
    _dated("visit_detail", "visit_detail", "visit_detail_start", "visit_detail_end"),
    _dated("condition_occurrence", "condition", "condition_start", "condition_end"),
    _dated("drug_exposure", "drug", "drug_exposure_start", "drug_exposure_end"),
    _dated("procedure_occurrence", "procedure", "procedure", "procedure_end"),
    _dated("device_exposure", "device", "device_exposure_start", "device_exposure_end"),
    _dated(
        "measurement",
        "measurement",
        "measurement",
        values=("value_as_number", "value_as_concept_id", "value_source_value"),
        units=True,
    ),
    _dated(
        "observation",
        "observation",
        "observation",
        values=("value_as_number", "value_as_string", "value_as_concept_id", "value_source_value"),
        units=True,
    ),
)
"""In the order in which EHRSHOT lists the events of one time."""

BUILT_IN_CONCEPTS: dict[int, tuple[str, str]] = {
    8507: ("Gender/M", "MALE"),
    8532: ("Gender/F", "FEMALE"),
    8551: ("Gender/U", "UNKNOWN"),
    8521: ("Gender/O", "OTHER"),
    8657: ("Race/1", "American Indian or Alaska Native"),
    8515: ("Race/2", "Asian"),
    8516: ("Race/3", "Black or African American"),
    8557: ("Race/4", "Native Hawaiian or Other Pacific Islander"),
    8527: ("Race/5", "White"),
    38003563: ("Ethnicity/Hispanic", "Hispanic or Latino"),
    38003564: ("Ethnicity/Not Hispanic", "Not Hispanic or Latino"),
    9201: ("Visit/IP", "Inpatient Visit"),
    9202: ("Visit/OP", "Outpatient Visit"),
    9203: ("Visit/ER", "Emergency Room Visit"),
    262: ("Visit/ERIP", "Emergency Room and Inpatient Visit"),
    4216316: (BIRTH_CODE, "Birth"),
}
"""Concepts of person and visit that vocabulary extracts often leave out: code and name by concept id."""
