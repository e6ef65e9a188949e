"""The frame: every page starts with its check, has the banner, and shows errors as sentences."""

import ast
import json
import shutil
from pathlib import Path

import plotly.graph_objects as go
import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from core.audit import AuditLog
from core.ehr.demo.cases import CASES_FILE, read_cases
from core.errors import InputError
from core.safety import NOTICE
from core.settings import get_settings
from pages.shared import charts
from pages.shared.navigation import ENTRIES, ROOT
from tests.pages import cohort
from tests.pages.conftest import shown

SCRIPTS = [entry.script for entry in ENTRIES]
STARTERS = ("layout.header", "frame.require")


def first_call(path: Path) -> str:
    """The first call at the top level of a page, which must be the one that insists on the frame."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return ast.unparse(node.value.func)
    return ""


INPUTS = {
    "selectbox", "multiselect", "pills", "segmented_control", "radio", "slider", "select_slider", "toggle", "checkbox",
    "number_input", "text_input", "text_area", "date_input", "time_input",
}  # fmt: skip
FORGETFUL = {
    "audit.py": "filters of a log that begin anew",
    "model_facts.py": "the address has the model",
    "audience.py": "always drawn",
    "selection.py": "always drawn; the session has what they say",
    "chart.py": "the address has the time",
    "picker.py": "the session has the encoder",
    "what_if.py": "forms, empty once they are sent",
}
"""Files whose inputs may lose their state while they are not drawn, with the reason."""


@pytest.mark.parametrize("path", sorted((ROOT / "pages").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_an_input_keeps_what_it_says_while_its_tab_is_closed(path):
    if path.name in FORGETFUL:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in INPUTS:
            given = {keyword.arg for keyword in node.keywords}
            assert "key" in given and given & {"persist_state", "bind", None}, f"line {node.lineno}"


def test_every_script_is_listed():
    scripts = {f"pages/{path.name}" for path in (ROOT / "pages").glob("[!_]*.py")}
    assert scripts == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_page_begins_with_the_frame(script):
    assert first_call(ROOT / script) in STARTERS


@pytest.mark.parametrize("script", SCRIPTS)
def test_page_has_the_banner(open_page, script):
    app = open_page(script)
    assert not app.exception
    assert NOTICE in shown(app)


@pytest.mark.parametrize("script", ["pages/start.py", "pages/status.py"])
def test_page_without_any_dataset(open_page, script, tmp_path):
    app = open_page(script, datasets=tmp_path / "nowhere")
    assert not app.exception
    assert "Something went wrong" not in shown(app)


def test_unexpected_error_shows_an_id_that_the_log_explains(open_page, monkeypatch, caplog):
    from core.ehr.store import Dataset

    def fail(self, subject_id):
        raise RuntimeError("a value of a record")

    monkeypatch.setattr(Dataset, "events", fail)
    app = open_page("pages/patients.py", query={"subject": "1"})
    text = shown(app)
    assert "a value of a record" not in text
    reference = text.split("under the id `")[1].split("`")[0]
    assert reference in caplog.text
    last = list(AuditLog(get_settings().audit_path).entries())[-1]
    assert (last.action, last.details) == ("error", {"error_id": reference})


def test_mendable_error_is_a_sentence_without_markup(open_page, monkeypatch):
    from core.ehr.store import Dataset

    def fail(self, subject_id):
        raise InputError("the file [x](http://evil.example) is damaged", "copy it again")

    monkeypatch.setattr(Dataset, "events", fail)
    text = shown(open_page("pages/patients.py", query={"subject": "1"}))
    assert "[x](http" not in text
    assert "Copy it again" in text


def test_status_names_the_port_that_is_served(open_page):
    """`serve --port` and `streamlit run --server.port` are no settings of ours."""
    before = config.get_option("server.port")
    try:
        config.set_option("server.port", 8642)
        text = shown(open_page("pages/status.py", port=8599))
    finally:
        config.set_option("server.port", before)
    assert "port 8642" in text and "port 8599" not in text


def test_audience_mode_hides_ids_and_dates(open_page):
    app = open_page("pages/patients.py")
    app.toggle(key="choose-audience").set_value(True).run()
    columns = app.dataframe[0].value.columns
    assert "Subject id" not in columns
    assert "First event" not in columns
    assert "Patient" in columns


def test_audience_mode_keeps_the_subject_out_of_the_address(open_page):
    app = open_page("pages/patients.py", query={"subject": "1"})
    heading = next(text.value for text in app.markdown if text.value.startswith("## P-"))
    assert {"subject", "at"} <= set(app.query_params)
    app.toggle(key="choose-audience").set_value(True).run()
    assert set(app.query_params) <= {"dataset", "times", "audience"}
    for script in ("pages/risk.py", "pages/patients.py"):
        app.query_params.clear()  # as Streamlit does when the page changes
        app.switch_page(script).run()
        assert not app.exception
        assert heading in [text.value for text in app.markdown], "the session knows the subject"
        assert set(app.query_params) <= {"dataset", "times", "audience"}
    app.toggle(key="choose-audience").set_value(False).run()
    assert "1" in app.query_params["subject"]


def test_the_address_of_audience_mode_opens_the_list_in_a_new_session(open_page):
    app = open_page("pages/patients.py", query={"dataset": "cohort", "times": "relative"})
    assert not app.exception
    assert "Patient" in app.dataframe[0].value.columns


@pytest.mark.parametrize("script", ["pages/start.py", "pages/patients.py", "pages/benchmark.py", "pages/imaging.py"])
def test_the_address_keeps_audience_mode(settings_of, cohort_folder, script):
    """A reload is a new session that knows the address alone."""
    settings_of(datasets=cohort_folder)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["audience"] = "1"
    app.run()
    for _ in range(2):
        app.query_params.clear()  # as Streamlit does when the page changes
        app.switch_page(script).run()
        assert not app.exception
        assert app.toggle(key="choose-audience").value and "audience" in app.query_params
    app.toggle(key="choose-audience").set_value(False).run()
    assert "audience" not in app.query_params
    app.run()
    assert not app.toggle(key="choose-audience").value


def test_an_audience_is_offered_prepared_cases_and_no_search_by_id(open_page, cohort_folder, tmp_path):
    folder = shutil.copytree(cohort_folder, tmp_path / "cohort")
    case = {"title": "A case", "look_at": "What to look at.", "task": "guo_los", "outcome": True}
    ids = {"one": cohort.RICH, "gone": 777}
    rows = [
        case | {"title": title, "subject_id": subject, "prediction_time": cohort.AT.isoformat()}
        for title, subject in ids.items()
    ]
    (folder / CASES_FILE).write_text(json.dumps(rows))
    app = open_page("pages/patients.py", datasets=folder)
    app.text_input(key="f-id").set_value("4").run()
    assert len(app.dataframe[0].value) == 1
    app.toggle(key="choose-audience").set_value(True).run()
    assert len(app.dataframe[0].value) == 5, "what was searched by id is shown no more"
    assert "f-id" not in [field.key for field in app.text_input]
    cases = next(box for box in app.selectbox if box.label == "Prepared case")
    assert cases.options == ["one"]
    cases.set_value(next(iter(read_cases(folder)))).run()
    assert not app.exception
    assert any(text.value.startswith("## P-") for text in app.markdown)
    assert not {"subject", "at"} & set(app.query_params)


def test_a_figure_is_larger_by_one_factor_for_an_audience():
    bars = go.Bar(x=[1, 2], y=["a", "b"], width=0.5, marker={"line": {"width": 2}}, textfont={"size": 10})
    points = go.Scatter(x=[1, 2], y=[3, 4], marker={"size": [4, 8]}, line={"width": 3})
    figure = charts.figure(300, bars, points, legend=True, margin={"l": 20})
    figure.add_annotation(text="words", font={"size": 12})
    large = charts.enlarged(figure, 2)
    assert large.layout.height == 600 and large.layout.margin.l == 40
    assert large.layout.font.size == 2 * figure.layout.font.size and large.layout.annotations[0].font.size == 24
    assert large.layout.xaxis.tickfont.size == large.layout.legend.font.size == 22.5  # Streamlit's theme has 11.25
    assert large.layout.xaxis.title.font.size == 26.25
    assert (large.data[0].width, large.data[0].marker.line.width, large.data[0].textfont.size) == (0.5, 4, 20)
    assert (list(large.data[1].marker.size), large.data[1].line.width) == ([8, 16], 6)
    assert list(large.data[1].x) == [1, 2] and figure.layout.height == 300


def test_the_tour_s_strip_is_on_the_pages_of_the_tour_alone(open_page):
    app = open_page("pages/patients.py")
    app.session_state["_tour"] = True
    for script, words in (
        ("pages/patients.py", "Tour 1 of 3: Read"),
        ("pages/status.py", ""),
        ("pages/benchmark.py", ""),
        ("pages/imaging.py", "Tour 3 of 3: See"),
        ("pages/start.py", ""),
    ):
        text = shown(app.switch_page(script).run())
        assert words in text if words else "Tour " not in text, script


def test_a_bad_setting_is_a_sentence(open_page, monkeypatch):
    app = open_page("pages/start.py")
    monkeypatch.setenv("CHARTLIGHT_IDLE_MINUTES", "soon")
    get_settings.cache_clear()
    text = shown(app.run())
    assert "CHARTLIGHT_IDLE_MINUTES: " in text.replace("\\", "")
    assert NOTICE in text and "Something went wrong" not in text


@pytest.mark.parametrize("more", [{}, {"selection_mode": "box"}, {"mode_bar": False}])
def test_no_figure_has_plotly_s_own_download(more):
    def script(more):
        import plotly.graph_objects as go

        from pages.shared import charts

        charts.show(charts.figure(200, go.Scatter(x=[1], y=[2])), "figure", alt="A point", on_select="rerun", **more)

    app = AppTest.from_function(script, args=(more,)).run()
    assert not app.exception
    config = json.loads(app.get("plotly_chart")[0].proto.config)
    assert config.get("displayModeBar") is False or "toImage" in config["modeBarButtonsToRemove"]


def test_tour_strip_can_be_left(open_page):
    """The way from page to page is in the browser test: AppTest does not follow st.switch_page."""
    app = open_page("pages/patients.py", query={"subject": "1"})
    app.session_state["_tour"] = True
    app.run()
    assert "Tour 1 of" in shown(app)
    app.button(key="tour-end").click().run()
    assert "Tour 1 of" not in shown(app)
