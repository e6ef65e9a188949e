"""The app as a process of its own, and Chromium to look at it: for browser tests and benchmarks/pages.py."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHARTLIGHT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
START_SECONDS, STEP_SECONDS = 90, 90


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


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread of its own: a browser of this process keeps an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
