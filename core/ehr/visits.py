"""Visits rebuilt from visit codes and times, for datasets whose events name no visit, or no end of any.

The rule: a visit begins at a visit event. It ends at its own ``end``; where that is missing, at the discharge event
that follows it; where there is none either, at the end of its day, and an inpatient stay goes on over later events
for as long as no 24 hours pass without one. An event belongs to the visit that covers its time; of several, to the
one that began last. Birth, demographics and static events belong to none.

Where events name their visit and none has an end (MIMIC-IV in MEDS), a visit ends at the discharge event of its id: a
hospital stay at the last one, since what was seen in the emergency room before it carries the same id, others at the
first.
"""

from datetime import datetime

import numpy as np
import polars as pl

from core.ehr.meds_layout import BIRTH_CODES

_VISIT = r"(?i)^(visit/|hospital_admission|admission|ed_registration|encounter(_start)?/|transfer_to//ed)"
_DISCHARGE = r"(?i)^(hospital_discharge|discharge|ed_out|encounter_end)"
_STAY = r"(?i)^(visit/(ip|erip|inpatient)|hospital_admission|admission)"
_DEMOGRAPHIC = r"(?i)^(gender|sex|race|ethnicity)/"
REBUILT = "visits_rebuilt"
"""Column that marks a record whose visits were rebuilt here, so that they can be rebuilt as of an earlier time."""
_GAP = np.timedelta64(24, "h")
_FAR = np.datetime64("9999-12-31", "us")


def is_visit(code: pl.Expr) -> pl.Expr:
    """Whether a code opens a visit."""
    return code.str.contains(_VISIT)


def rebuild_visits(events: pl.DataFrame) -> pl.DataFrame:
    """Fill ``visit_id`` (1, 2, ... in order of start) in one subject's events, in record order.

    Rows that have a ``visit_id`` keep it, and then only ends are filled. ``end`` of a visit event is filled only where
    a discharge event tells it: an end that was guessed from gaps bounds the visit but is not written.

    Args:
        events: columns ``time``, ``code``, ``end``, ``visit_id``, sorted by time.
    """
    if not events.height:
        return events
    if events["visit_id"].null_count() < events.height:
        return _with_told_ends(events) if events["end"].null_count() == events.height else events
    rows = events.select("time", "code", "end", _visit=is_visit(pl.col("code"))).with_row_index("i")
    starts = rows.filter(pl.col("_visit") & pl.col("time").is_not_null()).sort("time", maintain_order=True)
    if not starts.height:
        return events
    timed = rows.filter(pl.col("time").is_not_null())  # one slice of it is what a visit covers
    times = timed["time"].to_numpy()
    discharges = timed.filter(pl.col("code").str.contains(_DISCHARGE))["time"].to_numpy()
    stays = starts["code"].str.contains(_STAY).to_list()
    begin, told = starts["time"].to_numpy(), starts["end"].to_numpy().copy()
    belongs = np.zeros(len(times), dtype=np.int64)
    limit = _FAR  # start of the next stay
    limits = np.full(len(begin), _FAR)
    for k in range(len(begin) - 1, -1, -1):
        limits[k] = limit
        if stays[k] and (k == 0 or begin[k - 1] < begin[k]):
            limit = begin[k]
    for k, at in enumerate(begin):  # later starts overwrite earlier ones
        if np.isnat(told[k]):
            place = int(np.searchsorted(discharges, at))
            if place < len(discharges) and discharges[place] <= limits[k]:
                told[k] = discharges[place]
        end = _guess(at, stays[k], limits[k], times) if np.isnat(told[k]) else told[k]
        belongs[np.searchsorted(times, at, "left") : np.searchsorted(times, end, "right")] = k + 1
    inside = timed.select(
        "i",
        visit_id=pl.when(~(pl.col("code").is_in(BIRTH_CODES) | pl.col("code").str.contains(_DEMOGRAPHIC))).then(
            pl.Series("belongs", belongs)
        ),
    ).with_columns(pl.col("visit_id").replace(0, None))
    visit = inside.select("i", "visit_id").update(starts.select("i", visit_id=pl.int_range(1, pl.len() + 1)), on="i")
    ends = starts.select("i", end=pl.Series(told).cast(pl.Datetime("us")))
    return (
        events.drop("visit_id")
        .with_row_index("i")
        .join(visit, on="i", how="left", maintain_order="left")
        .update(ends, on="i")
        .select(events.columns)
        .with_columns(pl.lit(True).alias(REBUILT))
    )


def _with_told_ends(events: pl.DataFrame) -> pl.DataFrame:
    """Fill ``end`` of visit events from the discharge events of the same ``visit_id``."""
    named = events.select("time", "code", "visit_id").with_row_index("i").drop_nulls(["time", "visit_id"])
    told = named.filter(pl.col("code").str.contains(_DISCHARGE)).select("visit_id", told="time")
    visits = named.filter(is_visit(pl.col("code"))).join(told, on="visit_id").filter(pl.col("told") >= pl.col("time"))
    if not visits.height:
        return events
    stay = pl.col("code").first().str.contains(_STAY)
    ends = visits.group_by("i").agg(end=pl.when(stay).then(pl.col("told").max()).otherwise(pl.col("told").min()))
    return events.with_row_index("i").update(ends, on="i").select(events.columns)


def visits_as_of(events: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """The record up to ``at``, its visits rebuilt from nothing later; a record that names its visits stays as it is.

    A discharge after ``at`` tells which events belonged to the stay, so it must not be looked at.

    Args:
        events: of ``Dataset.events``.
        at: prediction time; a time before the first event leaves the record as it is.
    """
    first = events["time"].drop_nulls().min() if REBUILT in events.columns else None
    if first is None or at < first:  # type: ignore[operator]
        return events
    known = events.filter(pl.col("time").is_null() | (pl.col("time") <= at))
    return rebuild_visits(
        known.with_columns(
            visit_id=pl.lit(None, pl.Int64), end=pl.when(pl.col("end") <= at).then(pl.col("end"))
        ).select(events.columns)
    )


def _guess(at: np.datetime64, stay: bool, limit: np.datetime64, times: np.ndarray) -> np.datetime64:
    end = at.astype("datetime64[D]") + np.timedelta64(86_400_000_000 - 1, "us")
    if not stay:
        return end
    after = times[np.searchsorted(times, end, "right") : np.searchsorted(times, limit, "left")]
    gaps = np.diff(after, prepend=end)
    long = np.flatnonzero(gaps > _GAP)
    after = after[: long[0]] if len(long) else after
    return after[-1] if len(after) else end
