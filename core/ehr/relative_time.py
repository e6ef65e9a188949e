"""Times as they are shown: as calendar dates, or as the subject's age, which names no date.

In relative-time mode every time that leaves the core passes through a :class:`Clock`: headings, axes, hover texts,
tables, exports and the address. Calendar dates inside a text are replaced too.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.errors import InputError

_YEAR = 365.25
_ISO = r"(?:1[89]|2[0-9])\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLOCK_TIME = r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"
_LINKED = re.compile(rf"\[({_ISO}{_CLOCK_TIME})\]\(\1\)")
_ISO_DATE = re.compile(rf"\b({_ISO})({_CLOCK_TIME})")
_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*"
_OTHER_DATE = re.compile(
    r"\b\d{1,2}[/.]\d{1,2}[/.](?:19|20)?\d\d\b"
    r"|\b\d{1,2}-\d{1,2}-(?:18|19|20)\d\d\b"
    r"|\b(?:18|19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2}\b"
    r"|\b(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b"
    r"|\b(?:18|19|20)\d\d-(?:0[1-9]|1[0-2])\b"
    r"|\b(?:0?[1-9]|1[0-2])/(?:18|19|20)\d\d\b"
    rf"|\b{_MONTHS}\.? \d{{1,2}},? \d\d:\d\d(?::\d\d)? (?:18|19|20)\d\d\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?[ -]{_MONTHS}\.?,?[ -](?:18|19|20)?\d\d\b"
    rf"|\b{_MONTHS}\.? \d{{1,2}}(?:st|nd|rd|th)?,? (?:18|19|20)\d\d\b"
    rf"|\b{_MONTHS}\.?,? (?:18|19|20)\d\d\b",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"t(-?\d{1,11})(?:\.(\d{6}))?")
HIDDEN = "[date hidden]"


@dataclass(frozen=True)
class Clock:
    """How the times of one subject are shown.

    Attributes:
        relative: show ages and day counts, never a calendar date.
        reference: the subject's birth, or the first event where birth is unknown.
        from_birth: whether ``reference`` is the birth.
    """

    relative: bool
    reference: datetime
    from_birth: bool = True

    def show(self, time: datetime | None) -> str:
        """Return a time: ``2015-03-02 14:20`` or ``63 y 45 d, 14:20``; empty for None."""
        if time is None:
            return ""
        return f"{self.day(time)}{',' if self.relative else ''} {time:%H:%M}"

    def day(self, time: datetime | None) -> str:
        """Return the day of a time: ``2015-03-02``, ``63 y 45 d`` or ``day 45`` where birth is unknown."""
        if time is None:
            return ""
        if not self.relative:
            return f"{time:%Y-%m-%d}"
        days = (time - self.reference) // timedelta(days=1)
        if not self.from_birth or days < 0:
            return f"day {days}"
        years = whole_years(self.reference, time)
        since = time - _birthday(self.reference, self.reference.year + years)
        return f"{years} y {since // timedelta(days=1)} d"

    def axis(self, time: datetime) -> datetime | float:
        """Return where a time lies on an axis: itself, or the age in years (days where birth is unknown)."""
        if not self.relative:
            return time
        return (time - self.reference) / timedelta(days=_YEAR if self.from_birth else 1)

    @property
    def axis_title(self) -> str:
        """What the axis counts; empty for calendar dates, which explain themselves."""
        return ("Age in years" if self.from_birth else "Days since the first event") if self.relative else ""

    def address(self, time: datetime) -> str:
        """Return a time for a link: ISO, or ``t`` and the seconds since ``reference``, which name no date."""
        if not self.relative:
            return time.isoformat()
        offset = time - self.reference
        seconds, rest = offset // timedelta(seconds=1), offset % timedelta(seconds=1)
        return f"t{seconds}" + (f".{rest.microseconds:06d}" if rest else "")

    def from_address(self, text: str) -> datetime:
        """Read a time from a link in either form.

        Raises:
            InputError: it is neither.
        """
        match = _OFFSET.fullmatch(text)
        try:
            if match:
                return self.reference + timedelta(seconds=int(match[1]), microseconds=int(match[2] or 0))
            time = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            raise InputError("the link names no time that can be read", "choose a time in the list") from None
        return time.replace(tzinfo=None)

    def text(self, text: str, shown_time: datetime | None = None) -> str:
        """Return a text as it may be shown: unchanged, or in relative mode without any calendar date.

        Args:
            text: the text.
            shown_time: the date that stands for the prediction time in it (a serialised record is shifted to one);
                dates then become day counts before it. Without it they are only hidden.
        """
        if not self.relative:
            return text

        def day_count(match: re.Match[str]) -> str:
            if shown_time is None:
                return HIDDEN
            try:
                days = (datetime.fromisoformat(match[1][:10]) - shown_time) // timedelta(days=1)
            except ValueError:
                return HIDDEN
            return f"day {days}" if days <= 0 else HIDDEN

        text = _LINKED.sub(day_count, text)
        text = _ISO_DATE.sub(day_count, text)
        return _OTHER_DATE.sub(HIDDEN, text)


def whole_years(birth: datetime, time: datetime) -> int:
    """Age in whole years, by the calendar."""
    return time.year - birth.year - (time < _birthday(birth, time.year))


def _birthday(birth: datetime, year: int) -> datetime:
    """The birthday in a year; that of a leap day is the first of March where there is none."""
    try:
        return birth.replace(year=year)
    except ValueError:
        return birth.replace(year=year, month=3, day=1)
