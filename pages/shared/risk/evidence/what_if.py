"""Tab What if: edit the record, read it again, see text and score change. A simulation, and marked as one."""

from collections.abc import Container
from datetime import datetime

import polars as pl
import streamlit as st

from core.ehr.escape import plain_text
from core.ehr.meds_layout import BIRTH_CODES
from core.ehr.numbers import every_digit, shortest
from core.ehr.task_scope import clauses
from core.ehr.timepoints import tasks_labelled_at
from core.risk.score import TaskScore
from core.risk.whatif import NOTICE, OFFER, AddEvent, Edit, RemoveCode, SetValue, WhatIf, what_if
from pages.shared import audit, difference, empty, tables
from pages.shared.errors import plain
from pages.shared.risk import outside
from pages.shared.risk.case import Case

_EDITS = "_what_if_edits"
_RECENT = 300


def show(case: Case) -> None:
    """Draw the controls that edit, the list of edits, and the two readings."""
    if not audit.identity().may("what_if"):
        empty.show(
            "Simulations need the role researcher", "Your role may look, not simulate.", icon="lock", key="what"
        )
        return
    owner = (case.patient.subject_id, case.patient.at)
    if st.session_state.get(_EDITS, (None, []))[0] != owner:
        st.session_state[_EDITS] = (owner, [])
    edits: list[tuple[str, Edit]] = st.session_state[_EDITS][1]
    st.markdown(f":material/experiment: **{NOTICE if edits else OFFER}**")
    known = case.patient.events.filter(pl.col("time").is_not_null() & (pl.col("time") <= case.patient.at))
    columns = st.columns(3, gap="medium")
    with columns[0]:
        _change_value(case, known, edits)
    with columns[1]:
        _remove(case, known, edits)
    with columns[2]:
        _add(case, known, edits)
    if not edits:
        empty.show(
            "Nothing is edited yet", "Change a value, remove a code or add one above.", icon="edit_note", key="what"
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, _ in edits:
            st.markdown(f":violet-badge[:material/edit: {plain(label)}]", width="content")
        st.button("Undo all", icon=":material/undo:", type="tertiary", on_click=edits.clear, key="undo-edits")
    audit.record("what_if", case.patient.subject_id, page="risk")
    _result(case, [edit for _, edit in edits])


def _change_value(case: Case, known: pl.DataFrame, edits: list) -> None:
    values = known.filter(pl.col("numeric_value").is_not_null()).reverse().head(_RECENT)
    names = {row["row"]: _value_name(case, row) for row in values.iter_rows(named=True)}

    def change() -> None:
        row, value = st.session_state["what-row"], st.session_state["what-value"]
        if value is None:
            st.toast("Give the new value first.", icon=":material/edit:")
        elif row is not None:
            edits.append((f"{names[row].split(' · ')[0]} set to {every_digit(value)}", SetValue(row, value)))

    with st.form("edit-value", border=True, height="stretch"):
        st.markdown("**Change a value**")
        st.selectbox("Measurement", list(names), format_func=names.get, key="what-row")
        st.number_input("New value", value=None, format="%g", key="what-value")
        st.form_submit_button("Change", icon=":material/edit:", on_click=change)


def _remove(case: Case, known: pl.DataFrame, edits: list) -> None:
    describe = case.patient.dataset.vocabulary.describe
    birth = known["code"].is_in(BIRTH_CODES)
    codes = sorted(known.filter(~birth)["code"].unique(), key=lambda code: (describe(code) or code).lower())

    def remove() -> None:
        if code := st.session_state["what-code"]:
            edits.append((f"without {describe(code) or code}", RemoveCode(code)))

    with st.form("edit-remove", border=True, height="stretch"):
        st.markdown("**Remove a code**")
        st.selectbox("Coded event", codes, format_func=lambda c: f"{describe(c) or c} · {c}", key="what-code")
        st.caption("Every event with this code is left out.")
        st.form_submit_button("Remove", icon=":material/delete:", on_click=remove)


def _add(case: Case, known: pl.DataFrame, edits: list) -> None:
    vocabulary = case.patient.dataset.vocabulary

    def add() -> None:
        code, value = st.session_state["what-new"], st.session_state["what-new-value"]
        if not code:
            st.toast("Choose a code first.", icon=":material/add:")
        else:
            event = AddEvent(
                code, case.patient.at, value, _usual_unit(known, code), _open_visit(known, case.patient.at)
            )
            number = "" if value is None else f" {every_digit(value)}"
            edits.append((f"with {vocabulary.describe(code) or code}{number}", event))

    with st.form("edit-add", border=True, height="stretch"):
        st.markdown("**Add a coded event**")
        st.selectbox(
            "Code of the dataset",
            sorted(vocabulary.descriptions, key=lambda code: vocabulary.descriptions[code].lower()),
            index=None,
            format_func=lambda c: f"{vocabulary.describe(c)} · {c}",
            key="what-new",
        )
        st.number_input("Value, for a measurement", value=None, format="%g", key="what-new-value")
        st.form_submit_button("Add", icon=":material/add:", on_click=add)


def _result(case: Case, edits: list[Edit]) -> None:
    patient = case.patient
    labelled = tasks_labelled_at(patient.labels, patient.at)
    result: WhatIf = case.compute(
        "Reading the edited record",
        "what_if",
        lambda encoder, cache, progress: what_if(
            patient.dataset, patient.subject_id, patient.at, edits, encoder, case.heads, cache, labelled=labelled
        ),
        tuple(map(repr, edits)),
        labelled,
    )
    for reason in result.unread:
        st.markdown(f":material/warning: The text leaves out what an edit changed or added: {plain(reason)}.")
    if not result.text_changed:
        st.markdown("The edit does not reach the text that the model reads, so no score changes.")
        return
    left, right = st.columns(2, gap="large")
    with left:
        real = case.scored.clauses(patient.clock.day)
        new = clauses(result.outside, patient.clock.day)
        off = real.keys() | new.keys()
        st.markdown("**Scores** :gray[simulated, largest change first]")
        pairs = sorted(result.scores.values(), key=lambda pair: _by_change(*pair, off))
        st.dataframe(
            tables.table(
                {
                    "Task": [score.name for score, _ in pairs],
                    "As it is": outside.column([score for score, _ in pairs], real),
                    "Simulated": outside.column([score for _, score in pairs], new),
                    "Change in log-odds": [
                        b.log_odds - a.log_odds if a.reliable and b.reliable else None for a, b in pairs
                    ],
                }
            ),
            hide_index=True,
            column_config={"Change in log-odds": st.column_config.NumberColumn(format="%+.2f")},
            alt="Scores as they are and simulated",
        )
        outside.explain({"as it is": real, "simulated": new}, {score.task for score, _ in pairs})
    with right:
        st.markdown("**Text** :gray[what the model reads, before and after]")
        before, after = (plain_text(text).splitlines() for text in (result.before, result.after))
        lines = [patient.clock.text(line) for line in difference.lines(before, after, 2)]
        difference.show(lines, "are as it is", "simulated", height=360)


def _by_change(real: TaskScore, new: TaskScore, off: Container[str]) -> tuple[bool, bool, float]:
    return not (real.reliable and new.reliable), real.task in off, -abs(new.log_odds - real.log_odds)


def _value_name(case: Case, row: dict) -> str:
    name = case.patient.dataset.vocabulary.describe(row["code"]) or row["code"]
    value = every_digit(shortest(row["numeric_value"]))
    return f"{name} {value} {row['unit'] or ''} · {case.patient.clock.show(row['time'])}"


def _usual_unit(known: pl.DataFrame, code: str) -> str | None:
    units = known.filter((pl.col("code") == code) & pl.col("unit").is_not_null())["unit"]
    return units[-1] if len(units) else None


def _open_visit(known: pl.DataFrame, at: datetime) -> int | None:
    visits = known.filter(
        pl.col("visit_id").is_not_null() & pl.col("code").str.starts_with("Visit/") & (pl.col("end") > at)
    )
    return visits["visit_id"][-1] if len(visits) else None
