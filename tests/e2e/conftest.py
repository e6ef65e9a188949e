"""The app on the demo cohort, for the browser of tests/conftest.py.

Screenshots go to a temporary folder; with CHARTLIGHT_SCREENSHOTS=1 to docs/screenshots, for the README.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.app_process import ROOT, running

SUBJECTS = 400
"""Subjects of the demo cohort that the tests browse."""


@dataclass(frozen=True)
class App:
    """A running app: its address, the demo cohort's folder and its home."""

    url: str
    dataset: Path
    home: Path


@pytest.fixture(scope="session")
def app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app on the demo cohort, started as `python -m core serve` starts it."""
    from core.ehr.demo import generate_demo

    home = tmp_path_factory.mktemp("home")
    generate_demo(home / "demo", subjects=SUBJECTS, seed=0)
    with running(home, home / "demo") as url:
        yield App(url, home / "demo", home)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots."""
    if os.environ.get("CHARTLIGHT_SCREENSHOTS") == "1":
        folder = ROOT / "docs" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="session")
def wide_screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the screenshots at 1920 x 1080 in both themes, to be looked at; git ignores it."""
    if os.environ.get("CHARTLIGHT_SCREENSHOTS") == "1":
        folder = ROOT / "tests" / "e2e" / "out"
        folder.mkdir(exist_ok=True)
        return folder
    return tmp_path_factory.mktemp("wide")
