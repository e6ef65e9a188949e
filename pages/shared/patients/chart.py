"""One patient: header with the way back and on, the as-of control, and the tabs."""

from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl
import streamlit as st

from core.ehr.relative_time import Clock, whole_years
from core.ehr.store import Dataset
from core.ehr.subjects import neighbours_in_list, subject_table
from core.ehr.timepoints import LABEL, LINK, Timepoint, labels_by_subject, labels_of, timepoints
from core.errors import InputError
from core.wording import counted
from pages.shared import audience, audit, empty, layout, selection
from pages.shared.errors import plain
from pages.shared.patients import browser, compare, events, filter_link, filters, labs, record, timeline

TABS = {
    "Record": record.show,
    "Timeline": timeline.show,
    "Labs and vitals": labs.show,
    "Events": events.show,
    "Compare": compare.show,
}


@dataclass(frozen=True)
class Patient:
    """What the tabs draw from.

    Attributes:
        dataset, subject_id: where the patient lies.
        events: all events, in record order.
        labels: labels of all tasks of this subject.
        times: the subject's own times, newest first.
        at: the time as of which the record is read.
        clock: how times are shown.
        facts: the subject's row of the subject table.
    """

    dataset: Dataset
    subject_id: int
    events: pl.DataFrame
    labels: pl.DataFrame
    times: list[Timepoint]
    at: datetime
    clock: Clock
    facts: dict


@st.cache_resource(show_spinner="Reading the labels …", max_entries=8)
def _labels(_dataset: Dataset, path: str) -> pl.DataFrame:
    return labels_by_subject(_dataset)


def show(dataset: Dataset, chosen: selection.Selection) -> None:
    """Draw the patient of ``chosen``, or say why not."""
    patient = header(dataset, chosen)
    if patient is None:
        return
    tabs = st.tabs(list(TABS), on_change="rerun", key="tab", bind="query-params")
    for tab, draw in zip(tabs, TABS.values(), strict=True):
        if tab.open:
            with tab:
                draw(patient)


def header(dataset: Dataset, chosen: selection.Selection, **address: str | None) -> Patient | None:
    """Draw who is shown and as of when, and return it; None where there is nothing to read, which is then said.

    Args:
        dataset: where the patient lies.
        chosen: who and when.
        address: what else the address shall say.
    """
    subject = chosen.subject
    assert subject is not None
    try:
        clock = selection.clock_of(dataset, subject)
    except InputError as error:
        browser.header(dataset)
        empty.show(
            plain(error.what[:1].upper() + error.what[1:]), "The link may belong to another dataset.", icon="link_off"
        )
        st.button("All patients", icon=":material/arrow_back:", on_click=selection.choose)
        selection.write_address(chosen, **filter_link.NONE)
        return None
    rows = dataset.events(subject)
    labels = labels_of(_labels(dataset, str(dataset.path)), subject)
    times = timepoints(rows, labels, dataset.vocabulary)
    facts = subject_table(dataset).row(dataset.index.find(subject), named=True)
    at = _at(chosen, clock, times)
    if at is not None and all(time.time != at for time in times):
        times = sorted([*times, Timepoint(at, LINK, "named by the link")], key=lambda time: time.time, reverse=True)
    selection.write_address(replace(chosen, at=at), clock, **filter_link.NONE, **address)
    audit.record("view_subject", subject, dataset=dataset.name)
    with st.container(key="patient-header", gap="xsmall"):
        _navigation(dataset, subject)
        _facts(dataset, rows, facts, labels, at, clock)
        if at is not None:
            _as_of(subject, times, at, clock)
    if at is None:
        empty.show(
            "No event of this patient has a time",
            "There is nothing to read as of any time. The events tell what there is.",
            icon="event_busy",
        )
        at = datetime(1900, 1, 1)
        events.show(Patient(dataset, subject, rows, labels, times, at, clock, facts))
        return None
    return Patient(dataset, subject, rows, labels, times, at, clock, facts)


def _at(chosen: selection.Selection, clock: Clock, times: list[Timepoint]) -> datetime | None:
    """Return the time to show: of the session, else of the link, else the newest label, else the end of the record."""
    if chosen.at is not None:
        return chosen.at
    linked = selection.time_of_link(clock)
    if linked is None:
        labelled = next((time for time in times if time.kind == LABEL), None)
        linked = (labelled or times[0]).time if times else None
    selection.remember(chosen.subject, linked)
    return linked


def _navigation(dataset: Dataset, subject: int) -> None:
    before, after = neighbours_in_list(dataset, browser.current_filter(dataset), subject)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-navigation"):
        st.markdown(f"## {selection.alias(subject)}", anchors=False, width="content")
        st.badge(
            "Synthetic" if dataset.synthetic else "Not marked synthetic", color="gray", icon=":material/shield_person:"
        )
        st.space("stretch")
        with st.container(horizontal=True, vertical_alignment="center", gap="small", width="content"):  # wrap as one
            st.button("All patients", icon=":material/list:", type="tertiary", on_click=selection.choose, key="all")
            for label, icon, to in (("Previous", "chevron_left", before), ("Next", "chevron_right", after)):
                st.button(
                    label,
                    icon=f":material/{icon}:",
                    icon_position="right" if label == "Next" else "left",
                    on_click=selection.choose,
                    args=(to,),
                    disabled=to is None,
                    key=f"go-{label}",
                    help=f"{label} patient of the list",
                )


def _facts(
    dataset: Dataset, rows: pl.DataFrame, facts: dict, labels: pl.DataFrame, at: datetime | None, clock: Clock
) -> None:
    known = rows.filter(pl.col("time").is_null() | (pl.col("time") <= at)) if at else rows
    visits, all_visits = (part["visit_id"].drop_nulls().n_unique() for part in (known, rows))
    span = "none"
    if facts["first"] and facts["last"]:
        years = (facts["last"] - facts["first"]).days / 365.25
        span = f"{years:.1f} years" if clock.relative else f"{facts['first']:%Y-%m} to {facts['last']:%Y-%m}"
    pairs = [
        *([] if audience.on() else [("Subject id", str(facts["subject_id"]))]),
        ("Age", _age(facts["birth"], at)),
        ("Sex", (facts["sex"] or "unknown").capitalize()),
        ("Record", span),
        ("Events until then", f"{known.height:,} of {rows.height:,}"),
        ("Visits until then", f"{visits:,} of {all_visits:,}"),
        ("Labels", f"{labels.height:,}"),
        ("Split", filters.SPLITS.get(facts["split"] or "", facts["split"] or "none")),
    ]
    layout.facts(pairs, key="patient")


def _age(birth: datetime | None, at: datetime | None) -> str:
    """Completed years by the calendar; completed months and days for the youngest.

    The record's text counts years of 365 days, as the paper does.
    """
    if birth is None or at is None or at < birth:
        return "unknown"
    days, years = (at - birth).days, whole_years(birth, at)
    if days < 60:
        return counted(days, "day")
    if years >= 2:
        return f"{years} years"
    before = (at.day, at.time()) < (birth.day, birth.time())
    months = 12 * (at.year - birth.year) + at.month - birth.month - before
    return counted(months, "month")


def _as_of(subject: int, times: list[Timepoint], at: datetime, clock: Clock) -> None:
    moments = [time.time for time in times]
    here = moments.index(at)
    by_time = dict(zip(moments, times, strict=True))
    key = f"at-{subject}"
    st.session_state[key] = at

    def change() -> None:
        selection.choose(subject, st.session_state[key])

    def caption(moment: datetime) -> str:
        time = by_time[moment]
        kind = {LABEL: "label: ", "visit": "start of "}.get(time.kind, "")
        return f"{clock.show(moment)} · {kind}{time.note}"

    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-as-of"):
        st.markdown(
            "**Read as of**",
            width="content",
            help="Nothing after this time reaches the text. The list has this patient's label times and visit starts.",
        )
        st.selectbox(
            f"Read as of, one of {len(times)} times of this patient",
            moments,
            format_func=caption,
            key=key,
            on_change=change,
            width="stretch",
            label_visibility="collapsed",
        )
        for label, icon, to in (("Earlier", "arrow_back", here + 1), ("Later", "arrow_forward", here - 1)):
            off = not 0 <= to < len(moments)
            st.button(
                label,
                icon=f":material/{icon}:",
                on_click=selection.choose,
                args=(subject, None if off else moments[to]),
                disabled=off,
                key=f"step-{label}",
            )
