"""What an import did: rows read, kept and rejected by reason, labels, and codes resolved per vocabulary."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.ehr.vocabulary import Coverage
from core.wording import counted

REPORT_FILE = Path("metadata") / "import_report.json"


@dataclass(frozen=True)
class ImportReport:
    """The account of one import; also kept in the dataset as ``metadata/import_report.json``.

    ``rows_read == rows_kept + sum(rejected.values())``.

    Attributes:
        dest: folder of the dataset.
        subjects: subjects in it.
        rows_read: rows of the source.
        rows_kept: rows that became events.
        rejected: rows left out, by reason.
        repaired: rows that were kept without a bad part (an infinite value, an end before the start), by reason.
        events: events written; one source row can make several (a person row: birth, race, sex, ethnicity).
        coverage: per vocabulary, the most frequent first.
        labels: labels written, by task.
        labels_rejected: labels left out, by reason.
        tasks_missing: tasks that the data cannot carry, with the reason.
        notes: sentences for the reader.
    """

    dest: Path
    subjects: int
    rows_read: int
    rows_kept: int
    rejected: dict[str, int]
    repaired: dict[str, int]
    events: int
    coverage: list[Coverage]
    labels: dict[str, int] = field(default_factory=dict)
    labels_rejected: dict[str, int] = field(default_factory=dict)
    tasks_missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The report as text, line by line."""
        yield f"{self.dest}: {counted(self.subjects, 'subject')}, {counted(self.events, 'event')}"
        yield f"rows read {self.rows_read:,}, kept {self.rows_kept:,}, rejected {sum(self.rejected.values()):,}"
        yield from (f"  rejected {n:,}: {reason}" for reason, n in _ordered(self.rejected))
        yield from (f"  repaired {n:,}: {reason}" for reason, n in _ordered(self.repaired))
        for item in self.coverage:
            share = item.events_described / item.events if item.events else 0.0
            yield (
                f"  {item.vocabulary}: {item.described:,} of {item.codes:,} codes described"
                f" ({share:.1%} of {item.events:,} events)"
            )
        if self.labels:
            yield "labels: " + ", ".join(f"{task} {n:,}" for task, n in self.labels.items())
        yield from (f"  labels rejected {n:,}: {reason}" for reason, n in _ordered(self.labels_rejected))
        yield from (f"  no labels for {task}: {reason}" for task, reason in self.tasks_missing.items())
        yield from (f"note: {note}" for note in self.notes)

    def save(self, folder: Path) -> None:
        """Write it into a dataset folder."""
        record = asdict(self) | {"dest": self.dest.name}
        (folder / REPORT_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _ordered(counts: dict[str, int]) -> list[tuple[str, int]]:
    return Counter({reason: n for reason, n in counts.items() if n}).most_common()
