"""Tab Events: the source rows as a table, filtered, with a download."""

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from core.ehr.domains import DOMAINS, with_domain
from core.ehr.numbers import every_digit, shortest
from core.files import csv_text
from pages.shared import downloads, empty, selection
from pages.shared.patients import sources

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient


def show(patient: "Patient") -> None:
    rows = with_domain(patient.events)
    if not rows.height:
        empty.show("This patient has no events", icon="event_busy", key="events")
        return
    present = [domain for domain in DOMAINS if domain in set(rows["domain"])]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        words = st.text_input(
            "Search codes, descriptions, values",
            icon=":material/search:",
            type="search",
            key="event-words",
            width=280,
            persist_state="page",
        ).strip()
        future = st.toggle("Rows after the as-of time", key="event-future", persist_state="page")
    domains = st.pills(
        "Domains",
        present,
        selection_mode="multi",
        format_func=DOMAINS.get,
        key="event-domains",
        label_visibility="collapsed",
        persist_state="page",
    )
    if domains:
        rows = rows.filter(pl.col("domain").is_in(domains))
    if not future:
        rows = rows.filter(pl.col("time").is_null() | (pl.col("time") <= patient.at))
    if words:
        rows = rows.filter(_matches(patient, rows, words.lower()))
    if not rows.height:
        empty.show("No row fits", "Loosen the search or the domains.", icon="search_off", key="events")
        return
    sources.draw(
        rows,
        patient.dataset.vocabulary,
        patient.clock,
        patient.at,
        key="event-table",
        rows_shown=17,
        alt="Source rows",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{rows.height:,} of {patient.events.height:,} rows")
        st.space("stretch")
        table = sources.table(rows, patient.dataset.vocabulary, patient.clock, patient.at)
        downloads.button(
            "Download as CSV",
            lambda: csv_text(table),
            file_name=f"{selection.alias(patient.subject_id)}-events.csv",
            mime="text/csv",
            key="event-download",
            subject_id=patient.subject_id,
            page="patients",
        )


def _matches(patient: "Patient", rows: pl.DataFrame, words: str) -> pl.Series:
    describe = patient.dataset.vocabulary.describe
    codes = {code: f"{code} {describe(code) or ''}".lower() for code in rows["code"].unique()}
    columns = rows.select("code", "text_value", "numeric_value")
    return pl.Series(
        [
            words in codes[code]
            or words in (text or "").lower()
            or (number is not None and every_digit(shortest(number)).startswith(words))
            for code, text, number in columns.iter_rows()
        ],
        dtype=pl.Boolean,
    )
