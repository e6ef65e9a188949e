"""Records with parts left out or alone, made from a record's lines without reading the chart again.

These are cuts in the text, for asking what a part contributes. Leaving out events before serialising (a look-back
window, a category inside visits) is an option of :class:`core.ehr.record.SerializationOptions`.
"""

from collections.abc import Callable

from core.ehr.record import HEADER, Line, Record


def without_section(record: Record, section: str) -> str:
    """The text without one section."""
    return _text(record, lambda line: line.section != section)


def only_section(record: Record, section: str) -> str:
    """The title lines and one section."""
    return _text(record, lambda line: line.section in (HEADER, section))


def without_line(record: Record, index: int) -> str:
    """The text without the line of this index."""
    kept = [line.text for i, line in enumerate(record.lines) if i != index]
    return "\n".join(kept)


def without_visit(record: Record, visit: int) -> str:
    """The text without what stands in one visit, its lines in the list of visits among it."""
    return _text(record, lambda line: line.visit != visit)


def without_rows(record: Record, rows: set[int]) -> str:
    """The text without the lines that come from these source rows alone."""
    return _text(record, lambda line: not line.rows or not set(line.rows) <= rows)


def _text(record: Record, keeps: Callable[[Line], bool]) -> str:
    return "\n".join(line.text for line in record.lines if keeps(line))
