"""Start: what Chartlight does, in three steps; a link with a subject goes on to the Patients page."""

import streamlit as st

from pages.shared import layout, navigation

STEPS = {
    "pages/patients.py": (
        "Read",
        "Open a patient and read the record as the language model reads it: the same Markdown, the same cut, "
        "nothing after the prediction time.",
        "Open the patients",
    ),
    "pages/risk.py": (
        "Score",
        "See risk for 15 clinical tasks from embeddings of that text, each beside its prevalence, its interval and "
        "the evidence behind it.",
        "See the scores",
    ),
    "pages/imaging.py": (
        "See",
        "Segment a medical image and compare where Seg-Grad CAM and Seg-HiRes-Grad CAM say the model looked.",
        "Upload an image",
    ),
}

layout.header("Chartlight", "What a clinical model reads in a chart and looks at in a scan.")
if "subject" in st.query_params:
    st.switch_page(navigation.page("pages/patients.py"), query_params=st.query_params.to_dict())
columns = st.columns(3, gap="medium")
for number, (column, (script, (title, text, label))) in enumerate(zip(columns, STEPS.items(), strict=True), 1):
    with column, st.container(border=True, key=f"step-{number}", height="stretch"):
        st.markdown(f"### {number}. {title}", anchors=False)
        st.markdown(text)
        target = navigation.page(script)
        if target:
            st.page_link(target, label=label, icon=":material/arrow_forward:")
