"""Model facts: one page a head, encoder or segmenter, from its card."""

import streamlit as st

from pages.shared import empty, layout, url
from pages.shared.errors import plain
from pages.shared.facts import cards, draw

KINDS = {"Risk heads": cards.heads, "Text encoders": cards.encoders, "Segmenters": cards.segmenters}

layout.header("Model facts", "What each model is for, what it was made of, how well it does and where it fails.")
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    kind = st.segmented_control(
        "Kind", list(KINDS), default="Risk heads", required=True, key="facts-kind", bind="query-params"
    )
    found = KINDS[kind or "Risk heads"]()
    wanted = url.read("model")
    names = list(found)
    if names:
        place = names.index(wanted) if wanted in found else 0
        name = st.selectbox("Model", names, place, key=f"facts-{kind}", width=420)
if not found:
    empty.show(
        f"There are no {(kind or 'models').lower()} here",
        "Status says what this installation has and how to get the rest.",
        icon="inventory_2",
    )
    st.stop()
url.write(model=name)
facts = found[name]()
st.markdown(f"## {plain(facts.title)}", anchors=False)
if facts.missing:
    st.markdown(f":orange-badge[:material/rule: The card lacks {plain(', '.join(facts.missing))}]")
words = [(title, value) for _, title, value in facts.items if isinstance(value, str) or not value]
lists = [item for item in facts.items if item[2] and isinstance(item[2], list | tuple) and isinstance(item[2][0], str)]
tables = [item for item in facts.items if item[2] and not isinstance(item[2], str) and item not in lists]
with st.container(key="stacks-facts"):
    left, right = st.columns([2, 3], gap="medium")
with left:
    draw.words(words)
    for key, title, value in lists:
        draw.item(title, value, key)
with right:
    for key, title, value in tables:
        draw.item(title, value, key)
