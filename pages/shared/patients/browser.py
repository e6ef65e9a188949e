"""The list of patients: filters, sorting and pages over the subject index; a chosen row opens the patient."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import polars as pl
import streamlit as st

from core.ehr.store import Dataset
from core.ehr.subjects import SubjectFilter, list_subjects
from core.wording import counted
from pages.shared import audience, audit, empty, layout, selection, url
from pages.shared.errors import plain
from pages.shared.patients import filter_link, filters

PAGE = 25
_LISTED = "_listed"


@dataclass(frozen=True)
class Listed:
    """What the list of this session shows.

    Attributes:
        dataset: folder of the dataset.
        filter: who is listed, and in which order.
        offset: subjects before the page that is shown.
        left_out: filters of the link that do not fit the dataset, in words.
    """

    dataset: Path
    filter: SubjectFilter
    offset: int = 0
    left_out: tuple[str, ...] = ()


def header(dataset: Dataset, title: str = "Patients") -> None:
    """Draw the title of a page that lists patients, and what the dataset is."""
    kind = "synthetic" if dataset.synthetic else "not marked as synthetic"
    size = f"{counted(dataset.n_subjects, 'subject')} · {counted(dataset.n_events, 'event')}"
    layout.header(title, f"{plain(dataset.name)} · {size} · {kind}")


def no_subjects(chosen: selection.Selection) -> None:
    """Draw what there is to do about a dataset that is empty, and make the address a link to it."""
    empty.show(
        "This dataset has no subjects",
        "Import one that has, or make the demo cohort of synthetic patients.",
        icon="person_off",
        command="python -m core demo .chartlight/demo",
    )
    selection.write_address(chosen, tab=None, **filter_link.NONE)


def current_filter(dataset: Dataset) -> SubjectFilter:
    """Return the filter of this session as it fits the dataset; previous and next on the chart follow it."""
    listed: Listed | None = st.session_state.get(_LISTED)
    if listed is None:
        return SubjectFilter()
    if listed.dataset == dataset.path:
        return listed.filter
    return _fitted(dataset, filter_link.named(listed.filter)).filter


def show(dataset: Dataset, title: str = "Patients") -> None:
    """Draw the list under ``title`` and make the address a link to it; a chosen row selects the patient for all pages.

    The address is read where the list is new to the session and where Back or Forward led to it. Else the session
    knows better: an address that comes with a quick click may be older than the click before.
    """
    header(dataset, title)
    kept: Listed | None = st.session_state.get(_LISTED)
    if kept is None or kept.dataset != dataset.path or url.travelled():
        kept = st.session_state[_LISTED] = _arrive(dataset, kept)
    filter = filters.draw(dataset)
    if filter != kept.filter:
        kept = Listed(dataset.path, filter)
        audit.record("search", page="patients", dataset=dataset.name)
    page, total = list_subjects(dataset, filter, kept.offset, PAGE)
    if total and not len(page):  # a link to a page of a longer list
        kept = replace(kept, offset=0)
        page, total = list_subjects(dataset, filter, 0, PAGE)
    st.session_state[_LISTED] = kept
    shared = filter if filter_link.has_code(dataset, filter.code) else replace(filter, code="")
    named = filter_link.named(shared, kept.offset // PAGE + 1)
    selection.write_address(selection.current(), tab=None, **named)  # the open tab is a patient's
    if kept.left_out:
        st.caption(
            f":material/link_off: Filters that do not fit this dataset are left out: {', '.join(kept.left_out)}."
        )
    if not total:
        empty.show("No patient fits", "Loosen or clear the filters above.", icon="person_search", key="no-match")
        return
    _table(page, kept)
    _pager(kept, len(page), total)


def _arrive(dataset: Dataset, before: Listed | None) -> Listed:
    """Set the list as the address names it or, coming from the list of another dataset, as that one was."""
    follow = before is None or url.travelled()
    fitted = _fitted(dataset, filter_link.read() if follow else filter_link.named(before.filter))
    filters.put(dataset, fitted.filter)
    if fitted.filter != SubjectFilter():
        audit.record("search", page="patients", dataset=dataset.name)
    return Listed(dataset.path, fitted.filter, (fitted.page - 1) * PAGE, fitted.left_out)


def _fitted(dataset: Dataset, wanted: Mapping[str, str | int | None]) -> filter_link.Fitted:
    """Fit a filter to a dataset; with the search by id, which no address names and which stays in its field."""
    fitted = filter_link.fit(dataset, wanted)
    return replace(fitted, filter=replace(fitted.filter, id_prefix=filters.searched()))


def _table(page: pl.DataFrame, kept: Listed) -> None:
    opened = st.session_state.get(filters.OPENED, 0)
    state = st.dataframe(
        rows(page, selection.relative_times()),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"subjects-{kept.offset}-{opened}-{hash(kept.filter)}",
        height=min(len(page), PAGE) * 33 + 36,
        row_height=33,
        placeholder="–",
        column_config={
            "Events": st.column_config.NumberColumn(format="localized"),
            "Age": st.column_config.NumberColumn(format="%d y", help="At the last event."),
            "Years of record": st.column_config.NumberColumn(format="%.1f"),
        },
        alt="List of patients: pseudonym, subject id, age, sex, extent of the record, events, split",
    )
    chosen = state.selection.rows
    if chosen:
        st.session_state[filters.OPENED] = opened + 1  # the list comes back with no row chosen
        selection.choose(int(page["subject_id"][chosen[0]]))
        st.rerun()
    st.caption("Choose a row to open the patient; by keyboard, go to it with the arrows and press Shift and Space.")


def rows(page: pl.DataFrame, relative: bool) -> pd.DataFrame:
    """Return a page of ``list_subjects`` as it is shown; without dates where they are hidden."""
    years = (page["last"] - page["first"]).dt.total_days() / 365.25
    shown = {
        "Patient": [selection.alias(subject) for subject in page["subject_id"]],
        "Subject id": [str(subject) for subject in page["subject_id"]],
        "Age": page["age"].to_list(),
        "Sex": [filters.SEXES[sex or "unknown"] for sex in page["sex"]],
        "First event": [f"{time:%Y-%m-%d}" if time else "" for time in page["first"]],
        "Last event": [f"{time:%Y-%m-%d}" if time else "" for time in page["last"]],
        "Years of record": years.to_list(),
        "Events": page["n_events"].to_list(),
        "Split": [filters.SPLITS.get(split or "", split or "") for split in page["split"]],
    }
    if relative:
        del shown["First event"], shown["Last event"]
    if audience.on():
        del shown["Subject id"]
    return pd.DataFrame(shown)


def _pager(kept: Listed, count: int, total: int) -> None:
    offset = kept.offset

    def go(to: int) -> None:
        st.session_state[_LISTED] = replace(kept, offset=to)

    if total <= PAGE:
        return
    last = (total - 1) // PAGE * PAGE
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-pager"):
        for label, icon, to, off in (
            ("First", "first_page", 0, offset == 0),
            ("Previous", "chevron_left", max(0, offset - PAGE), offset == 0),
            ("Next", "chevron_right", offset + PAGE, offset + PAGE >= total),
            ("Last", "last_page", last, offset + PAGE >= total),
        ):
            st.button(
                label,
                icon=f":material/{icon}:",
                on_click=go,
                args=(to,),
                disabled=off,
                type="tertiary",
                key=f"page-{label}",
            )
        st.markdown(f":gray[{offset + 1:,} to {offset + count:,} of {total:,}]", width="content")
