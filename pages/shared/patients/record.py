"""Tab Record: the text that the model reads, what each line comes from, and what a token limit leaves of it."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core.ehr.budget import TokenCount, count_tokens
from core.ehr.leakage import RULES, find_leaks
from core.ehr.markdown import serialize
from core.ehr.record import HEADER, Record
from core.ehr.tasks import task_name
from core.wording import counted, verb
from pages.shared import downloads, empty, resources, selection, url
from pages.shared.encoders import picker
from pages.shared.errors import plain
from pages.shared.patients import budget, display, exports, options, sources

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient

VIEWS = {
    "read": ":material/article: Read",
    "lines": ":material/account_tree: Lines and sources",
    "raw": ":material/code: Raw text",
    "model": ":material/content_cut: What the model sees",
}
PART = 350
"""Lines drawn at once: a browser takes longer over more than a reader would wait."""
HEIGHT = 640


def show(patient: "Patient") -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-record-tools"):
        view = url.choice("Show", VIEWS, "read", "show", label_visibility="collapsed")
        chosen = options.choose()
        st.space("stretch")
        place = st.empty()
    record = serialize(patient.events, patient.at, patient.dataset.vocabulary, chosen)
    tokens = _tokens(record)
    with place:
        _download(patient, record)
    _summary(patient, record, tokens)
    if not any(line.rows for line in record.lines):
        empty.show(
            "Nothing is known as of this time",
            "No event of this patient lies before it. Choose a later time above.",
            icon="hourglass_empty",
            key="record",
        )
        return
    {"read": _read, "lines": _lines, "raw": _raw, "model": budget.show}[view](patient, record, tokens)


def _tokens(record: Record) -> TokenCount | None:
    tokenizer = resources.tokenizer(picker.chosen().spec.name)
    return count_tokens(record, tokenizer.offsets) if tokenizer else None


def _summary(patient: "Patient", record: Record, tokens: TokenCount | None) -> None:
    parts = [counted(len(record.lines), "line"), counted(len(record.text), "character")]
    if tokens:
        parts.append(f"**{tokens.total:,} tokens** of {plain(picker.chosen().spec.name)}")
    else:
        parts.append(f"no token count: the tokenizer of {plain(picker.chosen().spec.name)} is not on this machine")
    hidden = sum(len(rows) for rows in record.omitted.values())
    if hidden:
        reasons = ", ".join(
            f"{reason}{f' {len(rows):,}' if len(record.omitted) > 1 else ''}"
            for reason, rows in record.omitted.items()
        )
        parts.append(f"{counted(hidden, 'event')} not written: {reasons}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-summary"):
        st.markdown(f":gray[{' · '.join(parts)}]", width="content")
        picker.small()
        _leaks(patient, record)


def _leaks(patient: "Patient", record: Record) -> None:
    tasks = next((time.tasks for time in patient.times if time.time == patient.at), ())
    found: dict[tuple[str, str, tuple[int, ...]], list[str]] = {}
    for task in tasks or (None,):
        for finding in find_leaks(patient.events, patient.at, record, task, patient.dataset.vocabulary):
            key = (finding.rule, finding.message, finding.rows)
            found.setdefault(key, []).append(task_name(task or ""))
    if not found:
        st.badge(
            "No leak found",
            icon=":material/verified:",
            color="green",
            help="Checked: events after this time, the end of the current visit, outcome codes and same-time results "
            "of the tasks that have a label now.",
        )
        return
    with st.popover(counted(len(found), "possible leak"), icon=":material/warning:", width="content"):
        for (rule, message, rows), names in list(found.items())[:50]:
            about = f" · {', '.join(filter(None, names))}" if any(names) else ""
            st.markdown(
                f"**{plain(_sentence(RULES.get(rule, rule)))}**  \n{plain(_sentence(patient.clock.text(message)))}"
            )
            st.caption(
                f"{plain(rule + about)} · rows {', '.join(map(str, rows[:12]))}{' …' if len(rows) > 12 else ''}"
            )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _download(patient: "Patient", record: Record) -> None:
    name = selection.alias(patient.subject_id)
    chosen = record.options
    heading = f"{name} as of {patient.clock.show(patient.at)}, profile {chosen.profile}, strategy {chosen.strategy}"
    downloads.button(
        "Download text",
        exports.text(patient.clock.text(record.text, display.SHOWN_TIME), heading),
        file_name=f"{name}.{'md' if chosen.strategy == 'markdown' else 'txt'}",
        mime="text/markdown",
        key="record-download",
        subject_id=patient.subject_id,
        page="patients",
    )


def _read(patient: "Patient", record: Record, tokens: TokenCount | None) -> None:
    with st.container(key="stacks-record"):
        contents, body = st.columns([1, 3.4], gap="medium")
    sections = [section for section in record.sections() if section.id != HEADER]
    counts = {section.id: section.tokens for section in tokens.sections} if tokens else {}
    with contents:
        words = st.text_input(
            "Find in the text", icon=":material/search:", type="search", key="find", persist_state="page"
        )
        titles = {"": "Whole record"} | {section.id: section.title for section in sections}
        size = {"": tokens.total if tokens else 0} | counts
        chosen = st.radio(
            "Contents",
            list(titles),
            format_func=lambda id: f"{titles[id]} :small[:gray[{size.get(id, 0):,}]]" if tokens else titles[id],
            help="With the number of tokens of each section." if tokens else None,
            key=f"contents-{record.options.strategy}",
            persist_state="page",
        )
        _say_dates(patient, record)
    lines = [line for line in record.lines if not chosen or line.section == chosen]
    words = words.strip()
    with body:
        if words:
            lines = [line for line in lines if words.lower() in display.visible(line.text, patient.clock).lower()]
            count = counted(len(lines), "line")
            st.caption(f"{count} {verb(len(lines), 'has', 'have')} “{plain(words)}”" if lines else "")
            if not lines:
                empty.show(
                    "Not in this text", "The words may stand in another section.", icon="search_off", key="find"
                )
                return
        part = _part(len(lines), f"{patient.subject_id}-{chosen}-{words}")
        with st.container(height=HEIGHT, border=True, key="record-text"):
            st.markdown(
                display.markdown(
                    lines[part * PART : (part + 1) * PART],
                    record.options.strategy == "markdown",
                    patient.clock,
                    words,
                ),
                anchors=False,
            )


def _say_dates(patient: "Patient", record: Record) -> None:
    """Explain the date and the age that every record begins with; the list of recent codes has neither."""
    if record.options.strategy != "markdown":
        return
    age = "a year of age has 365 days"
    if patient.clock.relative:
        st.caption(f"In the text, {age}, as in the paper.")
    else:
        st.caption(
            f"Dates are moved, as in the paper: in the text, the as-of time is always {display.SHOWN_TIME:%Y-%m-%d}, "
            f"and {age}."
        )


def _part(count: int, key: str) -> int:
    if count <= PART:
        return 0
    parts = -(-count // PART)
    return st.segmented_control(
        f"{count:,} lines in {parts} parts",
        list(range(parts)),
        default=0,
        required=True,
        format_func=lambda part: str(part + 1),
        key=f"part-{key}",
        persist_state="page",
    )


def _raw(patient: "Patient", record: Record, tokens: TokenCount | None) -> None:
    _say_dates(patient, record)
    text = patient.clock.text(record.text, display.SHOWN_TIME)
    # Streamlit takes one line break from each end; blank lines count, as in the other views
    st.code(f"\n{text}\n", language=None, line_numbers=True, height=HEIGHT, wrap_lines=True)


def _lines(patient: "Patient", record: Record, tokens: TokenCount | None) -> None:
    titles = {section.id: section.title for section in record.sections()}
    rows = [
        (number, titles[line.section], display.visible(line.text, patient.clock), len(line.rows))
        for number, line in enumerate(record.lines)
        if line.text.strip()
    ]
    frame = pd.DataFrame(rows, columns=["Line", "Section", "Text", "Rows"])
    if tokens:
        frame.insert(3, "Tokens", [int(tokens.per_line[number]) for number in frame["Line"]])
    st.caption("Choose a line to see the source rows that it was written from.")
    state = st.dataframe(
        frame.assign(Line=frame["Line"] + 1),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=380,
        row_height=28,
        key=f"lines-{patient.subject_id}-{patient.at:%Y%m%d%H%M%S}-{hash(record.options)}",
        column_config={
            "Line": st.column_config.NumberColumn(width=60),
            "Section": st.column_config.TextColumn(width=175),
            "Text": st.column_config.TextColumn(width=520),
            "Tokens": st.column_config.NumberColumn(width=70),
            "Rows": st.column_config.NumberColumn(width=60, help="Source rows that the line was written from."),
        },
        alt="Lines of the record with their section, tokens and number of source rows",
    )
    chosen = state.selection.rows
    if not chosen:
        return
    line = record.lines[int(frame["Line"].iloc[chosen[0]])]
    st.markdown(
        f"**Line {int(frame['Line'].iloc[chosen[0]]) + 1}** · {plain(display.visible(line.text, patient.clock))}"
    )
    if line.rows:
        sources.draw(
            sources.of_lines(patient.events, line.rows),
            patient.dataset.vocabulary,
            patient.clock,
            patient.at,
            key=f"line-sources-{chosen[0]}",
        )
    else:
        st.caption("This line is structure: it was written from no event.")
