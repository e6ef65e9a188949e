"""What fits into an encoder's context: tokens per section, the cut line, and two ways of packing.

``truncate`` is the paper's: the tokenizer cuts off the end. ``fair`` gives every section a share (max-min fair: small
sections whole, large ones alike), keeps the first lines of each, which are the newest, and says how many were cut.
Encoders are not known here: they come in as a function from text to token offsets (``Tokenizer.offsets``).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.ehr.record import HEADER, Record
from core.errors import InputError

Offsets = Callable[[str], Sequence[tuple[int, int]]]
"""Character range ``[start, end)`` of each token of a text, special tokens left out."""

PACKINGS = ("truncate", "fair")
LIMITS = (512, 1024, 2048, 4096, 8192)
"""Context lengths that the paper compares."""


@dataclass(frozen=True)
class SectionTokens:
    """Tokens of one section, and how many of them a cut leaves."""

    id: str
    title: str
    tokens: int
    kept: int
    lines_lost: int

    @property
    def lost(self) -> int:
        """Tokens that are cut off."""
        return self.tokens - self.kept


@dataclass(frozen=True)
class Cut:
    """Where a text ends at a limit.

    Attributes:
        limit: tokens allowed.
        tokens: tokens kept.
        offset: characters kept.
        line: index of the first line that is not whole any more, None when all fits.
        sections: every section with what is kept of it.
    """

    limit: int
    tokens: int
    offset: int
    line: int | None
    sections: tuple[SectionTokens, ...]


@dataclass(frozen=True)
class TokenCount:
    """Tokens of a record. A token belongs to the line in which its last character lies.

    Attributes:
        record: what was counted.
        ends: character offset behind each token, int64 ``(n_tokens,)``.
    """

    record: Record
    ends: np.ndarray

    @property
    def total(self) -> int:
        """Tokens of the whole text."""
        return len(self.ends)

    @cached_property
    def line_of(self) -> np.ndarray:
        """Line index of each token."""
        return np.searchsorted(np.array(self.record.line_starts), np.maximum(self.ends - 1, 0), side="right") - 1

    @cached_property
    def per_line(self) -> np.ndarray:
        """Tokens of each line, its line break included; int64 ``(n_lines,)``."""
        return (
            np.bincount(self.line_of, minlength=len(self.record.texts))
            if self.total
            else np.zeros(len(self.record.texts), np.int64)
        )

    @cached_property
    def sections(self) -> tuple[SectionTokens, ...]:
        """Tokens of every section."""
        return self.cut(self.total).sections

    def cut(self, limit: int) -> Cut:
        """Cut after ``limit`` tokens, as a tokenizer truncates.

        Raises:
            InputError: the limit is negative.
        """
        if limit < 0:
            raise InputError(f"a limit of {limit} tokens makes no sense", "give 0 or more")
        texts = self.record.texts
        kept = min(limit, self.total)
        fits = kept == self.total
        offset = len(self.record.text) if fits else (int(self.ends[kept - 1]) if kept else 0)
        starts = self.record.line_starts
        line = None if fits else max(bisect_right(starts, offset) - 1, 0)
        if line is not None and offset >= starts[line] + len(texts[line]):
            line += 1  # the line itself is whole
        whole = len(texts) if line is None else line
        kept_per_line = np.bincount(self.line_of[:kept], minlength=len(texts)) if kept else np.zeros(len(texts), int)
        return Cut(limit, kept, offset, line, _sections(self.record, self.per_line, kept_per_line, range(whole)))


def count_tokens(record: Record, offsets: Offsets) -> TokenCount:
    """Count the record's tokens once; sections and cut lines at any limit follow without counting again."""
    return TokenCount(record, np.array([end for _, end in offsets(record.text)], dtype=np.int64))


@dataclass(frozen=True)
class Packed:
    """A record cut to a limit.

    Attributes:
        text: what the model is given.
        tokens: its tokens, at most ``limit``.
        limit: tokens allowed.
        packing: ``truncate`` or ``fair``.
        sections: what is kept of every section.
    """

    text: str
    tokens: int
    limit: int
    packing: str
    sections: tuple[SectionTokens, ...]


def pack(record: Record, limit: int, offsets: Offsets, packing: str = "truncate") -> Packed:
    """Cut a record to ``limit`` tokens.

    Raises:
        InputError: unknown packing, or a negative limit.
    """
    if packing not in PACKINGS:
        raise InputError(f"unknown packing {packing!r}", f"use {' or '.join(PACKINGS)}")
    counted = count_tokens(record, offsets)
    cut = counted.cut(limit)
    if cut.line is None:
        return Packed(record.text, counted.total, limit, packing, cut.sections)
    if packing == "fair":
        for room in _shrinking(limit):
            kept = _fair_lines(record, counted.per_line, room)
            if kept is None:
                break
            text = _with_marks(record, kept)
            tokens = len(offsets(text))
            if tokens <= limit:
                kept_per_line = np.where(np.isin(np.arange(len(record.texts)), list(kept)), counted.per_line, 0)
                return Packed(text, tokens, limit, packing, _sections(record, counted.per_line, kept_per_line, kept))
    return Packed(record.text[: cut.offset], cut.tokens, limit, packing, cut.sections)


_MARK_TOKENS = 14  # room for "- (1234 more lines cut)"


def _shrinking(limit: int) -> list[int]:
    """Rooms to try: token counts of a text of kept lines differ a little from the sum over these lines."""
    return [limit - step for step in (0, limit // 50 + 2, limit // 20 + 8, limit // 8 + 16) if limit > step]


def _is_frame(record: Record, line: int) -> bool:
    """Whether a line is kept whatever happens: title lines and section headings, with the blank line after them."""
    texts = record.texts
    return (
        record.section_of[line] == HEADER
        or texts[line].startswith("## ")
        or (texts[line] == "" and line > 0 and texts[line - 1].startswith("## "))
    )


def _fair_lines(record: Record, per_line: np.ndarray, limit: int) -> set[int] | None:
    """Indices of the lines to keep; None when not even the headings fit."""
    frame = {line for line in range(len(record.texts)) if _is_frame(record, line)}
    bodies: dict[str, list[int]] = {}
    for line, section in enumerate(record.section_of):
        if line not in frame:
            bodies.setdefault(section, []).append(line)
    demand = {section: int(per_line[lines].sum()) for section, lines in bodies.items()}
    room = limit - int(per_line[list(frame)].sum()) if frame else limit
    if room < 0:
        return None
    shares = _max_min(demand, room)
    if any(shares[section] < demand[section] for section in demand):
        marks = _MARK_TOKENS * sum(shares[section] < demand[section] for section in demand)
        shares = _max_min(demand, max(room - marks, 0))
    kept, spare = set(frame), 0
    for section, lines in bodies.items():
        spent = 0
        for line in lines:
            if spent + per_line[line] > shares[section] + spare:
                break
            spent += int(per_line[line])
            kept.add(line)
        spare = max(shares[section] + spare - spent, 0)
    _drop_dangling(record, bodies, kept)
    return kept


def _max_min(demand: dict[str, int], room: int) -> dict[str, int]:
    """Max-min fair shares: the smallest demands first, each at most an equal part of what is left."""
    shares: dict[str, int] = {}
    waiting = sorted(demand, key=lambda section: demand[section])
    for n, section in enumerate(waiting):
        shares[section] = min(demand[section], room // (len(waiting) - n))
        room -= shares[section]
    return shares


def _drop_dangling(record: Record, bodies: dict[str, list[int]], kept: set[int]) -> None:
    """Take back headings of visits and categories under which nothing is left."""
    for lines in bodies.values():
        if lines[-1] in kept:
            continue
        for line in reversed([line for line in lines if line in kept]):
            if record.texts[line] and not record.texts[line].startswith("#"):
                break
            kept.discard(line)


def _with_marks(record: Record, kept: set[int]) -> str:
    lost: dict[str, int] = {}
    last: dict[str, int] = {}
    for line, section in enumerate(record.section_of):
        if line in kept:
            last[section] = line
        elif record.texts[line]:
            lost[section] = lost.get(section, 0) + 1
    flat = record.options.strategy == "recent_codes"
    out: list[str] = []
    for line in sorted(kept):
        section = record.section_of[line]
        out.append(record.texts[line])
        if not flat and last[section] == line and section in lost:
            out += [_mark(lost[section]), ""]
    if flat:
        out += [f"({n} more {section} cut)" for section, n in lost.items()]
    return "\n".join(out)


def _mark(n: int) -> str:
    return f"- ({n} more line{'s' if n > 1 else ''} cut)"


def _sections(
    record: Record, per_line: np.ndarray, kept_per_line: np.ndarray, whole: Sequence[int] | range | set[int]
) -> tuple[SectionTokens, ...]:
    whole = set(whole)
    found: dict[str, list[int]] = {}
    for line, section in enumerate(record.section_of):
        entry = found.setdefault(section, [0, 0, 0])
        entry[0] += int(per_line[line])
        entry[1] += int(kept_per_line[line])
        entry[2] += bool(record.texts[line]) and line not in whole
    titles = record.section_titles
    return tuple(SectionTokens(id, titles[id], *found[id]) for id in titles if id in found)
