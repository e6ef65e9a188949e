"""What serialising a chart gives: the text, its lines with their source rows, its sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np

from core.errors import InputError

PROFILES: dict[str, str] = {"corrected": "Corrected", "paper": "As in the paper"}
"""Profile id -> what a page calls it."""
STRATEGIES: dict[str, str] = {"markdown": "Markdown", "recent_codes": "Recent codes"}
"""Strategy id -> what a page calls it."""

MARKDOWN_SECTIONS: dict[str, str] = {
    "demographics": "Patient Demographics",
    "body_metrics": "Recent Body Metrics",
    "vital_signs": "Recent Vital Signs",
    "lab_results": "Recent Lab Results",
    "past_visits": "Past Medical Visits",
    "general_events": "General Medical Events",
    "visit_details": "Detailed Past Medical Visits",
}
"""Section id -> title of the strategy ``markdown``, in the document's order."""

EVENT_CATEGORIES: dict[str, str] = {
    "conditions": "Conditions",
    "medications": "Medications",
    "immunizations": "Immunizations",
    "procedures": "Procedures",
}
"""Category id -> heading of ordinary events inside a visit (``immunizations`` only in the profile ``corrected``)."""

_CATEGORY_SECTIONS = ("general_events", "visit_details")

CODE_SECTIONS: dict[str, str] = {
    "demographics": "Demographics",
    "visits": "Visits",
    "medications": "Medications",
    "procedures": "Procedures",
    "labs": "Labs",
    "conditions": "Conditions",
}
"""Section id -> title of the strategy ``recent_codes``; its lines are mixed, so a section is a set of lines."""

HEADER = "header"
"""Section of the lines that no ablation removes: the title and the current time."""

SERIALIZER = 1
"""Rules that records are written by. Raise it when the same events, vocabulary and options give another text than
before: features made by older rules are then not continued."""


@dataclass(frozen=True)
class SerializationOptions:
    """How a record is written.

    Attributes:
        profile: ``corrected`` (defects of the paper's code mended) or ``paper`` (byte for byte what it writes).
        strategy: ``markdown`` or ``recent_codes`` (unique codes, newest first).
        drop: section or category ids to leave out; ``past_visits`` and ``visit_details`` can be named apart.
        keep: section or category ids to keep alone; None keeps all. A category keeps the sections that list it.
        lookback: only events within this time before the prediction time.
        values: values shown per aggregated concept; 0 leaves the three aggregated sections out and shows their events
            among the others, as the paper's code does.
    """

    profile: str = "corrected"
    strategy: str = "markdown"
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] | None = None
    lookback: timedelta | None = None
    values: int = 3

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise InputError(f"unknown profile {self.profile!r}", f"use {' or '.join(PROFILES)}")
        if self.strategy not in STRATEGIES:
            raise InputError(f"unknown strategy {self.strategy!r}", f"use {' or '.join(STRATEGIES)}")
        if self.values < 0:
            raise InputError(f"{self.values} values per concept make no sense", "give 0 or more")
        if self.lookback is not None and self.lookback <= timedelta(0):
            raise InputError("the look-back window is not positive", "give a window longer than zero")
        object.__setattr__(self, "drop", _as_tuple(self.drop))
        object.__setattr__(self, "keep", None if self.keep is None else _as_tuple(self.keep))
        for name in (*self.drop, *(self.keep or ())):
            if name not in self.known_sections:
                raise InputError(
                    f"the strategy {self.strategy} has no section {name!r}", f"use {', '.join(self.known_sections)}"
                )

    @property
    def known_sections(self) -> tuple[str, ...]:
        """Ids that ``drop`` and ``keep`` may name."""
        if self.strategy == "recent_codes":
            return tuple(CODE_SECTIONS)
        return (*MARKDOWN_SECTIONS, *EVENT_CATEGORIES)

    def shows(self, section: str) -> bool:
        """Whether the section or category is written."""
        if section in self.drop or self.keep is None:
            return section not in self.drop
        listed = section in _CATEGORY_SECTIONS and any(name in EVENT_CATEGORIES for name in self.keep)
        return section in self.keep or (listed and not any(name in _CATEGORY_SECTIONS for name in self.keep))

    def shows_category(self, category: str) -> bool:
        """Whether events of a category are written: not dropped, and among those kept if any category is."""
        kept = [name for name in self.keep or () if name in EVENT_CATEGORIES]
        return category not in self.drop and (not kept or category in kept)


def _as_tuple(names: Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


class Line(NamedTuple):
    """One line of the text, without its line break."""

    text: str
    section: str
    """Section id, :data:`HEADER` for the title lines. A blank line belongs to the section before it."""
    rows: tuple[int, ...] = ()
    """``row`` numbers of the events that it was written from; empty for headings and blank lines."""
    visit: int | None = None
    """``visit_id`` of the visit that it stands in."""


@dataclass(frozen=True)
class Section:
    """The lines of one section."""

    id: str
    title: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The section's lines joined by line breaks."""
        return "\n".join(line.text for line in self.lines)

    @property
    def rows(self) -> tuple[int, ...]:
        """Source rows of the section, ascending."""
        return tuple(sorted({row for line in self.lines for row in line.rows}))


@dataclass(frozen=True)
class Record:
    """A chart as the model reads it.

    ``text`` is the lines joined by line breaks. The columns ``texts``, ``section_of``, ``visit_of`` and ``row_ranges``
    (into ``row_pool``) have one element a line; ``lines`` puts them together.
    """

    text: str
    at: datetime
    options: SerializationOptions
    texts: tuple[str, ...] = field(repr=False)
    section_of: tuple[str, ...] = field(repr=False)
    visit_of: tuple[int | None, ...] = field(repr=False)
    row_ranges: tuple[tuple[int, int], ...] = field(repr=False)
    row_pool: np.ndarray = field(repr=False)
    omitted_rows: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """All lines in order; their texts joined by line breaks are ``text``."""
        pool = tuple(self.row_pool.tolist())
        rows = (pool[low:high] for low, high in self.row_ranges)
        return tuple(map(Line, self.texts, self.section_of, rows, self.visit_of))

    @cached_property
    def omitted(self) -> dict[str, tuple[int, ...]]:
        """Rows at or before the prediction time that the text does not show, by reason, in words."""
        return {reason: tuple(rows.tolist()) for reason, rows in self.omitted_rows.items() if len(rows)}

    @property
    def section_titles(self) -> dict[str, str]:
        """Title of each section that the strategy has, the title lines among them."""
        return {HEADER: "Title"} | (CODE_SECTIONS if self.options.strategy == "recent_codes" else MARKDOWN_SECTIONS)

    def sections(self) -> tuple[Section, ...]:
        """The sections that the text has, in document order, the title lines (id ``header``) first."""
        titles = {HEADER: "Title"} | (CODE_SECTIONS if self.options.strategy == "recent_codes" else MARKDOWN_SECTIONS)
        by_id: dict[str, list[Line]] = {}
        for line in self.lines:
            by_id.setdefault(line.section, []).append(line)
        return tuple(Section(id, titles[id], tuple(by_id[id])) for id in titles if id in by_id)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offset in ``text`` of each line's first character."""
        starts, offset = [], 0
        for text in self.texts:
            starts.append(offset)
            offset += len(text) + 1
        return tuple(starts)
