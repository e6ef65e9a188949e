"""A real browser, Debian's Chromium through Playwright, for the tests of every folder that want one.

One for a whole process: Playwright's synchronous interface cannot be started twice at a time.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.app_process import ARGUMENTS, CHROMIUM, STEP_SECONDS

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


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


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser session of 1280 x 800, in light mode; requests to anything but the app fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    context.set_default_timeout(STEP_SECONDS * 1000)
    elsewhere = watch(context)
    yield context.new_page()
    context.close()
    assert not elsewhere, f"the page called out: {elsewhere[:5]}"


def watch(context: BrowserContext) -> list[str]:
    """Return a list that fills with the addresses, other than the app's, that a browser session asks for."""
    elsewhere: list[str] = []
    context.on("request", lambda request: elsewhere.append(request.url) if not is_ours(request.url) else None)
    return elsewhere


def is_ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:"))
