"""The filters of the list of patients: what the controls say, and the controls.

Their state is read before they are drawn, so that the label of a popover says what the list below it shows.
"""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from core.ehr.demo.cases import cases_of
from core.ehr.store import Dataset
from core.ehr.subjects import SubjectFilter, age_range
from core.ehr.tasks import task_name
from core.wording import counted
from pages.shared import audience, selection
from pages.shared.errors import plain

SORTS = {
    "subject_id": "Subject id",
    "age": "Age at the last event",
    "n_events": "Number of events",
    "last": "Last event",
    "first": "First event",
}
SEXES = {"female": "Female", "male": "Male", "unknown": "Unknown"}
SPLITS = {"train": "Train", "tuning": "Tuning", "held_out": "Held out"}
OPENED = "_opened"
"""How many patients this session has opened from the list."""
_LABEL = 40
"""Characters of a code in the label of its popover."""


def draw(dataset: Dataset) -> SubjectFilter:
    """Draw the controls and return the filter that they make."""
    state = st.session_state
    span = age_range(dataset)
    least, most = _ages_chosen(span)
    code, found = _code_chosen(dataset)
    now = SubjectFilter(
        id_prefix=searched(),
        min_age=least,
        max_age=most,
        sex=state.get("f-sex"),
        split=state.get("f-split"),
        task=state.get("f-task"),
        code=code,
        sort=state.get("f-sort") or "subject_id",
        descending=bool(state.get("f-descending")),
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", key="subject-controls"):
        if audience.on():
            _prepared(dataset)
        else:
            st.text_input(
                "Subject id",
                placeholder="begins with …",
                icon=":material/search:",
                type="search",
                max_chars=20,
                width=140,
                live=True,
                help="A link to this list leaves this search out: it may be a person's id.",
                key="f-id",
                persist_state="session",
            )
        _any_of("Sex", list(SEXES), SEXES.get, "f-sex", 112)
        _any_of("Split", list(SPLITS), SPLITS.get, "f-split", 125)
        _any_of("Has a label of", dataset.tasks(), task_name, "f-task", 130)
        _code(code, found)
        _ages(span, now)
        _sorting(now)
        if replace(now, sort="subject_id", descending=False) != SubjectFilter():
            st.button(
                "Clear",
                icon=":material/filter_alt_off:",
                type="tertiary",
                on_click=_clear,
                args=(dataset, now),
                key="clear-filter",
            )
    return now


def put(dataset: Dataset, filter: SubjectFilter) -> None:
    """Set the controls, before they are drawn, to a filter that fits the dataset; the search by id stays as it is."""
    state = st.session_state
    state["f-sex"], state["f-split"], state["f-task"] = filter.sex, filter.split, filter.task
    state["f-code-text"] = filter.code
    state["f-sort"], state["f-descending"] = filter.sort, filter.descending
    span = age_range(dataset)
    if span:
        least = span[0] if filter.min_age is None else filter.min_age
        most = span[1] if filter.max_age is None else filter.max_age
        state[_age_key(span)] = (least, most)


def searched() -> str:
    """Return what the subject id is to begin with; nothing in front of an audience, which sees no id."""
    if audience.on():
        return ""
    return (st.session_state.get("f-id") or "").strip()


def is_code(dataset: Dataset, text: str) -> bool:
    """Return whether a text is meant as a code, or as the beginning of one, and not as words of a description."""
    return text.endswith("*") or "/" in text or text in dataset.vocabulary.descriptions


def _prepared(dataset: Dataset) -> None:
    """Offer the prepared cases, where there are any."""
    cases = cases_of(dataset)
    opened = st.session_state.setdefault(OPENED, 0)
    key = f"prepared-case-{opened}"

    def open_case() -> None:
        case = st.session_state[key]
        st.session_state[OPENED] = opened + 1  # the list comes back with no case chosen
        selection.choose(case.subject_id, case.prediction_time)

    if cases:
        st.selectbox(
            "Prepared case",
            cases,
            None,
            format_func=lambda case: case.title,
            placeholder="Choose one",
            width=330,
            on_change=open_case,
            key=key,
            persist_state="page",
        )


def _any_of(label: str, options: list[str], name: Callable, key: str, width: int) -> None:
    st.selectbox(
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


def _ages_chosen(span: tuple[int, int] | None) -> tuple[int | None, int | None]:
    """Return the least and the greatest age; None where the slider stands at its end, which leaves nobody out."""
    if not span:
        return None, None
    least, most = st.session_state.setdefault(_age_key(span), span)
    return (least if least > span[0] else None), (most if most < span[1] else None)


def _ages(span: tuple[int, int] | None, now: SubjectFilter) -> None:
    if not span:
        return
    if now.min_age is None and now.max_age is None:
        label = "Any age"
    elif now.max_age is None:
        label = f"From {now.min_age} y"
    elif now.min_age is None:
        label = f"Up to {now.max_age} y"
    else:
        label = f"{now.min_age} to {now.max_age} y"
    with st.popover(label, icon=":material/cake:"):
        st.slider("Age at the last event, in years", *span, key=_age_key(span), width=280, persist_state="session")


def _age_key(span: tuple[int, int]) -> str:
    return f"f-age-{span[0]}-{span[1]}"


def _code_chosen(dataset: Dataset) -> tuple[str, dict[str, str]]:
    """Return the code, empty for any, and the codes whose description has the words, from which it was chosen."""
    text = (st.session_state.get("f-code-text") or "").strip()
    if not text or is_code(dataset, text):
        return text, {}
    found = _codes_named(dataset, text.lower())
    kept = st.session_state.get("f-code")
    return kept if kept in found else next(iter(found), ""), found


def _code(code: str, found: dict[str, str]) -> None:
    label = code if len(code) <= _LABEL else f"{code[:_LABEL]} …"
    with st.popover(plain(label) or "Any code", icon=":material/tag:"):
        text = st.text_input(
            "Code or description",
            placeholder="RxNorm/6809, ICD10CM/E11*, metformin",
            help="A code of the dataset, the beginning of one with a star at its end, or words of a description.",
            key="f-code-text",
            width=340,
            persist_state="session",
        )
        if found:
            st.selectbox(
                counted(len(found), "code") if len(found) < 100 else "The first 100 codes",
                list(found),
                format_func=lambda code: f"{found[code]} · {code}",
                key="f-code",
                width=340,
                persist_state="session",
            )
        elif text.strip() and not code:
            st.caption("No code is described so.")


def _codes_named(dataset: Dataset, words: str) -> dict[str, str]:
    """Return up to 100 codes whose description has ``words``, the shortest description first."""
    hits = [(text, code) for code, text in dataset.vocabulary.descriptions.items() if words in text.lower()]
    return {code: text for text, code in sorted(hits, key=lambda hit: (len(hit[0]), hit))[:100]}


def _sorting(now: SubjectFilter) -> None:
    with st.popover(f"By {SORTS[now.sort].lower()}", icon=":material/sort:"):
        st.radio("Sort by", list(SORTS), 0, SORTS.get, key="f-sort", persist_state="session")
        st.toggle("Largest or latest first", key="f-descending", persist_state="session")


def _clear(dataset: Dataset, now: SubjectFilter) -> None:
    st.session_state["f-id"] = ""
    put(dataset, SubjectFilter(sort=now.sort, descending=now.descending))
