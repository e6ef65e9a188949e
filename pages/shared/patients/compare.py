"""Tab Compare: two readings of one record (other times, profiles or strategies) as a difference."""

import difflib
import re
from typing import TYPE_CHECKING

import streamlit as st

from core.ehr.markdown import serialize
from core.ehr.record import PROFILES, STRATEGIES, Line, Record, SerializationOptions
from core.wording import counted
from pages.shared import difference, empty, layout, resources
from pages.shared.encoders import picker

if TYPE_CHECKING:
    from pages.shared.patients.chart import Patient

_SHOWN_DAY = re.compile(r"\[(\d{4}-\d\d-\d\d)\]\(\1\)(?: \(\d+ days? before prediction time(?P<rest>, [^)]*)?\))?")


def show(patient: "Patient") -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        first = _side(patient, "A", 0)
    with right:
        second = _side(patient, "B", 1)
    texts = [_texts(record, patient) for record in (first, second)]
    added, removed, same = counts(*texts)
    tokenizer = resources.tokenizer(picker.chosen().spec.name)
    pairs = [
        ("Only in A", counted(removed, "line")),
        ("Only in B", counted(added, "line")),
        ("In both", counted(same, "line")),
    ]
    if tokenizer:
        pairs += [
            (f"Tokens of {name}", f"{tokenizer.count(record.text):,}")
            for name, record in (("A", first), ("B", second))
        ]
    with st.container(horizontal=True, vertical_alignment="bottom", key="tight-compare"):
        layout.facts(pairs, key="compare")
        whole = st.toggle("Show equal lines too", key="compare-whole", persist_state="page")
    if not added and not removed:
        empty.show(
            "A and B are the same text", "Choose another time, profile or strategy.", icon="equal", key="compare"
        )
        return
    context = max(map(len, texts)) if whole else 3
    difference.show(difference.lines(*texts, context), "stand only in A", "only in B", height=560)


def counts(first: list[str], second: list[str]) -> tuple[int, int, int]:
    """Return how many lines were added, removed and kept on the way from ``first`` to ``second``; blank ones aside."""
    old, new = [line for line in first if line], [line for line in second if line]
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    same = sum(block.size for block in blocks)
    return len(new) - same, len(old) - same, same


def _side(patient: "Patient", name: str, place: int) -> Record:
    moments = [time.time for time in patient.times]
    notes = {time.time: time.note for time in patient.times}
    here = moments.index(patient.at)
    with st.container(border=True, key=f"side-{name}"):
        at = st.selectbox(
            f"{name}: as of",
            moments,
            here if place else min(here + 1, len(moments) - 1),
            format_func=lambda moment: f"{patient.clock.show(moment)} · {notes[moment]}",
            key=f"compare-at-{name}-{patient.subject_id}-{patient.at:%Y%m%d%H%M%S}",
            persist_state="page",
        )
        with st.container(horizontal=True):
            profile = st.segmented_control(
                "Profile",
                list(PROFILES),
                default="corrected",
                required=True,
                format_func=PROFILES.get,
                key=f"compare-profile-{name}",
                persist_state="page",
            )
            strategy = st.segmented_control(
                "Strategy",
                list(STRATEGIES),
                default="markdown",
                required=True,
                format_func=STRATEGIES.get,
                key=f"compare-strategy-{name}",
                persist_state="page",
            )
    options = SerializationOptions(profile=profile, strategy=strategy)
    return serialize(patient.events, at, patient.dataset.vocabulary, options)


def _texts(record: Record, patient: "Patient") -> list[str]:
    """Lines with the true day of their events in place of the shown one, which shifts with the prediction time."""
    times = dict(patient.events.select("row", "time").iter_rows())

    def text(line: Line) -> str:
        known = [times[row] for row in line.rows if times.get(row) is not None]
        day = patient.clock.day(min(known, default=record.at))
        return patient.clock.text(_SHOWN_DAY.sub(lambda match: _dated(day, match["rest"]), line.text))

    return [text(line) for line in record.lines]


def _dated(day: str, rest: str | None) -> str:
    return f"{day} ({rest.removeprefix(', ')})" if rest else day
