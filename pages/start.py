"""Start: what Chartlight does, in three steps, and prepared cases; a link with a subject goes on to Patients."""

from pathlib import Path

import streamlit as st

from core.ehr.demo.cases import Case, cases_of, read_cases
from core.ehr.tasks import task_name
from core.errors import ChartlightError
from pages.shared import empty, layout, navigation, resources, selection, tour, url
from pages.shared.errors import plain

PATIENTS, RISK = "pages/patients.py", "pages/risk.py"
STEPS = (
    (
        PATIENTS,
        "Read",
        "clinical_notes",
        "Open a patient and read the record as the language model reads it: the same Markdown, the same cut, nothing "
        "after the prediction time.",
        "Open the patients",
    ),
    (
        RISK,
        "Score",
        "monitoring",
        "See risk for 15 clinical tasks from embeddings of that text, each beside its prevalence, its interval and "
        "the evidence behind it.",
        "See the scores",
    ),
    (
        "pages/imaging.py",
        "See",
        "image_search",
        "Segment a medical image and compare where Seg-Grad CAM and Seg-HiRes-Grad CAM say the model looked.",
        "Open an image",
    ),
)


def draw_steps() -> None:
    for number, (column, (script, title, icon, text, label)) in enumerate(zip(st.columns(3), STEPS, strict=True), 1):
        with column, st.container(border=True, key=f"step-{number}", height="stretch", gap="small"):
            st.markdown(f"### :material/{icon}: {number}. {title}", anchors=False)
            st.markdown(text)
            target = navigation.page(script)
            if target:
                st.space("stretch")  # the links of all steps stand on one line
                st.page_link(target, label=label, icon=":material/arrow_forward:")


def prepared(name: str, folder: Path) -> list[Case]:
    """Return the prepared cases of a dataset, which is opened only where it has some."""
    try:
        return cases_of(resources.dataset(name)) if read_cases(folder) else []
    except ChartlightError:  # Patients says what is wrong with the dataset
        return []


def draw_case(name: str, case: Case, several: bool) -> None:
    """Draw a prepared case; it names its dataset where there are several, which may have cases of one title."""
    number = f"{name}-{case.subject_id}"
    with st.container(border=True, key=f"case-{number}", height="stretch", gap="xsmall"):
        st.markdown(f"**{plain(case.title)}**  \n{plain(case.look_at)}")
        outcome = f"Outcome of {plain(task_name(case.task))}: {'yes' if case.outcome else 'no'}"
        st.markdown(f":small[:gray[{outcome}{f' · dataset {plain(name)}' if several else ''}]]")
        st.space("stretch")
        with st.container(horizontal=True, gap="small"):
            for script, label, icon in ((PATIENTS, "Read", "clinical_notes"), (RISK, "Score", "monitoring")):
                if navigation.page(script) and st.button(label, key=f"{label}-{number}", icon=f":material/{icon}:"):
                    navigation.go(script, selection.open_case(name, case.subject_id, case.prediction_time))


layout.header("Chartlight", "What a clinical model reads in a chart and looks at in a scan.")
if url.travelled():
    url.write(**selection.NONE)  # Back from a case: its address was this page's for a moment
elif "subject" in st.query_params:
    st.switch_page(navigation.page(PATIENTS), query_params=st.query_params.to_dict())
draw_steps()
tour_place = st.container()
folders = {name: path for name, path in resources.dataset_folders().items() if path.is_dir()}
if not folders:
    empty.show(
        "No dataset yet",
        "The demo cohort of synthetic patients takes a minute to make. Your own data: MEDS, EHRSHOT, OMOP.",
        icon="database",
        command="python -m core demo .chartlight/demo",
    )
cases = [(name, case) for name, path in folders.items() for case in prepared(name, path)]
if cases and tour.steps():
    with tour_place:
        if st.button(
            "Take the tour on a prepared case", icon=":material/play_arrow:", type="primary", key="tour-start"
        ):
            name, case = cases[0]
            tour.start()
            navigation.go(tour.steps()[0][0], selection.open_case(name, case.subject_id, case.prediction_time))
if cases:
    layout.section("Prepared cases", "synthetic patients at a moment worth reading")
    for start in range(0, len(cases), 3):
        for column, (name, case) in zip(st.columns(3), cases[start : start + 3], strict=False):
            with column:
                draw_case(name, case, len({name for name, _ in cases}) > 1)
