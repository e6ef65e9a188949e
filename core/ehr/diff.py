"""What differs between two records: two times, profiles or strategies, line by line."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from core.ehr.record import Line, Record

Change = Literal["same", "removed", "added", "changed"]


class DiffRow(NamedTuple):
    """Two lines side by side; one of them is None where the other record has nothing like it."""

    change: Change
    left: Line | None
    right: Line | None


@dataclass(frozen=True)
class RecordDiff:
    """Rows in reading order."""

    rows: tuple[DiffRow, ...]

    def count(self, change: Change) -> int:
        """Number of rows of one kind, blank lines aside."""
        return sum(row.change == change and bool((row.left or row.right).text) for row in self.rows)  # type: ignore[union-attr]

    def around(self, context: int = 2) -> tuple[DiffRow | None, ...]:
        """The rows that differ with ``context`` equal rows about them; None stands for what is left out between."""
        near = [False] * len(self.rows)
        for i, row in enumerate(self.rows):
            if row.change != "same":
                for k in range(max(i - context, 0), min(i + context + 1, len(self.rows))):
                    near[k] = True
        shown: list[DiffRow | None] = []
        for row, wanted in zip(self.rows, near):
            if wanted:
                shown.append(row)
            elif not shown or shown[-1] is not None:
                shown.append(None)
        return tuple(shown)


def diff_records(left: Record, right: Record) -> RecordDiff:
    """Compare two records line by line.

    A line that only got another value or another time is ``changed``, with both versions in one row: in replaced
    blocks, lines are paired by what stands before the colon or the bracket.
    """
    a, b = left.lines, right.lines
    matcher = SequenceMatcher(None, [line.text for line in a], [line.text for line in b], autojunk=False)
    rows: list[DiffRow] = []
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        if kind == "equal":
            rows += (DiffRow("same", x, y) for x, y in zip(a[a0:a1], b[b0:b1]))
        else:
            rows += _paired(list(a[a0:a1]), list(b[b0:b1]))
    return RecordDiff(tuple(rows))


def _paired(left: list[Line], right: list[Line]) -> list[DiffRow]:
    keys = [_key(line) for line in right]
    rows: list[DiffRow] = []
    done = 0
    for line in left:
        key = _key(line)
        match = keys.index(key, done) if line.text and key in keys[done:] else None
        if match is None:
            rows.append(DiffRow("removed", line, None))
            continue
        rows += (DiffRow("added", None, new) for new in right[done:match])
        rows.append(DiffRow("changed" if line.text != right[match].text else "same", line, right[match]))
        done = match + 1
    return rows + [DiffRow("added", None, new) for new in right[done:]]


def _key(line: Line) -> tuple[str, int | None, str]:
    text = line.text
    cut = min((i for i in (text.find(": "), text.find(" ("), text.find(" on [")) if i > 0), default=len(text))
    return line.section, line.visit, text[:cut]
