"""The first minute of a server: deep links before app.py has run once, and a server that was started past `serve`.

Real server processes, and sessions that speak the page's protocol: a browser would not be quick enough.
"""

import asyncio
import os
import subprocess
import sys
import time
import urllib.request

import pytest

from benchmarks._session import Session
from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.privacy import load_key, pseudonym
from core.safety import NOTICE
from core.settings import Settings
from tests.e2e.app_process import ROOT, apart, running
from tests.security.test_sign_in import free_port

pytestmark = pytest.mark.slow
GATE = "Sign in to open Chartlight"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cold")
    generate_demo(folder / "demo", subjects=20, seed=9)
    return folder


@pytest.fixture(scope="module")
def subject(home) -> int:
    return int(open_dataset(home / "demo").index.subject_ids[0])


async def visit(url: str, page: str, query: str, seconds: float = 0.0) -> Session:
    """Open a page in a session of its own after some seconds; return the session with what it was shown."""
    await asyncio.sleep(seconds)
    async with Session(url) as session:
        await session.open(page, query)
    return session


async def together(*visits) -> list[Session]:
    return await asyncio.gather(*visits)


def test_two_deep_links_into_a_cold_server_meet_the_gate(home, subject):
    """The second session puts Streamlit's flag right while the first is in its page, where imports take seconds."""
    with running(home, home / "demo", CHARTLIGHT_SIGN_IN="true") as url:
        visits = [visit(url, page, f"subject={subject}", 0.05 * i) for i, page in enumerate(("risk", "patients", ""))]
        sessions = apart(together(*visits))
    name = pseudonym(subject, load_key(Settings(_env_file=None, home=home)))
    for session in sessions:
        assert session.sees(GATE)
        assert session.sees(NOTICE)
        assert not session.sees(name)
        assert {label for kind, label in session.widgets if kind in ("button", "download_button")} == {"Sign in"}
    assert not (home / "audit.jsonl").exists() or "view_subject" not in (home / "audit.jsonl").read_text()


def test_a_server_started_past_serve_does_not_open_the_door(home, subject):
    """`streamlit run` knows nothing of sign-in; the app looks at the address itself."""
    port = free_port()
    environment = {
        **os.environ,
        "CHARTLIGHT_HOME": str(home),
        "CHARTLIGHT_DATASETS": str(home / "demo"),
        "STREAMLIT_SERVER_ADDRESS": "0.0.0.0",
    }
    line = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    with (home / "open.log").open("w") as log:
        server = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://localhost:{port}"
    try:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).read()
                break
            except OSError:
                time.sleep(0.1)
        for session in apart(together(*(visit(url, page, f"subject={subject}") for page in ("risk", "patients", "")))):
            assert session.sees("can be reached from other machines and nobody has to sign in")
            assert session.sees(NOTICE)
            assert not session.sees("P-")
            assert not [label for kind, label in session.widgets if kind == "download_button"]
    finally:
        server.terminate()
        server.wait()
