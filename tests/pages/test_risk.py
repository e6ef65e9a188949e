"""The Risk page in its states: scores like the command line's, evidence, no data, no model, roles, hostile text."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.access import Identity
from core.cli import main
from core.ehr import meds_layout
from core.risk.cards import SYNTHETIC_WARNING
from core.settings import PROJECT_ROOT
from tests.pages import cohort
from tests.pages.conftest import shown
from tests.pages.test_patients import figures, sound, tables

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
    assert "Simulation: the record was edited" in text and "without metformin" in text and "\n-- metformin" in text
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
