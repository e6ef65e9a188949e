"""What pages write to the audit log: each view once, each new view again, and nothing is shown that is not written."""

import pytest
from streamlit.testing.v1 import AppTest

from core.audit import AuditLog
from core.settings import get_settings
from pages.shared import audit
from tests.pages.conftest import shown

PAGE = "pages/patients.py"


def views() -> list[str]:
    """The subjects of the views in the log, in order."""
    return [e.subject for e in AuditLog(get_settings().audit_path).entries() if e.action == "view_subject"]


def reopen(app: AppTest, subject: int, script: str = PAGE) -> None:
    app.query_params["subject"] = str(subject)
    app.switch_page(script).run()


def test_reruns_of_one_view_are_one_entry(open_page):
    app = open_page(PAGE, query={"subject": "1"})
    for _ in range(3):
        app.run()
    assert len(views()) == 1


def test_a_record_that_is_opened_again_is_written_again(open_page):
    app = open_page(PAGE, query={"subject": "1"})
    next(button for button in app.button if button.label == "All patients").click().run()
    reopen(app, 1)
    assert len(views()) == 2
    reopen(app, 4)
    reopen(app, 1)
    assert len(views()) == 4
    assert views()[0] == views()[1] == views()[3] != views()[2]


def test_a_record_that_is_seen_after_another_page_is_written_again(open_page):
    app = open_page(PAGE, query={"subject": "1"})
    app.switch_page("pages/status.py").run()
    reopen(app, 1)
    assert len(views()) == 2


def test_a_record_that_stays_open_is_written_again_after_a_while(open_page, monkeypatch):
    app = open_page(PAGE, query={"subject": "1"})
    monkeypatch.setattr(audit, "_SAME_VIEW_SECONDS", 0)
    app.run()
    assert len(views()) == 2


@pytest.mark.parametrize("script", [PAGE, "pages/risk.py"])
def test_nothing_is_shown_while_the_log_cannot_be_written(open_page, script):
    app = open_page(script, query={"subject": "1"}, audit_log="/dev/full")
    for _ in range(3):  # what could not be written is not taken as written in the next run
        text = shown(app)
        assert "No space left on device" in text and "Nothing is shown" not in text
        assert "nothing is shown that is not logged" in text
        assert "P-" not in text and not app.get("plotly_chart") and not app.get("metric")
        app.run()


def test_nobody_has_a_role_before_the_frame_says_who_it_is(settings_of):
    def script():
        import streamlit as st

        from pages.shared import audit

        st.text(f"{audit.identity().role} {[audit.identity().may(what) for what in ('open', 'download', 'audit')]}")

    for sign_in in (True, False):
        settings_of(sign_in=sign_in)
        assert AppTest.from_function(script).run().text[0].value == "None [False, False, False]"
