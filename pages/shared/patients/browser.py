"""The list of patients: search, filters, sorting and pages over the subject index; a chosen row opens the patient."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import polars as pl
import streamlit as st

from core.ehr.store import Dataset
from core.ehr.subjects import SubjectFilter, list_subjects, subject_table
from core.ehr.tasks import TASK_BY_ID
from pages.shared import audience, audit, empty, layout, selection
from pages.shared.errors import plain

PAGE = 25
_FILTER, _OFFSET = "_subject_filter", "_subject_offset"
SORTS = {
    "subject_id": "Subject id",
    "age": "Age at the last event",
    "n_events": "Number of events",
    "last": "Last event",
    "first": "First event",
}
SEXES = {"female": "Female", "male": "Male", "unknown": "Unknown"}
SPLITS = {"train": "Train", "tuning": "Tuning", "held_out": "Held out"}


def header(dataset: Dataset, title: str = "Patients") -> None:
    """Draw the title of a page that lists patients, and what the dataset is."""
    kind = "synthetic" if dataset.synthetic else "not marked as synthetic"
    layout.header(
        title, f"{plain(dataset.name)} · {dataset.n_subjects:,} subjects · {dataset.n_events:,} events · {kind}"
    )


def current_filter() -> SubjectFilter:
    """Return the filter of this session; previous and next on the chart follow it."""
    return st.session_state.get(_FILTER, SubjectFilter())


def show(dataset: Dataset, title: str = "Patients") -> None:
    """Draw the list under ``title``; a chosen row selects the patient for all pages."""
    header(dataset, title)
    chosen = _controls(dataset)
    if chosen != current_filter():
        st.session_state[_FILTER] = chosen
        st.session_state[_OFFSET] = 0
        audit.record("search", page="patients", dataset=dataset.name)
    offset = st.session_state.get(_OFFSET, 0)
    page, total = list_subjects(dataset, chosen, offset, PAGE)
    if not total:
        empty.show("No patient fits", "Loosen or clear the filters above.", icon="person_search", key="no-match")
        return
    _table(page, selection.relative_times())
    _pager(offset, len(page), total)


def _controls(dataset: Dataset) -> SubjectFilter:
    known = current_filter()
    tasks = dataset.tasks()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="subject-controls"):
        prefix = st.text_input(
            "Subject id",
            placeholder="begins with …",
            icon=":material/search:",
            type="search",
            max_chars=20,
            width=155,
            live=True,
            key="f-id",
            persist_state="session",
        )
        sex = _any_of("Sex", list(SEXES), SEXES.get, "f-sex", 112)
        split = _any_of("Split", list(SPLITS), SPLITS.get, "f-split", 115)
        task = _any_of("Has a label of", tasks, _task_name, "f-task", 155)
        code = _code(dataset, known)
        ages = _ages(dataset, known)
        sort, descending = _sorting(known)
        if replace(known, sort="subject_id", descending=False) != SubjectFilter():
            st.button("Clear", icon=":material/filter_alt_off:", type="tertiary", on_click=_clear, key="clear-filter")
    return SubjectFilter(
        id_prefix="".join(char for char in prefix or "" if char.isdigit()),
        min_age=ages[0],
        max_age=ages[1],
        sex=sex,
        split=split,
        task=task,
        code=code,
        sort=sort,
        descending=descending,
    )


def _any_of(label: str, options: list[str], name: Callable, key: str, width: int) -> str | None:
    return st.selectbox(
        label,
        options,
        None,
        name,
        placeholder="Any" if options else "None here",
        width=width,
        disabled=not options,
        key=key,
        persist_state="session",
    )


def _ages(dataset: Dataset, known: SubjectFilter) -> tuple[int | None, int | None]:
    ages = subject_table(dataset)["age"].drop_nulls()
    if not len(ages) or ages.min() == ages.max():
        return None, None
    low, high = int(ages.min()), int(ages.max())
    text = "Any age" if known.min_age is None else f"{known.min_age} to {known.max_age} y"
    with st.popover(text, icon=":material/cake:"):
        chosen = st.slider(
            "Age at the last event, in years",
            low,
            high,
            (low, high),
            key=f"f-age-{low}-{high}",
            width=280,
            persist_state="session",
        )
    return (None, None) if chosen == (low, high) else chosen


def _code(dataset: Dataset, known: SubjectFilter) -> str:
    with st.popover(known.code or "Any code", icon=":material/tag:"):
        text = st.text_input(
            "Code or description",
            placeholder="RxNorm/6809, ICD10CM/E11*, metformin",
            help="A code of the dataset, the beginning of one with a star at its end, or words of a description.",
            key="f-code-text",
            width=340,
            persist_state="session",
        ).strip()
        if not text:
            return ""
        if text.endswith("*") or "/" in text:
            return text
        found = _codes_named(dataset, text.lower())
        if not found:
            st.caption("No code is described so.")
            return ""
        return st.selectbox(
            f"{len(found)} codes" if len(found) < 100 else "The first 100 codes",
            list(found),
            format_func=lambda code: f"{found[code]} · {code}",
            key="f-code",
            width=340,
            persist_state="session",
        )


def _codes_named(dataset: Dataset, words: str) -> dict[str, str]:
    """Return up to 100 codes whose description has ``words``, the shortest description first."""
    hits = [(text, code) for code, text in dataset.vocabulary.descriptions.items() if words in text.lower()]
    return {code: text for text, code in sorted(hits, key=lambda hit: (len(hit[0]), hit))[:100]}


def _sorting(known: SubjectFilter) -> tuple[str, bool]:
    with st.popover(f"By {SORTS[known.sort].lower()}", icon=":material/sort:"):
        sort = st.radio("Sort by", list(SORTS), 0, SORTS.get, key="f-sort", persist_state="session")
        descending = st.toggle("Largest or latest first", key="f-descending", persist_state="session")
    return sort, descending


def _clear() -> None:
    st.session_state[_FILTER] = SubjectFilter()
    for key in [str(key) for key in st.session_state if str(key).startswith("f-")]:
        if key.startswith("f-age"):
            low, high = key.split("-")[2:]
            st.session_state[key] = (int(low), int(high))
        elif key in ("f-id", "f-code-text"):
            st.session_state[key] = ""
        elif key in ("f-sex", "f-split", "f-task"):
            st.session_state[key] = None


def _table(page: pl.DataFrame, relative: bool) -> None:
    offset, opened = st.session_state.get(_OFFSET, 0), st.session_state.get("_opened", 0)
    state = st.dataframe(
        rows(page, relative),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"subjects-{offset}-{opened}-{hash(current_filter())}",
        height=min(len(page), PAGE) * 33 + 36,
        row_height=33,
        column_config={
            "Events": st.column_config.NumberColumn(format="localized"),
            "Age": st.column_config.NumberColumn(format="%d y", help="At the last event."),
            "Years of record": st.column_config.NumberColumn(format="%.1f"),
        },
        alt="List of patients: pseudonym, subject id, age, sex, extent of the record, events, split",
    )
    chosen = state.selection.rows
    if chosen:
        st.session_state["_opened"] = opened + 1  # the list comes back with no row chosen
        selection.choose(int(page["subject_id"][chosen[0]]))
        st.rerun()
    st.caption("Choose a row to open the patient.")


def rows(page: pl.DataFrame, relative: bool) -> pd.DataFrame:
    """Return a page of ``list_subjects`` as it is shown; without dates where they are hidden."""
    years = (page["last"] - page["first"]).dt.total_days() / 365.25
    shown = {
        "Patient": [selection.alias(subject) for subject in page["subject_id"]],
        "Subject id": [str(subject) for subject in page["subject_id"]],
        "Age": page["age"].to_list(),
        "Sex": [SEXES[sex or "unknown"] for sex in page["sex"]],
        "First event": [f"{time:%Y-%m-%d}" if time else "" for time in page["first"]],
        "Last event": [f"{time:%Y-%m-%d}" if time else "" for time in page["last"]],
        "Years of record": years.to_list(),
        "Events": page["n_events"].to_list(),
        "Split": [SPLITS.get(split or "", split or "") for split in page["split"]],
    }
    if relative:
        del shown["First event"], shown["Last event"]
    if audience.on():
        del shown["Subject id"]
    return pd.DataFrame(shown)


def _pager(offset: int, count: int, total: int) -> None:
    def go(to: int) -> None:
        st.session_state[_OFFSET] = to

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


def _task_name(task: str) -> str:
    return TASK_BY_ID[task].name if task in TASK_BY_ID else task
