"""How the record is written: profile, strategy, sections, look-back; kept in the address."""

import streamlit as st

from core.ehr.lookback import LOOKBACK_NAMES, LOOKBACKS
from core.ehr.record import (
    CODE_SECTIONS,
    EVENT_CATEGORIES,
    MARKDOWN_SECTIONS,
    PROFILES,
    STRATEGIES,
    SerializationOptions,
)
from pages.shared import url

VALUES = {number: number for number in ("0", "1", "3", "5", "10")}


def choose() -> SerializationOptions:
    """Draw the control and return the options."""
    profile = PROFILES[url.chosen_so_far(PROFILES, "corrected", "profile")]
    label = f"{profile} · {STRATEGIES[url.chosen_so_far(STRATEGIES, 'markdown', 'strategy')]}"
    with st.popover(label, icon=":material/tune:", help="How the record is written"):
        profile = url.choice(
            "Profile",
            PROFILES,
            "corrected",
            "profile",
            help="As in the paper: byte for byte what the paper's code writes, known defects included. Corrected: the "
            "same document with units normalised, ranges by sex and missing codes added.",
        )
        strategy = url.choice(
            "Strategy",
            STRATEGIES,
            "markdown",
            "strategy",
            help="Markdown: the structured document. Recent codes: unique codes, newest first, as in the paper's "
            "later version.",
        )
        lookback = url.choice("Look back", dict(reversed(LOOKBACK_NAMES.items())), "full", "lookback")
        sections = CODE_SECTIONS if strategy == "recent_codes" else {**MARKDOWN_SECTIONS, **EVENT_CATEGORIES}
        drop = st.multiselect(
            "Leave out",
            list(sections),
            format_func=sections.get,
            key=f"drop-{strategy}",
            placeholder="No section",
            persist_state="page",
        )
        values = 3
        if strategy == "markdown":
            values = int(url.choice("Values shown per measurement", VALUES, "3", "values", help="The paper shows 3."))
    return SerializationOptions(
        profile=profile, strategy=strategy, drop=tuple(drop), lookback=LOOKBACKS[lookback], values=values
    )
