"""The list of patients by its address: the same list again, a clean address, nothing typed, nothing broken."""

import shutil
from collections.abc import Callable
from datetime import datetime

import polars as pl
import pytest
from streamlit.runtime.state.query_params import QueryParams
from streamlit.testing.v1 import AppTest

from core.ehr import meds_layout
from pages.shared import url
from pages.shared.patients import browser
from tests.pages import cohort
from tests.pages.conftest import shown
from tests.pages.test_patients import link_of, sound

PAGE = "pages/patients.py"
AGES = "f-age-51-65"
LONG = "9" * 5000
LEFT_OUT = "Filters that do not fit this dataset are left out"
EVERYBODY = ["1", "2", "3", "4", "5"]
EVERY_FILTER = {
    "sex": "female",
    "split": "held_out",
    "task": "guo_icu",
    "code": "RxNorm/6809",
    "min_age": "60",
    "sort": "last",
    "order": "descending",
}


def ids(app: AppTest) -> list[str]:
    """Subject ids of the list, none where it says that no patient fits."""
    return app.dataframe[0].value["Subject id"].tolist() if app.dataframe else []


def clean(app: AppTest) -> bool:
    return list(link_of(app)) == ["dataset"]


@pytest.fixture
def messages(monkeypatch) -> list[str]:
    """Addresses as they are sent to the browser, one entry a message."""
    sent: list[str] = []
    send = QueryParams._send_query_param_msg

    def note(params: QueryParams) -> None:
        sent.append(str(params))
        send(params)

    monkeypatch.setattr(QueryParams, "_send_query_param_msg", note)
    return sent


@pytest.fixture
def follow(monkeypatch) -> Callable[[AppTest, dict], None]:
    """Return a function that lets the browser's Back lead to an address, which is read as in a new session."""

    def go(app: AppTest, query: dict) -> None:
        app.query_params.clear()
        app.query_params.update({"dataset": "cohort", **query})
        with monkeypatch.context() as patch:
            patch.setattr(url, "travelled", lambda: True)
            app.run()

    return go


@pytest.fixture
def two_datasets(cohort_folder, tmp_path) -> str:
    """The test cohort and another, ``plain``, that has neither labels nor metformin nor the ages."""
    other = shutil.copytree(cohort_folder, tmp_path / "plain")
    shutil.rmtree(other / "labels")
    shutil.rmtree(other / "data")
    rows = [
        (1, datetime(1990, 1, 1), "MEDS_BIRTH"),
        (1, datetime(2010, 1, 1), "Gender/F"),
        (2, datetime(1980, 1, 1), "MEDS_BIRTH"),
        (2, datetime(2012, 1, 1), "Visit/OP"),
    ]
    events = pl.DataFrame(rows, schema=["subject_id", "time", "code"], orient="row")
    missing = [pl.lit(None, kind).alias(name) for name, kind in meds_layout.EVENT_SCHEMA.items() if name not in events]
    meds_layout.write_events(other, 0, events.with_columns(missing).select(list(meds_layout.EVENT_SCHEMA)))
    return f"{cohort_folder},{other}"


def test_a_link_shows_the_same_list_in_a_new_session(open_page):
    app = open_page(PAGE)
    app.selectbox(key="f-sex").set_value("female").run()
    app.selectbox(key="f-split").set_value("held_out").run()
    app.selectbox(key="f-task").set_value("guo_icu").run()
    app.text_input(key="f-code-text").set_value("metfor").run()
    app.slider(key=AGES).set_range(60, 65).run()
    app.radio(key="f-sort").set_value("last").run()
    app.toggle(key="f-descending").set_value(True).run()
    link = link_of(app)
    assert link == {"dataset": "cohort", **EVERY_FILTER}
    again = open_page(PAGE, query=link)
    sound(again)
    assert ids(again) == ids(app) == [str(cohort.RICH)]
    assert link_of(again) == link
    assert again.slider(key=AGES).value == (60, 65)
    assert again.text_input(key="f-code-text").value == "RxNorm/6809"
    assert LEFT_OUT not in shown(again)


def test_each_filter_of_a_link_narrows_the_list(open_page, follow):
    app = open_page(PAGE)
    for query, expected in (
        ({"sex": "female"}, ["1", "2"]),
        ({"sex": "unknown"}, ["3", "4", "5"]),
        ({"split": "tuning"}, ["3"]),
        ({"task": "guo_icu"}, ["1"]),
        ({"code": "LOINC/2823-3"}, ["1", "4"]),
        ({"code": "LOINC/*"}, ["1", "4"]),
        ({"code": "MEDS_BIRTH"}, ["1", "3", "4", "5"]),
        ({"min_age": "61"}, ["1", "5"]),
        ({"max_age": "60"}, ["3", "4"]),
        ({"min_age": "52", "max_age": "64"}, ["5"]),
        ({"sort": "age", "order": "descending"}, ["1", "5", "3", "4", "2"]),
    ):
        follow(app, query)
        sound(app)
        assert (ids(app), link_of(app)) == (expected, {"dataset": "cohort", **query}), query


def test_the_page_of_the_list_is_in_the_link(open_page, monkeypatch):
    monkeypatch.setattr(browser, "PAGE", 2)
    app = open_page(PAGE)
    app.button(key="page-Next").click().run()
    assert (link_of(app)["page"], ids(app)) == ("2", ["3", "4"])
    assert ids(open_page(PAGE, query={"page": "2"})) == ["3", "4"]
    beyond = open_page(PAGE, query={"page": "4"})
    assert ids(beyond) == ["1", "2"]
    assert clean(beyond)


def test_defaults_leave_the_address_clean(open_page, messages):
    app = open_page(PAGE)
    assert clean(app)
    for key, value in (("f-sex", "female"), ("f-split", "held_out"), ("f-task", "guo_icu")):
        app.selectbox(key=key).set_value(value).run()
    messages.clear()
    app.button(key="clear-filter").click().run()
    assert clean(app)
    assert ids(app) == EVERYBODY
    assert len(messages) == 1  # one step of the browser's Back
    app.run()
    assert len(messages) == 1  # nothing is sent where nothing changes
    app.slider(key=AGES).set_range(51, 65).run()
    assert clean(app)


def test_a_patient_and_back_keeps_the_filters(open_page):
    app = open_page(PAGE, query={"code": "LOINC/*", "order": "descending"})
    link = link_of(app)
    app.query_params["subject"] = str(cohort.TWO)
    app.run()
    sound(app)
    assert set(link_of(app)) == {"dataset", "subject", "at"}  # no fact beside a subject id
    assert app.button(key="go-Previous").disabled
    app.button(key="go-Next").click().run()  # the filtered list is stepped through
    assert link_of(app)["subject"] == str(cohort.RICH)
    assert app.button(key="go-Next").disabled
    app.button(key="all").click().run()
    sound(app)
    assert link_of(app) == link
    assert ids(app) == ["4", "1"]


def test_another_patient_does_not_take_over_the_time_of_the_link(open_page):
    app = open_page(PAGE, query={"subject": "3"})
    app.button(key="go-Previous").click().run()
    app.button(key="go-Previous").click().run()
    assert link_of(app)["subject"] == "1"
    assert link_of(app)["at"] == cohort.AT.isoformat()


def test_another_page_and_back_keeps_the_filters(open_page):
    app = open_page(PAGE, query={"sex": "female"})
    app.query_params.clear()
    app.switch_page("pages/risk.py").run()
    assert ids(app) == ["1", "2"]
    assert link_of(app) == {"dataset": "cohort", "sex": "female"}


@pytest.mark.parametrize("audience", [False, True])
def test_what_was_typed_is_not_in_the_address(open_page, audience):
    app = open_page(PAGE)
    app.toggle(key="choose-audience").set_value(audience).run()
    known = link_of(app)
    if not audience:  # which has no search by id
        app.text_input(key="f-id").set_value("4").run()
    assert link_of(app) == known
    for nobody_has in ("12345678*", "name/Miller", "Miller", "4"):
        app.text_input(key="f-code-text").set_value(nobody_has).run()
        sound(app)
        assert link_of(app) == known, nobody_has
    app.text_input(key="f-code-text").set_value("metfor").run()
    assert link_of(app) == known | {"code": "RxNorm/6809"}


HOSTILE = (
    ({"sex": "robot"}, "sex"),
    ({"sex": "<img src=x onerror=alert(1)>"}, "sex"),
    ({"split": "validation"}, "split"),
    ({"task": "new_celiac"}, "label"),
    ({"task": "../../etc"}, "label"),
    ({"code": "RxNorm/0"}, "code"),
    ({"code": "metformin"}, "code"),
    ({"code": ":red[x]/$x^2$"}, "code"),
    ({"code": "\x00/\ufffd"}, "code"),
    ({"min_age": "old"}, "age"),
    ({"min_age": "-1"}, "age"),
    ({"min_age": "60.5"}, "age"),
    ({"min_age": "٦٠"}, "age"),
    ({"min_age": "200"}, "age"),
    ({"max_age": "3"}, "age"),
    ({"min_age": "64", "max_age": "52"}, "age"),
    ({"max_age": "9" * 100}, "age"),
    ({"sex": "", "task": "", "code": " ", "min_age": "", "sort": "", "page": ""}, ""),
    ({"min_age": "0", "max_age": "150"}, ""),
    ({"sort": "name", "order": "sideways"}, ""),
    ({"page": "0"}, ""),
    ({"page": "-3"}, ""),
    ({"page": "999999"}, ""),
    ({"page": "two"}, ""),
)


def said(app: AppTest) -> list[str]:
    return [line for line in shown(app).splitlines() if LEFT_OUT in line]


def test_filters_that_cannot_be_are_left_out_and_said(open_page, follow):
    app = open_page(PAGE)
    for query, words in HOSTILE:
        follow(app, query)
        sound(app)
        assert (ids(app), clean(app)) == (EVERYBODY, True), query
        assert said(app) == ([f":material/link_off: {LEFT_OUT}: {words}."] if words else []), query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"sex": "robot", "task": "no", "code": "no", "max_age": "no", "page": "7"}, "sex, label, code, age"),
        ({"sex": ["female", "robot"], "code": "![x](http://evil.example/a.png)/*"}, "sex, code"),
        ({"sex": LONG, "split": LONG, "task": LONG, "code": LONG, "min_age": LONG, "page": LONG}, ""),
    ],
)
def test_a_new_session_bears_a_hostile_link(open_page, query, words):
    app = open_page(PAGE, query=query)
    sound(app)
    assert (ids(app), clean(app)) == (EVERYBODY, True)
    assert said(app) == ([f":material/link_off: {LEFT_OUT}: {words}."] if words else [])


def test_what_is_left_out_is_said_until_the_list_is_another(open_page):
    app = open_page(PAGE, query={"sex": "female", "task": "new_celiac"})
    assert ids(app) == ["1", "2"]
    assert f"{LEFT_OUT}: label." in shown(app)
    app.selectbox(key="f-sex").set_value("unknown").run()
    assert LEFT_OUT not in shown(app)


def test_a_typed_code_is_no_markup_in_the_label(open_page):
    app = open_page(PAGE)
    app.text_input(key="f-code-text").set_value("![x](http://evil.example/a.png)*").run()
    sound(app)
    labels = [block.proto.popover.label for block in app.get("popover")]
    assert any("evil" in label for label in labels)
    assert not any("![x](" in label for label in labels)


def test_labels_say_what_the_list_shows(open_page):
    app = open_page(PAGE)
    app.text_input(key="f-code-text").set_value("metfor").run()
    app.slider(key=AGES).set_range(51, 64).run()
    labels = [block.proto.popover.label.replace("\\", "") for block in app.get("popover")]
    assert labels == ["RxNorm/6809", "Up to 64 y", "By subject id"]


def test_another_dataset_gets_the_filters_that_it_has(open_page, two_datasets):
    app = open_page(PAGE, datasets=two_datasets, query=EVERY_FILTER)
    assert ids(app) == ["1"]
    app.selectbox(key="choose-dataset").set_value("plain").run()
    sound(app)
    assert f"{LEFT_OUT}: label, code, age." in shown(app)
    assert link_of(app) == {
        "sex": "female",
        "split": "held_out",
        "sort": "last",
        "order": "descending",
        "dataset": "plain",
    }
    assert ids(app) == ["1"]


@pytest.mark.parametrize("page", [PAGE, "pages/risk.py"])
def test_another_dataset_is_one_step_of_back(open_page, two_datasets, empty_folder, messages, page):
    app = open_page(page, datasets=f"{two_datasets},{empty_folder}")
    app.query_params.update({"dataset": "cohort", "subject": str(cohort.TWO)})
    app.run()
    assert link_of(app)["subject"] == str(cohort.TWO)
    for name in ("plain", empty_folder.name, "cohort"):
        messages.clear()
        app.selectbox(key="choose-dataset").set_value(name).run()
        sound(app)
        assert link_of(app) == {"dataset": name}
        assert len(messages) == 1


def test_a_patient_of_another_dataset_opens_whatever_was_listed(open_page, two_datasets):
    app = open_page(PAGE, datasets=two_datasets, query={"task": "guo_icu", "order": "descending"})
    app.query_params.update({"dataset": "plain", "subject": "2"})
    app.run()
    sound(app)
    assert app.button(key="go-Previous").disabled
    assert not app.button(key="go-Next").disabled  # of plain's list, whose order is descending too


def test_back_and_forward_follow_the_address(open_page, follow):
    app = open_page(PAGE, query={"sex": "female", "min_age": "60"})
    app.button(key="clear-filter").click().run()
    follow(app, {"sex": "female", "min_age": "60"})
    assert ids(app) == ["1"]
    follow(app, {"subject": "1"})
    assert "Read as of" in shown(app)
    follow(app, {"sex": "unknown"})
    assert ids(app) == ["3", "4", "5"]


def test_an_address_older_than_the_last_click_does_not_undo_it(open_page):
    app = open_page(PAGE)
    app.selectbox(key="f-sex").set_value("female").run()
    del app.query_params["sex"]  # as a browser sends it that has not heard of the address yet
    app.selectbox(key="f-split").set_value("train").run()
    assert ids(app) == ["2"]
    assert link_of(app) == {"dataset": "cohort", "sex": "female", "split": "train"}
