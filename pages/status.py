"""Status: what this installation has, what it lacks and how to get it."""

from itertools import groupby

import streamlit as st

from core.doctor import GOOD, LACKING, WRONG, Check, check_all
from core.settings import get_settings
from pages.shared import layout
from pages.shared.encoders import loaded
from pages.shared.errors import plain

LOOK = {GOOD: (":material/check_circle:", "green"), LACKING: (":material/radio_button_unchecked:", "gray")}
LOOK[WRONG] = (":material/error:", "orange")
TITLES = {
    "machine": "Machine",
    "packages": "Packages",
    "data": "Datasets",
    "encoders": "Text encoders",
    "heads": "Risk heads",
    "segmenters": "Segmenters",
    "cache": "Cache",
    "access": "Access",
}

LEFT = ("data", "heads", "segmenters", "encoders")
RIGHT = ("machine", "packages", "cache", "access")


@st.cache_data(ttl=30, show_spinner="Looking around …", scope="global")
def look() -> list[Check]:
    served = {"address": st.get_option("server.address"), "port": st.get_option("server.port")}
    return check_all(get_settings().model_copy(update=served))  # `serve --port` is no setting


def draw(area: str, checks: list[Check]) -> None:
    with st.container(border=True, key=f"tight-{area}", gap="xsmall"):
        layout.section(TITLES[area])
        for check in checks:
            icon, colour = LOOK[check.state]
            name, detail = st.columns([2, 3], gap="small", vertical_alignment="top")
            state = "" if check.state == GOOD else f"  \n:small[:{colour}[{check.state}]]"
            name.markdown(f":{colour}[{icon}] {plain(check.name)}{state}")
            detail.markdown(plain(check.detail))
            mark, _, command = check.fix.partition("run: ")
            if command and not mark:
                st.code(command, language="bash", wrap_lines=True)
            elif check.fix:
                detail.markdown(f":small[:gray[:material/build: {plain(check.fix)}]]")


layout.header("Status", "What this installation has, what it lacks and how to get it.")
if st.button("Look again", icon=":material/refresh:", type="tertiary"):
    look.clear()
found = look()
wrong, lacking = (sum(check.state == state for check in found) for state in (WRONG, LACKING))
layout.facts([("Ready", str(len(found) - wrong - lacking)), ("Not here", str(lacking)), ("Wrong", str(wrong))])
loaded.show()
by_area = {area: list(checks) for area, checks in groupby(found, key=lambda check: check.area)}
with st.container(key="stacks-status"):
    sides = st.columns(2)
for column, areas in zip(sides, (LEFT, RIGHT), strict=True):
    with column:
        for area in areas:
            if area in by_area:
                draw(area, by_area[area])
