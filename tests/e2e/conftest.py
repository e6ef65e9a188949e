"""A real browser against a running app: `app.py` on a free port, Debian's Chromium through Playwright.

Screenshots go to a temporary folder; with CHARTLIGHT_SCREENSHOTS=1 to docs/screenshots, for the README.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHARTLIGHT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
START_SECONDS, STEP_SECONDS = 90, 90
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


class running:  # noqa: N801  (reads as a verb: with running(...) as url)
    """Run the app on a free port for the time of a block."""

    def __init__(self, home: Path, *datasets: Path, **environment: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        names = ",".join(str(path) for path in datasets)
        self.environment = {**os.environ, "CHARTLIGHT_HOME": str(home), "CHARTLIGHT_DATASETS": names, **environment}
        self.log = home / f"serve-{self.port}.log"

    def __enter__(self) -> str:
        line = [sys.executable, "-m", "core", "serve", "--port", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                line, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                    if answer.status == 200:
                        return url
            except OSError:
                time.sleep(0.2)
        self.__exit__()
        raise AssertionError(f"the app did not start: {self.log.read_text()[-2000:]}")

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)


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


def settle(page: Page) -> None:
    """Wait until the script has run and nothing is loading any more."""
    page.wait_for_selector(".stApp")
    page.wait_for_timeout(250)
    page.wait_for_function(
        "() => document.querySelector('.stApp')?.dataset.testScriptState === 'notRunning'"
        " && !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')",
        timeout=STEP_SECONDS * 1000,
    )
    page.wait_for_timeout(400)


def go(page: Page, url: str) -> None:
    """Open an address and wait for the page."""
    page.goto(url)
    settle(page)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots."""
    if os.environ.get("CHARTLIGHT_SCREENSHOTS") == "1":
        folder = ROOT / "docs" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return tmp_path_factory.mktemp("screenshots")
