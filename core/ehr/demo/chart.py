"""The events of one synthetic person, in the order in which a hospital system would hold them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from core.ehr.demo.measurements import Reading

Event = tuple[datetime, str, float | None, str | None, str | None, datetime | None, int | None, str]
"""time, code, numeric value, text value, unit, end, visit id, source table."""


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


@dataclass
class Chart:
    """Collects events; visits are numbered in the order in which they are opened."""

    subject_id: int
    events: list[Event] = field(default_factory=list)
    n_visits: int = 0

    def add(
        self,
        at: datetime,
        code: str,
        table: str,
        number: float | None = None,
        text: str | None = None,
        unit: str | None = None,
        end: datetime | None = None,
        visit: int | None = None,
    ) -> None:
        """Add one event, to the minute."""
        end = _minute(end) if end is not None else None
        self.events.append((_minute(at), code, number, text, unit, end, visit, table))

    def open_visit(self, kind: str, at: datetime, end: datetime) -> int:
        """Add a visit of this kind (IP, OP, ER) and return its id."""
        self.n_visits += 1
        visit = self.subject_id * 1000 + self.n_visits
        self.add(at, f"Visit/{kind}", "visit_occurrence", end=end, visit=visit)
        return visit

    def diagnoses(self, at: datetime, codes: Iterable[str], visit: int) -> None:
        """Add diagnoses (ICD-10-CM)."""
        for code in codes:
            self.add(at, f"ICD10CM/{code}", "condition_occurrence", visit=visit)

    def drugs(self, at: datetime, codes: Iterable[str], visit: int) -> None:
        """Add drugs (RxNorm ingredients)."""
        for code in codes:
            self.add(at, f"RxNorm/{code}", "drug_exposure", visit=visit)

    def procedures(self, at: datetime, codes: Iterable[str], visit: int) -> None:
        """Add procedures (ICD-10-PCS)."""
        for code in codes:
            self.add(at, f"ICD10PCS/{code}", "procedure_occurrence", visit=visit)

    def readings(self, at: datetime, readings: Iterable[Reading], visit: int) -> None:
        """Add measurements (LOINC)."""
        for code, number, unit in readings:
            self.add(at, f"LOINC/{code}", "measurement", number=number, unit=unit, visit=visit)

    def sorted_events(self) -> list[Event]:
        """The events by time; ties keep the order in which they were added."""
        return sorted(self.events, key=lambda event: event[0])
