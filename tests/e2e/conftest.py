"""A real browser against a running app: `app.py` on a free port, Debian's Chromium through Playwright.

Screenshots go to a temporary folder; with CHARTLIGHT_SCREENSHOTS=1 to docs/screenshots, for the README.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.app_process import ARGUMENTS, CHROMIUM, ROOT, STEP_SECONDS, running

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
SUBJECTS = 120
"""Subjects of the demo cohort that the tests browse."""


@dataclass(frozen=True)
class App:
    """A running app: its address, the demo cohort's folder and its home."""

    url: str
    dataset: Path
    home: Path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        reason = "no Chromium on this machine (install the package chromium, or name one in CHARTLIGHT_CHROMIUM)"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app on the demo cohort, started as `python -m core serve` starts it."""
    from core.ehr.demo import generate_demo

    home = tmp_path_factory.mktemp("home")
    generate_demo(home / "demo", subjects=SUBJECTS, seed=3)
    with running(home, home / "demo") as url:
        yield App(url, home / "demo", home)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser session of 1280 x 800, in light mode; requests to anything but the app fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    context.set_default_timeout(STEP_SECONDS * 1000)
    tab = context.new_page()
    elsewhere: list[str] = []
    tab.on("request", lambda request: elsewhere.append(request.url) if not is_ours(request.url) else None)
    yield tab
    context.close()
    assert not elsewhere, f"the page called out: {elsewhere[:5]}"


def is_ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:"))


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots."""
    if os.environ.get("CHARTLIGHT_SCREENSHOTS") == "1":
        folder = ROOT / "docs" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return tmp_path_factory.mktemp("screenshots")
