"""The gate by itself: idle sign-ins end in every tab and after every pause. A real provider: tests/security."""

import time
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core import idle
from core.audit import AuditLog
from core.settings import get_settings
from tests.pages.conftest import ROOT, TIMEOUT, shown

GATE = "Sign in to open Chartlight"


@pytest.fixture
def clock(monkeypatch) -> Callable[[float], None]:
    """Return a function that lets minutes pass for the list of sign-ins."""
    ahead, now = [0.0], time.time
    monkeypatch.setattr(idle.time, "time", lambda: now() + ahead[0])

    def advance(minutes: float) -> None:
        ahead[0] += 60 * minutes

    return advance


@pytest.fixture
def tab(settings_of, cohort_folder) -> Callable[..., AppTest]:
    """Return a function that opens a tab with the cookie of one sign-in; each has its own session state."""
    settings_of(datasets=cohort_folder, sign_in=True, idle_minutes=30)
    issued = int(time.time())

    def open_(role: str = "viewer", issued: int = issued) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
        app.user = {"is_logged_in": True, "iss": "https://idp.example", "sub": "ada", "iat": issued, "roles": [role]}
        return app.run()

    return open_


def is_in(app: AppTest) -> bool:
    assert not app.exception
    inside = "1. Read" in shown(app)
    assert not (inside and GATE in shown(app))
    return inside


def outcomes() -> list[str]:
    return [e.details["outcome"] for e in AuditLog(get_settings().audit_path).entries() if e.action == "sign_out"]


def test_a_closed_tab_does_not_stop_the_clock(tab, clock):
    assert is_in(tab())
    clock(29)
    assert is_in(tab()), "a new tab within the limit"
    clock(29)
    assert is_in(tab()), "which counts as use"
    clock(31)
    assert not is_in(tab())
    assert outcomes() == ["idle"]
    assert not is_in(tab()), "the cookie stays worthless"


def test_after_a_restart_an_old_cookie_counts_as_idle(tab):
    assert not is_in(tab(issued=int(time.time()) - 31 * 60))
    assert is_in(tab())


def test_signing_out_ends_the_other_tabs_too(tab):
    first, second = tab(), tab()
    assert is_in(first) and is_in(second)
    first.button(key="sign-out").click().run()
    assert not is_in(first)
    assert not is_in(second.run())
    assert outcomes()[0] == "asked"


def test_signing_out_works_while_the_log_cannot_be_written(tab, monkeypatch):
    app = tab()
    monkeypatch.setenv("CHARTLIGHT_AUDIT_LOG", "/dev/full")
    get_settings.cache_clear()
    app.button(key="sign-out").click().run()
    assert not is_in(app)
    assert not is_in(tab())
