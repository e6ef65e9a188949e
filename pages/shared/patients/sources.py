"""The table of source rows: events as they lie in the dataset, with what their codes mean."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import polars as pl
import streamlit as st

from core.ehr.domains import DOMAINS, with_domain
from core.ehr.numbers import every_digit, shortest
from core.ehr.relative_time import Clock
from core.ehr.vocabulary import Vocabulary

ROW_HEIGHT = 30


def table(rows: pl.DataFrame, vocabulary: Vocabulary, clock: Clock, at: datetime) -> pd.DataFrame:
    """Return events as they are shown, dates hidden where the clock says so.

    Args:
        rows: columns of ``Dataset.events``.
        vocabulary: describes the codes.
        clock: how times are shown.
        at: the time as of which the record is read; later rows are marked.
    """
    rows = with_domain(rows)
    codes = rows["code"].to_list()
    names = {code: clock.text(vocabulary.describe(code) or "") for code in set(codes)}
    return pd.DataFrame(
        {
            "Row": rows["row"].to_list(),
            "Time": [clock.show(time) or "static" for time in rows["time"]],
            "Domain": [DOMAINS[domain] for domain in rows["domain"]],
            "Code": codes,
            "Description": [names[code] for code in codes],
            "Value": [
                every_digit(shortest(number)) if number is not None else clock.text(text or "")
                for number, text in zip(rows["numeric_value"], rows["text_value"], strict=True)
            ],
            "Unit": [unit or "" for unit in rows["unit"]],
            "End": [clock.show(end) for end in rows["end"]],
            "Visit": ["" if visit is None else str(visit) for visit in rows["visit_id"]],
            "Table": [name or "" for name in rows["table"]],
            "Seen": ["after" if time is not None and time > at else "" for time in rows["time"]],
        }
    )


def draw(
    rows: pl.DataFrame,
    vocabulary: Vocabulary,
    clock: Clock,
    at: datetime,
    key: str,
    rows_shown: int = 14,
    alt: str = "",
) -> None:
    """Draw events as a table; the column on what is after the as-of time is left out where nothing is."""
    frame = table(rows, vocabulary, clock, at)
    frame = frame.drop(columns=[name for name in ("Unit", "End", "Visit", "Seen") if _empty(frame[name])])
    st.dataframe(
        frame,
        hide_index=True,
        key=key,
        row_height=ROW_HEIGHT,
        height=min(len(frame), rows_shown) * ROW_HEIGHT + 38,
        column_config={
            "Row": st.column_config.NumberColumn(width=50, help="Position in the subject's record."),
            "Time": st.column_config.TextColumn(width=130),
            "Domain": st.column_config.TextColumn(width=115),
            "Code": st.column_config.TextColumn(width=130),
            "Description": st.column_config.TextColumn(width=270),
            "Value": st.column_config.TextColumn(width=90),
            "Unit": st.column_config.TextColumn(width=70),
            "End": st.column_config.TextColumn(width=130),
            "Visit": st.column_config.TextColumn(width=80),
            "Seen": st.column_config.TextColumn(
                width=70, help="after: the row is later than the as-of time and never reaches the text."
            ),
        },
        alt=alt or f"{len(frame)} source rows",
    )


def of_lines(events: pl.DataFrame, rows: Sequence[int]) -> pl.DataFrame:
    """Return the events with these row numbers."""
    return events.filter(pl.col("row").is_in(list(rows)))


def _empty(column: pd.Series) -> bool:
    return bool((column.isna() | (column == "")).all())
