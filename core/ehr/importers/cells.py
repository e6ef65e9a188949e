"""Text cells to typed columns, with what does not fit counted."""

from collections import Counter

import polars as pl

from core.ehr.index import EARLIEST, LATEST

NOT_FINITE = "value is NaN, infinite or beyond float32 (event kept without it)"
BAD_END = "end is unreadable, implausible or before the start (event kept without it)"
NO_SUBJECT = "subject id is missing or not an integer"
NO_TIME = "start is missing or not a date"
BAD_TIME = "start lies outside 1850 to 2300"
NO_CODE = "code is missing"

_FORMATS = tuple(f"%Y-%m-%d{between}{clock}" for clock in ("%H:%M:%S", "%H:%M:%S%.f", "%H:%M") for between in " T")
_ZONE = r"(:\d\d(?:\.\d+)?)\s*(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)$"
"""A zone after a clock time, as ISO, BigQuery (`` UTC``) and PostgreSQL (``+00``) write it."""


def parse_times(column: pl.Series) -> pl.Series:
    """Naive microsecond timestamps; null where a cell is no date. Zones are dropped: the clock time is kept."""
    if column.dtype != pl.String:
        if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
            column = column.dt.replace_time_zone(None)
        return column.cast(pl.Datetime("us"), strict=False)
    parsed = column.str.to_datetime(_FORMATS[0], time_unit="us", strict=False, exact=True)
    if parsed.null_count() == column.null_count():
        return parsed
    text = column.str.strip_chars().str.replace(_ZONE, "$1").str.replace(r"^(\d{4}-\d\d-\d\d)$", "$1 00:00:00")
    text = text.str.replace(r"^(\d{4})(\d\d)(\d\d)$", "$1-$2-$3 00:00:00").str.replace(r"^(\d)", "$1")
    for form in _FORMATS:
        parsed = parsed.zip_with(
            parsed.is_not_null(), text.str.to_datetime(form, time_unit="us", strict=False, exact=True)
        )
    return parsed


def parse_integers(column: pl.Series) -> pl.Series:
    """Int64; "12.0", as pandas writes integers beside gaps, is 12; null where a cell is no integer."""
    if column.dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    parsed = (
        column.cast(pl.Int64, strict=False)
        if column.dtype == pl.String
        else pl.Series(column.name, [None] * len(column), dtype=pl.Int64)
    )
    if parsed.null_count() == column.null_count():
        return parsed
    number = (
        column.cast(pl.Float64, strict=False)
        if column.dtype != pl.String
        else column.str.strip_chars().cast(pl.Float64, strict=False)
    )
    whole = number.is_finite() & (number == number.round()) & (number.abs() < 2**53)
    return parsed.zip_with(
        parsed.is_not_null(), number.set(~whole.fill_null(False), None).cast(pl.Int64, strict=False)
    )


def split_values(value: pl.Series, repaired: Counter[str]) -> tuple[pl.Series, pl.Series]:
    """Numbers (float32) and texts of a mixed column, each null where the other stands.

    A number that is NaN, infinite or beyond float32 is dropped and counted.
    """
    if value.dtype.is_numeric():
        number, text = (
            value.cast(pl.Float32, strict=False),
            pl.Series(value.name, [None] * len(value), dtype=pl.String),
        )
    else:
        stripped = value.cast(pl.String).str.strip_chars()
        number = stripped.cast(pl.Float32, strict=False)
        text = stripped.set(number.is_not_null() | (stripped == ""), None)
    bad = number.is_not_null() & ~number.is_finite()
    if bad.any():
        repaired[NOT_FINITE] += int(bad.sum())
        number = number.set(bad, None)
    return number, text


def typed_events(frame: pl.DataFrame, rejected: Counter[str], repaired: Counter[str]) -> pl.DataFrame:
    """Turn text columns into event columns, and leave out what cannot be an event.

    Args:
        frame: ``subject_id``, ``start``, ``code`` and optionally ``end``, ``value`` (number or text) or
            ``numeric_value`` and ``text_value``, ``unit``, ``visit_id``, ``table``; text or typed.
        rejected: counts rows left out, by reason.
        repaired: counts rows kept without a bad part, by reason.

    Returns:
        The columns of ``meds_layout.EVENT_SCHEMA``, in the order of the rows.
    """
    time, subject = parse_times(frame["start"]), parse_integers(frame["subject_id"])
    code = frame["code"].cast(pl.String).str.strip_chars()
    checks = pl.DataFrame({"subject": subject, "time": time, "code": code}).select(
        subject=pl.col("subject").is_null(),
        time=pl.col("time").is_null(),
        code=pl.col("code").is_null() | (pl.col("code") == ""),
        late=(pl.col("time") < EARLIEST) | (pl.col("time") >= LATEST),
    )
    good = pl.repeat(True, frame.height, dtype=pl.Boolean, eager=True)
    for name, reason in (("subject", NO_SUBJECT), ("time", NO_TIME), ("late", BAD_TIME), ("code", NO_CODE)):
        bad = checks[name].fill_null(False) & good
        if bad.any():
            rejected[reason] += int(bad.sum())
            good &= ~bad
    columns = {"subject_id": subject, "time": time, "code": code} | _value_columns(frame, repaired)
    columns["end"] = _ends(frame, time, good, repaired)
    columns["visit_id"] = (
        parse_integers(frame["visit_id"]) if "visit_id" in frame.columns else _nulls(frame, pl.Int64())
    )
    for name in ("unit", "table"):
        columns[name] = frame[name].cast(pl.String) if name in frame.columns else _nulls(frame, pl.String())
    events = pl.DataFrame({name: column.alias(name) for name, column in columns.items()})
    return events if good.all() else events.filter(good)


def _value_columns(frame: pl.DataFrame, repaired: Counter[str]) -> dict[str, pl.Series]:
    if "value" in frame.columns:
        number, text = split_values(frame["value"], repaired)
        return {"numeric_value": number, "text_value": text}
    numeric = frame["numeric_value"] if "numeric_value" in frame.columns else _nulls(frame, pl.Float32())
    number, stray = split_values(numeric, repaired)
    text = frame["text_value"].cast(pl.String) if "text_value" in frame.columns else _nulls(frame, pl.String())
    return {"numeric_value": number, "text_value": text.zip_with(text.is_not_null(), stray)}


def _ends(frame: pl.DataFrame, time: pl.Series, good: pl.Series, repaired: Counter[str]) -> pl.Series:
    if "end" not in frame.columns or frame["end"].null_count() == frame.height:
        return _nulls(frame, pl.Datetime("us"))
    end = parse_times(frame["end"])
    sane = (
        pl.DataFrame({"end": end, "time": time})
        .select((pl.col("end") >= pl.col("time")) & (pl.col("end") < LATEST))
        .to_series()
        .fill_null(False)
    )
    bad = frame["end"].is_not_null() & ~sane & good
    if bad.any():
        repaired[BAD_END] += int(bad.sum())
    return end.set(~sane, None)


def _nulls(frame: pl.DataFrame, dtype: pl.DataType) -> pl.Series:
    return pl.repeat(None, frame.height, dtype=dtype, eager=True)
