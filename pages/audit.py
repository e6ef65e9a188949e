"""The audit log, for admins."""

import pandas as pd
import streamlit as st

from core.audit import ACTIONS
from core.files import csv_text
from core.wording import counted
from pages.shared import audit, downloads, empty, layout

layout.header("Audit log", "Who did what and when, without clinical content. Subjects and images by pseudonym.")
if not audit.identity().may("audit"):
    audit.record("denied", page="audit")
    empty.show("This page is for admins", "Your role does not open the audit log.", icon="lock")
    st.stop()

audit.record("view_audit")
log = audit.log()
entries = list(log.entries())
if not entries:
    empty.show("Nothing has been logged yet", "Entries appear here as people use the app.")
    st.stop()

with st.container(horizontal=True, vertical_alignment="bottom"):
    who = st.selectbox("Who", ["Everyone", *sorted({entry.who for entry in entries})], width=260)
    actions = st.multiselect("Actions", [a for a in ACTIONS if any(e.action == a for e in entries)], width=420)
    subject = st.text_input("Subject or image", placeholder="P-…", width=200).strip()
shown = [
    entry
    for entry in reversed(entries)
    if who in ("Everyone", entry.who)
    and (not actions or entry.action in actions)
    and entry.subject.startswith(subject)
]
table = pd.DataFrame(
    {
        "Time (UTC)": pd.to_datetime([entry.time for entry in shown], utc=True),
        "Who": [entry.who for entry in shown],
        "Action": [entry.action for entry in shown],
        "Subject or image": [entry.subject for entry in shown],
        "Details": [", ".join(f"{key}: {value}" for key, value in entry.details.items()) for entry in shown],
    }
)
damaged = log.damaged_lines()
layout.section(
    f"{len(shown):,} of {len(entries):,} entries",
    f"{counted(damaged, 'damaged line')} left out" if damaged else "",
)
st.dataframe(
    table,
    hide_index=True,
    height=560,
    column_config={"Time (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss")},
    alt="Audit log, newest entry first",
)
downloads.button("Download as CSV", csv_text(table), "audit.csv", "text/csv", key="audit-csv", page="audit")
