"""The encoders in memory: device, precision, when each was loaded, how long it took, what it takes, how fast it is."""

from datetime import datetime

import pandas as pd
import streamlit as st

from core.embedding.devices import device_of
from core.embedding.memory import free_memory
from core.embedding.shelf import HeldEncoder
from pages.shared import layout, resources
from pages.shared.encoders.card import gigabytes


def show() -> None:
    """Draw the table; where nothing is loaded, say what loads an encoder."""
    held = resources.shelf().held()
    free = free_memory(device_of())
    note = f"on {device_of()}" + ("" if free is None else f", {gigabytes(free)} of memory free")
    with st.container(border=True, key="tight-loaded", gap="xsmall"):
        layout.section("Encoders in memory", note)
        if not held:
            st.markdown("None yet: an encoder is loaded when Risk reads the first record with it.")
            return
        st.dataframe(
            pd.DataFrame([row(each) for each in held]),
            hide_index=True,
            column_config={
                "Tokens read": st.column_config.NumberColumn(format="localized"),
                "Took": st.column_config.NumberColumn(format="%.1f s"),
                "Tokens/s": st.column_config.NumberColumn(
                    format="localized", help="While it computes, over all that it has read since it was loaded."
                ),
            },
            alt="Encoders in memory with device, precision, time of loading, memory and throughput",
        )
        st.caption(
            "One session computes with an encoder at a time. When another one is chosen and memory is short, the one "
            "used longest ago gives way."
        )


def row(held: HeldEncoder) -> dict[str, object]:
    """One encoder as a row of the table."""
    speed = held.tokens_per_second
    return {
        "Encoder": held.spec.name,
        "Device": held.device,
        "Precision": held.precision,
        "Runs on": held.backend,
        "Memory": gigabytes(held.memory) if held.memory else "the server's",
        "Loaded": f"{held.loaded_at.astimezone():%Y-%m-%d %H:%M:%S}, {ago(held.loaded_at)}",
        "Took": round(held.seconds, 1),
        "Tokens read": held.tokens,
        "Tokens/s": None if speed is None else round(speed),
        "Now": "computing" if held.busy else "idle",
    }


def ago(time: datetime) -> str:
    """How long ago a time was, in the largest whole unit."""
    seconds = int((datetime.now(time.tzinfo) - time).total_seconds())
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{seconds // size} {unit}{'s' if seconds >= 2 * size else ''} ago"
    return "just now"
