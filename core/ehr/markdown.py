"""The structured Markdown that the language model reads (Hegselmann et al., arXiv 2502.17403).

The profile ``paper`` writes, byte for byte, what the paper's code writes with its strategy
``unique_then_list_visits_wo_allconds_w_values`` and the vocabularies of ``no_labs_single`` left out, quirks included.
The profile ``corrected`` keeps the document and mends the known defects: see ``core.ehr.aggregates`` for values,
``core.ehr.codebook`` for what stands where. Dates are shifted so that the prediction time is always 2024-01-01.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from core.ehr.aggregated_concepts import CONCEPTS
from core.ehr.aggregates import Shown, shown_values
from core.ehr.bullets import Bullets
from core.ehr.chart import Chart, microseconds, read_chart
from core.ehr.codebook import AGGREGATED, EVENT, VISIT, Vocabulary
from core.ehr.omissions import omitted_rows
from core.ehr.person import paper_demographics, read_person
from core.ehr.recent_codes import write_recent_codes
from core.ehr.record import EVENT_CATEGORIES, HEADER, MARKDOWN_SECTIONS, Line, Record, Section, SerializationOptions
from core.ehr.visit_list import SHOWN_TIME, VisitList
from core.ehr.visits import REBUILT, visits_as_of

__all__ = ["Line", "Record", "Section", "SerializationOptions", "serialize", "serialize_many"]

_HEADINGS = MARKDOWN_SECTIONS | {"visit_details": "Detailed Past Medical Visits (most recent first)"}
_AGGREGATED_SECTIONS = ("body_metrics", "vital_signs", "lab_results")
_CATEGORIES = tuple(EVENT_CATEGORIES.items())


def serialize(
    events: pl.DataFrame, at: datetime, vocabulary: Vocabulary, options: SerializationOptions | None = None
) -> Record:
    """Write one subject's record as it stood at ``at``.

    Args:
        events: all events of the subject (``Dataset.events``); those after ``at`` never reach the text.
        at: prediction time, without zone; events at that very time are included.
        vocabulary: describes the codes.
        options: profile, strategy, ablation, look-back window.

    Raises:
        InputError: ``at`` is before birth, or has a time zone.
    """
    return serialize_many(events, [at], vocabulary, options)[0]


def serialize_many(
    events: pl.DataFrame,
    times: Iterable[datetime],
    vocabulary: Vocabulary,
    options: SerializationOptions | None = None,
) -> list[Record]:
    """Write one subject's record at several prediction times; quicker than one by one."""
    options = options or SerializationOptions()
    write = write_recent_codes if options.strategy == "recent_codes" else _write
    if REBUILT in events.columns:
        return [write(read_chart(visits_as_of(events, at), vocabulary, options), at, options) for at in times]
    chart = read_chart(events, vocabulary, options)
    return [write(chart, at, options) for at in times]


def _write(chart: Chart, at: datetime, options: SerializationOptions) -> Record:
    now = microseconds(at)
    inside = chart.cut(at, options.lookback)
    kind = chart.kind[inside]
    person = read_person(chart, inside, now)
    if person.overwritten is not None:
        kind[0] = EVENT
    visits = VisitList(chart, inside[kind == VISIT], now)
    ordinary = inside[(kind == EVENT) & ~np.isin(inside, person.events)]
    rank = visits.rank[chart.visit_of(ordinary, person.overwritten)]
    if not chart.corrected:
        person, ordinary, rank = paper_demographics(chart, person, ordinary, rank)
    hidden = [number for number, (name, _) in enumerate(_CATEGORIES) if not options.shows_category(name)]
    if hidden:
        stays = ~np.isin(chart.category[ordinary], hidden)
        ordinary, rank = ordinary[stays], rank[stays]
    bullets = Bullets(chart, ordinary, rank, person.overwritten)

    page = _Page(bullets.rows)
    _write_title(page)
    if options.shows("demographics"):
        page.section("demographics", person.lines)
    omitted = omitted_rows(chart, inside, kind)
    if options.values > 0:
        aggregates = shown_values(chart, inside[kind == AGGREGATED], options.values, person.sex)
        omitted |= aggregates.omitted_rows(chart)
        for section in _AGGREGATED_SECTIONS:
            if options.shows(section):
                page.section(section, _aggregated_lines(chart, section, aggregates.shown))
    if options.shows("past_visits"):
        page.section("past_visits", [(f"- {t}", r) for t, r in zip(visits.titles, visits.rows)], visits.ids)
    if options.shows("general_events") and len(hidden) < len(_CATEGORIES):
        page.section("general_events", ())
        page.bullets("general_events", *bullets.general())
    if options.shows("visit_details"):
        page.section("visit_details", ())
        _write_details(page, bullets, visits)
    return page.finish(at, options, omitted)


class _Page:
    """The lines written so far, column by column. ``pool`` begins with the source rows of the bullets."""

    def __init__(self, pool: np.ndarray) -> None:
        self._pool = pool
        self._more: list[int] = []
        self.texts: list[str] = []
        self.sections: list[str] = []
        self.visits: list[int | None] = []
        self.ranges: list[tuple[int, int]] = []

    def add(self, text: str, section: str, rows: Sequence[int] = (), visit: int | None = None) -> None:
        """Add one line."""
        low = len(self._pool) + len(self._more)
        self._more += rows
        self._extend([text], section, [(low, low + len(rows))], visit)

    def section(
        self, section: str, lines: Iterable[tuple[str, Sequence[int]]], visits: Sequence[int | None] | None = None
    ) -> None:
        """Add a heading and its lines, a blank line after each of both."""
        self._extend([f"## {_HEADINGS[section]}", ""], section, _NO_ROWS * 2, None)
        written = 0
        for text, rows in lines:
            self.add(text, section, rows, visits[written] if visits else None)
            written += 1
        if written:
            self._extend([""], section, _NO_ROWS, None)

    def bullets(
        self,
        section: str,
        texts: list[str],
        ranges: list[tuple[int, int]],
        visit: int | None = None,
        heading: str = "",
    ) -> None:
        """Add bullet lines, under a heading where one is given, and a blank line."""
        if heading:
            self._extend([heading, ""], section, _NO_ROWS * 2, visit)
        if texts:
            self._extend([*texts, ""], section, ranges + _NO_ROWS, visit)

    def _extend(self, texts: list[str], section: str, ranges: list[tuple[int, int]], visit: int | None) -> None:
        self.texts += texts
        self.sections += [section] * len(texts)
        self.visits += [visit] * len(texts)
        self.ranges += ranges

    def finish(self, at: datetime, options: SerializationOptions, omitted: dict[str, np.ndarray]) -> Record:
        """Close the text as the paper does: after the last line of a visit nothing follows, else a blank line."""
        if self.sections[-1] == "visit_details" and not self.texts[-2].startswith("#"):
            self.texts.pop()
            self.sections.pop()
            self.visits.pop()
            self.ranges.pop()
        else:
            self._extend([""], self.sections[-1], _NO_ROWS, None)
        text = "\n".join(self.texts)
        if "\n\n\n" in text:  # only where a value from the data holds line breaks
            self.texts = _collapsed(self.texts)
            text = "\n".join(self.texts)
        pool = np.concatenate([self._pool, np.array(self._more, np.int64)])
        return Record(
            text=text,
            at=at,
            options=options,
            texts=tuple(self.texts),
            section_of=tuple(self.sections),
            visit_of=tuple(self.visits),
            row_ranges=tuple(self.ranges),
            row_pool=pool,
            omitted_rows=omitted,
        )


_NO_ROWS = [(0, 0)]


def _collapsed(texts: list[str]) -> list[str]:
    """Make runs of three and more line breaks two, as the paper does, line by line."""
    done = []
    for text, after in zip(texts, [*texts[1:], None]):
        text = re.sub(r"\n{3,}", "\n\n", text)
        if after is not None and text.endswith("\n"):
            text = text.rstrip("\n") + ("" if after == "" else "\n")
        done.append(text)
    return done


def _write_title(page: _Page) -> None:
    date = SHOWN_TIME.date().isoformat()
    for text in ("", "", "# Electronic Healthcare Record", "", f"Current time: [{date}]({date})", ""):
        page.add(text, HEADER)


def _aggregated_lines(chart: Chart, section: str, shown: dict[int, Shown]) -> Iterable[tuple[str, Sequence[int]]]:
    for number, concept in enumerate(CONCEPTS):
        if concept.section != section:
            continue
        if number in shown:
            values = ", ".join(shown[number].values)
            yield f"- {concept.name} ({concept.unit}): {values}", chart.row[shown[number].events].tolist()
        else:
            yield f"- {concept.name}: No recent data", ()


def _write_details(page: _Page, bullets: Bullets, visits: VisitList) -> None:
    section = "visit_details"
    filled = bullets.filled()
    for rank, (title, rows, visit) in enumerate(zip(visits.titles, visits.rows, visits.ids)):
        page.add(f"### {title}", section, rows, visit)
        page.add("", section, (), visit)
        for category in filled.get(rank, ()):
            texts, ranges = bullets.of(rank, category)
            page.bullets(section, texts, ranges, visit, f"#### {_CATEGORIES[category][1]}")
