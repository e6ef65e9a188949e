"""The Risk page in its states: scores like the command line's, evidence, no data, no model, roles, hostile text."""

import json

import pytest
from streamlit.runtime.state.query_params import QueryParams
from streamlit.testing.v1 import AppTest

from core.access import Identity
from core.cli import main
from core.ehr import meds_layout
from core.risk.cards import SYNTHETIC_WARNING
from core.risk.score import percent_text
from core.settings import PROJECT_ROOT
from tests.pages import cohort
from tests.pages.conftest import shown
from tests.pages.test_patients import as_shown, figures, link_of, sound, tables

PAGE = "pages/risk.py"
TABS = {
    "Sections": "noise floor",
    "Similar patients": "most similar patients",
    "Trajectory": "times up to the chosen one",
    "Sensitivity": "Whole record",
    "Thresholds": "Of 100 silent, right",
    "What if": "An edit makes a simulation",
    "Compare": "newest of their own times",
}
"""What each tab of the evidence says, by its name."""
GROUPS = (
    "Operational Outcomes",
    "Anticipating Lab Test Results",
    "Assignment of New Diagnoses",
    "Anticipating Chest X-ray Findings",
)


@pytest.fixture
def rich(open_page) -> AppTest:
    """The page of the rich subject at its newest label."""
    return open_page(PAGE, query={"subject": str(cohort.RICH)})


def test_four_groups_are_shown_with_average_and_words(rich):
    sound(rich)
    text = shown(rich)
    assert all(group in text for group in GROUPS)
    assert "average of Chartlight demo cohort" in text and "held-out cases positive" in figures(rich).lower()


def test_either_mark_of_a_row_leads_to_its_task_and_a_figure_has_few_traces(rich):
    """A browser pays for each trace, twice."""
    seen = []
    for chart in rich.get("plotly_chart")[: len(GROUPS)]:
        traces = json.loads(chart.proto.spec)["data"]
        assert len(traces) <= 3
        marks = next(trace for trace in traces if trace["mode"] == "markers")
        rows: dict[float, list] = {}
        for row, key, hover in zip(marks["y"], marks["customdata"], marks["hovertext"], strict=True):
            rows.setdefault(row, []).append((key[0], hover.startswith("average of ")))
        for average, patient in rows.values():
            assert average == (patient[0], True) and not patient[1]
            seen.append(patient[0])
    assert len(seen) == len(set(seen)) > 15 and "guo_icu" in seen


def test_the_page_and_the_command_give_the_same_numbers(open_page, cohort_folder, capsys, monkeypatch):
    files = {}
    monkeypatch.setattr(
        "pages.shared.downloads.button", lambda label, data, *rest, **more: files.update({label: data})
    )
    open_page(PAGE, query={"subject": str(cohort.RICH)})
    at = cohort.AT.isoformat()
    assert main(["score", str(cohort_folder), "--subject", str(cohort.RICH), "--at", at, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    scores = {score["label"] or score["task"]: score for score in document["scores"]}
    assert len(scores) == 28
    page = json.loads(files["JSON"])
    for score in page["scores"]:
        other = scores[score["label"] or score["task"]]
        assert (score["cohort"], score["cohort_synthetic"]) == ("Chartlight demo cohort", True)
        for name in ("probability", "prevalence", "percentile", "n", "n_positive", "log_odds"):
            assert score[name] == pytest.approx(other[name], abs=1e-5), name
        assert score["natural_frequency"] == other["natural_frequency"]
    assert page["cohort_notes"] == document["cohort_notes"] and SYNTHETIC_WARNING in page["cohort_notes"]
    assert SYNTHETIC_WARNING in files["HTML"]
    assert page["subject_id"].startswith("P-")
    assert "Not a medical device" in page["notice"]
    assert "Not a medical device" in files["HTML"] and "<script" not in files["HTML"]


@pytest.mark.parametrize(
    "name,synthetic,notes",
    [
        ("Chartlight demo cohort", True, ""),
        ("Our [hospital](http://evil.example)", False, "The heads were trained on Chartlight demo cohort, not on Our"),
    ],
)
def test_the_cohort_of_the_heads_is_told_in_one_line(open_page, tmp_path, name, synthetic, notes):
    folder = cohort.write(tmp_path / "other")
    meds_layout.write_dataset_json(folder, name, "test", synthetic=synthetic)
    app = open_page(PAGE, query={"subject": str(cohort.RICH)}, datasets=folder)
    sound(app)
    captions = [caption.value for caption in app.caption]
    words = {text: text.replace("\\", "").replace("\u2060", "") for text in captions}
    lines = [text for text in captions if SYNTHETIC_WARNING in words[text]]
    assert len(lines) == 1 and words[lines[0]].startswith(notes or SYNTHETIC_WARNING)
    assert "[hospital](" not in lines[0]  # escaped


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_the_evidence_opens(open_page, tab):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": tab})
    sound(app)
    assert TABS[tab] in shown(app).replace("\\", "") + tables(app)


def test_a_simulation_is_marked_and_changes_text_and_score(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": "What if"})
    assert "Simulation: the record was edited" not in shown(app)
    app.selectbox(key="what-code").set_value("RxNorm/6809")
    next(button for button in app.button if button.label == "Remove").click()
    app.run()
    sound(app)
    text = shown(app)
    assert "Simulation: the record was edited" in text and "without metformin" in text and "\n- - metformin" in text
    assert "Simulated" in tables(app)


def test_a_viewer_may_look_but_neither_download_nor_simulate(open_page, monkeypatch):
    monkeypatch.setattr("pages.shared.sign_in.local_identity", lambda: Identity("vera", "viewer"))
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": "What if"})
    sound(app)
    assert "Simulations need the role researcher" in shown(app)
    assert not app.get("download_button")
    assert all(button.disabled for button in app.button if button.label in ("JSON", "HTML"))


def test_without_a_patient_the_list_is_shown(open_page):
    app = open_page(PAGE)
    sound(app)
    assert app.dataframe[0].value["Subject id"].tolist() == ["1", "2", "3", "4", "5"]


def test_an_empty_dataset_says_so(open_page, empty_folder):
    app = open_page(PAGE, datasets=empty_folder)
    sound(app)
    assert "This dataset has no subjects" in shown(app)


def test_without_heads_the_page_says_how_to_make_them(open_page, tmp_path):
    app = open_page(PAGE, query={"subject": str(cohort.RICH)}, heads=tmp_path / "none")
    sound(app)
    assert "train-heads" in shown(app)


def test_an_unknown_encoder_is_one_sentence(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.RICH)}, encoder="no-such-encoder")
    sound(app)
    assert "no-such-encoder" in shown(app).replace("\\", "")


@pytest.mark.parametrize("subject", [cohort.STATIC, cohort.ONE, cohort.TWO, cohort.HOSTILE])
def test_short_and_hostile_records_are_scored_or_explained(open_page, subject):
    app = open_page(PAGE, query={"subject": str(subject)})
    sound(app)
    assert "evil.example" not in "\n".join(m.value for m in app.markdown if "\\" not in m.value)


def test_a_score_is_written_to_the_audit_log_without_the_id(rich, tmp_path):
    lines = (tmp_path / "home" / "audit.jsonl").read_text().splitlines()
    entry = next(json.loads(line) for line in lines if '"score"' in line)
    assert entry["subject"].startswith("P-") and entry["who"] == "local"
    assert str(PROJECT_ROOT) not in "\n".join(lines)


# --- tasks that are not defined for this record ----------------------------------------------------------------------


def test_a_task_that_is_not_defined_here_says_why_on_the_page_and_in_both_documents(open_page, monkeypatch):
    files = {}
    monkeypatch.setattr(
        "pages.shared.downloads.button", lambda label, data, *rest, **more: files.update({label: data})
    )
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "target": "guo_los"})
    sound(app)
    why = "asked at admission, which was 2015-03-01"
    assert f"Outside the task: {why}" in figures(app)
    assert "Outside the task's definition" in shown(app) and why in shown(app)
    found = {score["task"]: score["outside_definition"] for score in json.loads(files["JSON"])["scores"]}
    assert found["guo_los"] == why and found["new_celiac"] == "asked at discharge, and the stay is open"
    assert found["guo_icu"] == found["lab_anemia"] == found["chexpert"] == ""  # labelled; asked about at any time
    assert f"Outside the task: {why}" in files["HTML"]


def test_hidden_dates_stay_hidden_in_the_reason(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "target": "guo_los", "times": "relative"})
    text = shown(app) + figures(app)
    assert "which was 65 y 59 d" in text and "2015-03-01" not in text


def test_evidence_begins_with_a_task_that_has_a_label_here(rich):
    assert rich.selectbox(key="risk-task").value == "guo_icu"
    assert "target" not in link_of(rich)
    assert "Outside the task's definition" not in shown(rich)


def test_the_task_of_the_evidence_is_in_the_link_and_a_link_that_names_none_does_no_harm(open_page, rich):
    rich.selectbox(key="risk-task").set_value("lab_anemia").run()
    assert link_of(rich)["target"] == "lab_anemia"
    again = open_page(PAGE, query={"subject": str(cohort.RICH), "target": "lab_anemia"})
    assert again.selectbox(key="risk-task").value == "lab_anemia"
    other = open_page(PAGE, query={"subject": str(cohort.RICH), "target": "no_such_task"})
    sound(other)
    assert other.selectbox(key="risk-task").value == "guo_icu"


@pytest.mark.parametrize("tab", ["Sections", "Trajectory", "Sensitivity"])
def test_a_score_without_reliable_estimate_is_not_taken_apart(open_page, monkeypatch, tab):
    monkeypatch.setattr("core.risk.score.MIN_CASES", 10**9)
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": tab})
    sound(app)
    assert "There is no reliable estimate to take apart" in shown(app)
    assert "log-odds" not in shown(app) + tables(app)


def test_leaving_a_patient_with_an_evidence_tab_open_is_one_step_of_back(open_page, monkeypatch):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": "Thresholds"})
    sent = []
    send = QueryParams._send_query_param_msg
    monkeypatch.setattr(
        QueryParams, "_send_query_param_msg", lambda params: (sent.append(dict(params.to_dict())), send(params))
    )
    app.button(key="all").click().run()
    assert len([address for address in sent if "subject" not in address]) >= 1
    assert all("subject" not in address and "at" not in address for address in sent)


def test_an_implausible_simulated_value_says_that_it_is_not_read(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": "What if"})
    app.number_input(key="what-value").set_value(5000.0)
    next(button for button in app.button if button.label == "Change").click()
    app.run()
    sound(app)
    assert "The text leaves out what an edit changed or added: outside of the plausible range" in shown(app)


def _by_task(app: AppTest, columns: str) -> dict[str, dict[str, str]]:
    frame = next(as_shown(frame) for frame in app.dataframe if columns in frame.value)
    return frame.set_index("Task").to_dict("index")


def test_a_simulation_marks_the_tasks_that_are_not_defined_for_the_real_and_for_the_edited_record(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": "What if"})
    app.selectbox(key="what-new").set_value("Visit/IP")  # admitted on this day: length of stay is asked
    next(button for button in app.button if button.label == "Add").click()
    app.run()
    sound(app)
    rows = _by_task(app, "Simulated")
    assert rows["Long LOS"]["As it is"].startswith("◇ ") and "◇" not in rows["Long LOS"]["Simulated"]
    assert all(rows["Celiac"][column].startswith("◇ ") for column in ("As it is", "Simulated"))
    assert "◇" not in "".join(rows["Anemia"][column] for column in ("As it is", "Simulated"))
    text = shown(app).replace("\\", "")
    assert "as it is: Long LOS (asked at admission, which was 2015-03-01); " in text
    said = next(line for line in text.splitlines() if "definition, simulated" in line)
    assert "Long LOS" not in said and "(asked at discharge, and the stay is open)" in said


def test_compared_scores_are_marked_where_their_task_is_not_defined_for_either(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": "Compare"})
    app.text_input(key="compare-subject").set_value(str(cohort.TWO)).run()
    sound(app)
    rows = _by_task(app, "This")
    other = next(name for name in rows["Celiac"] if name not in ("This", "Average"))
    assert rows["Long LOS"]["This"].startswith("◇ ") and rows["Long LOS"][other].startswith("◇ ")
    assert "◇" not in rows["ICU Admission"]["This"] and rows["ICU Admission"][other].startswith("◇ ")
    assert all("◇" not in row["Average"] for row in rows.values())
    text = shown(app).replace("\\", "")
    assert "definition, this: Long LOS (asked at admission, which was 2015-03-01)" in text
    assert f"definition, {other}: Long LOS, ICU Admission (no hospital stay is open)" in text
    marks = [
        trace["marker"] for trace in json.loads(app.get("plotly_chart")[-1].proto.spec)["data"] if "marker" in trace
    ]
    numbers = next(frame.value for frame in app.dataframe if "This" in frame.value)
    for name in ("This", other, "Average"):  # a header sorts them as numbers: 5.8 % before 63 %
        assert numbers[name].dtype == float and all(
            row[name].removeprefix("◇ ") == percent_text(value) for row, value in zip(rows.values(), numbers[name])
        )
    assert {"circle", "circle-open", "diamond", "diamond-open"} == {
        symbol for mark in marks for symbol in mark["symbol"]
    }
