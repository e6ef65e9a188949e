"""Below the choice of a run: what it holds, whose patients, and how it was made."""

import json

import pandas as pd
import streamlit as st

from core.risk.run_record import FILE, record_rows
from pages.shared import downloads
from pages.shared.benchmark import source
from pages.shared.benchmark.source import Run


def show(run: Run) -> None:
    """Draw what the run holds, the label of synthetic or unknown patients, and its record on demand."""
    if run.result is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tight-benchmark-about"):
        st.caption(source.describe(run), width="content")
        if run.result.record is not None:
            with st.popover(
                "How this run was made", icon=":material/receipt_long:", type="tertiary", key="benchmark-made",
                on_change="rerun",
            ) as opened:  # fmt: skip
                if opened.open:
                    _record(run.result.record)
    if run.synthetic is not False:
        icon = "science" if run.synthetic else "help"
        st.markdown(f":material/{icon}: **{_LABELS[run.synthetic]}** {run.note}")


_LABELS = {True: "Synthetic patients.", None: "Unknown patients."}


def _record(record: dict) -> None:
    table = pd.DataFrame(record_rows(record), columns=["What", "Value"])
    st.dataframe(
        table,
        hide_index=True,
        width=760,
        height=420,
        row_height=32,
        key="benchmark-record",
        column_config={
            "What": st.column_config.TextColumn(width=210),
            "Value": st.column_config.TextColumn(width="large"),
        },
        alt="Dataset, labels, models, options, versions and command of this run",
    )
    downloads.button(
        "JSON",
        lambda: json.dumps(record, indent=1, ensure_ascii=False),
        FILE,
        "application/json",
        "benchmark-record-json",
        page="benchmark",
    )
