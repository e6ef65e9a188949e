"""One subject's events as arrays, made once and cut at any prediction time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow.compute as pc

from core.ehr.codebook import BIRTH, CATEGORY_BY_TABLE, CONDITIONS, CodeBook, Vocabulary, code_book
from core.ehr.meds_layout import BIRTH_CODES
from core.ehr.numbers import shortest
from core.ehr.record import SerializationOptions
from core.errors import InputError

EPOCH = datetime(1970, 1, 1)
NEVER = np.iinfo(np.int64).max
"""``end`` of events without one."""


class BeforeBirthError(InputError):
    """A record was asked for at a time before the subject's birth, or what the profile takes for it."""


@dataclass(frozen=True)
class Chart:
    """All events of one subject in record order, birth first. Make it with :func:`read_chart`.

    Arrays are parallel, one element an event. ``time`` and ``end`` are microseconds since 1970; static events
    carry the time of birth. ``visit`` counts into ``visit_ids``; events without a visit have the number of None, which
    is a visit of its own only in the paper's code.
    """

    book: CodeBook
    row: np.ndarray
    time: np.ndarray
    static: np.ndarray
    end: np.ndarray
    code: np.ndarray
    kind: np.ndarray
    category: np.ndarray
    visit: np.ndarray
    visit_ids: list[int | None]
    numeric: np.ndarray
    has_value: np.ndarray
    birth: int | None
    """Microseconds since 1970, None where the profile ``corrected`` finds no birth event."""
    birth_event: int | None
    _frame: pl.DataFrame

    @cached_property
    def numbers(self) -> list[float]:
        """``numeric`` as Python floats, NaN where there is none."""
        return self.numeric.tolist()

    @cached_property
    def texts(self) -> list[str | None]:
        """``text_value`` by event."""
        return self._frame["text_value"].to_list()

    @cached_property
    def units(self) -> list[str | None]:
        """``unit`` by event."""
        return self._frame["unit"].to_list()

    @cached_property
    def tables(self) -> list[str | None]:
        """Source table by event."""
        return self._frame["table"].to_list()

    @property
    def corrected(self) -> bool:
        """Whether the profile is ``corrected``."""
        return self.book.profile == "corrected"

    def visit_of(self, events: np.ndarray, overwritten: tuple[int, str] | None) -> np.ndarray:
        """Visit numbers of ``events``; an event that the paper's code overwrites by the age loses its visit."""
        visit = self.visit[events]
        if overwritten is not None:
            visit[events == overwritten[0]] = 0
        return visit

    def number(self, i: int) -> float | None:
        """Number of event ``i`` in its shortest decimal form, None where it has none."""
        number = self.numbers[i]
        return shortest(number) if number == number else None

    def value(self, i: int) -> float | str | None:
        """Number or else text of event ``i``."""
        number = self.number(i)
        return self.texts[i] if number is None else number

    def cut(self, at: datetime, lookback: timedelta | None) -> np.ndarray:
        """Indices of the events at or before ``at`` (and not before the look-back window), in record order.

        Under ``corrected`` birth, sex, race and ethnicity stay however old they are.

        Raises:
            BeforeBirthError: ``at`` lies before birth.
            InputError: it carries a time zone.
        """
        now = microseconds(at)
        if self.birth is not None and now < self.birth:
            born = EPOCH + timedelta(microseconds=self.birth)
            raise BeforeBirthError(
                f"the time {at.isoformat()} is before the subject's birth", f"choose a time from {born.isoformat()} on"
            )
        inside = (self.time <= now) | self.static
        if lookback is not None:
            recent = self.time >= now - lookback // timedelta(microseconds=1)
            if self.corrected:
                recent |= self.static | self.book.demographic[self.code] | (self.kind == BIRTH)
            inside &= recent
        return np.flatnonzero(inside)


def microseconds(time: datetime) -> int:
    """Microseconds since 1970 of a time without zone.

    Raises:
        InputError: the time has a zone; times of records have none.
    """
    if time.tzinfo is not None:
        raise InputError(
            f"the time {time.isoformat()} has a time zone, those of the record have none", "leave the zone out"
        )
    return (time - EPOCH) // timedelta(microseconds=1)


def read_chart(events: pl.DataFrame, vocabulary: Vocabulary, options: SerializationOptions) -> Chart:
    """Turn one subject's events (``Dataset.events``) into a :class:`Chart` for the options' profile and strategy."""
    book = code_book(vocabulary, options.profile, options.strategy, options.values > 0)
    events = _birth_first(events)
    static = _flags(events["time"].is_null())
    time = _integers(events["time"].cast(pl.Datetime("us")), 0).copy()
    code = book.numbers(events["code"].to_list())
    birth_event = _birth_event(book.birth[code], time, static, options.profile)
    birth = None if birth_event is None else int(time[birth_event])
    time[static] = birth if birth is not None else np.iinfo(np.int64).min
    visits = events["visit_id"].to_list()
    visit_ids: list[int | None] = list(dict.fromkeys([None, *visits]))
    number = {visit: i for i, visit in enumerate(visit_ids)}
    numeric = pc.fill_null(events["numeric_value"].cast(pl.Float32).to_arrow(), float("nan")).to_numpy(
        zero_copy_only=False
    )
    return Chart(
        book=book,
        row=events["row"].to_numpy(),
        time=time,
        static=static,
        end=_integers(events["end"].cast(pl.Datetime("us")), NEVER),
        code=code,
        kind=book.kind[code],
        category=_category(book, code, events["table"]),
        visit=np.array([number[visit] for visit in visits], dtype=np.int64),
        visit_ids=visit_ids,
        numeric=numeric,
        has_value=~np.isnan(numeric) | _flags(events["text_value"].is_not_null()),
        birth=birth,
        birth_event=birth_event,
        _frame=events,
    )


# Columns are taken over through Arrow, without a Polars query: queries of one subject's size spend their time in
# starting threads, and a cohort run makes hundreds of thousands of them.


def _integers(column: pl.Series, missing: int) -> np.ndarray:
    return pc.fill_null(column.to_physical().to_arrow(), missing).to_numpy(zero_copy_only=False)


def _flags(column: pl.Series) -> np.ndarray:
    return pc.fill_null(column.to_arrow(), False).to_numpy(zero_copy_only=False)


def _birth_first(events: pl.DataFrame) -> pl.DataFrame:
    """Put birth before the static events that MEDS lists first, as the paper's source does."""
    if not events.height or events["time"][0] is not None:
        return events
    rank = (
        pl.when(pl.col("code").is_in(BIRTH_CODES) & pl.col("time").is_not_null())
        .then(0)
        .when(pl.col("time").is_null())
        .then(1)
        .otherwise(2)
    )
    return events.sort(rank, maintain_order=True)


def _birth_event(births: np.ndarray, time: np.ndarray, static: np.ndarray, profile: str) -> int | None:
    """The event that tells birth: the paper takes the first one that has a time, whatever it is."""
    timed = np.flatnonzero(~static if profile == "paper" else births & ~static)
    if not len(timed):
        return None
    return int(timed[0] if profile == "paper" else timed[np.argmin(time[timed])])


def _category(book: CodeBook, code: np.ndarray, tables: pl.Series) -> np.ndarray:
    """Category by event. Under ``corrected`` the source table decides where the code alone says "condition"."""
    category = book.category[code]
    if book.profile == "corrected" and tables.null_count() < len(tables):
        undecided = category == CONDITIONS
        for table, found in CATEGORY_BY_TABLE.items():
            category[undecided & _flags(tables == table)] = found
    return category
