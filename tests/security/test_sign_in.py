"""Sign-in through a real OpenID Connect provider, in a real browser: roles, default deny, idle time-out, audit."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.e2e


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")


@pytest.fixture(scope="module")
def provider():
    port = free_port()
    process = subprocess.Popen([sys.executable, str(ROOT / "tests/security/oidc_provider.py"), str(port)])
    wait_for(f"http://127.0.0.1:{port}/jwks")
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def app(provider, tmp_path_factory):
    home, port = tmp_path_factory.mktemp("home"), free_port()
    secrets = home / "secrets.toml"
    secrets.write_text(
        f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
        'cookie_secret = "a-long-secret-of-the-sign-in-test-0123456789"\n'
        'client_id = "chartlight"\nclient_secret = "client-secret"\n'
        f'server_metadata_url = "{provider}/.well-known/openid-configuration"\n'
    )
    environment = {
        **os.environ,
        "CHARTLIGHT_HOME": str(home),
        "CHARTLIGHT_SIGN_IN": "true",
        "CHARTLIGHT_IDLE_MINUTES": "1",
    }
    flags = [f"--server.port={port}", f"--secrets.files={secrets}", "--server.headless=true"]
    process = subprocess.Popen([sys.executable, "-m", "streamlit", "run", "app.py", *flags], cwd=ROOT, env=environment)
    wait_for(f"http://127.0.0.1:{port}/_stcore/health")
    yield f"http://127.0.0.1:{port}", home
    process.kill()
    process.wait()


def become(provider: str, sub: str, roles) -> None:
    body = json.dumps({"sub": sub, "roles": roles}).encode()
    request = urllib.request.Request(f"{provider}/become", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).read()


def signed_in(browser, app, provider, sub, roles):
    """A new browser context in which ``sub`` has signed in."""
    become(provider, sub, roles)
    page = browser.new_context().new_page()
    page.goto(app[0])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{app[0]}/**")
    return page


def entries(app) -> list[dict]:
    path = app[1] / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("path", ["", "/status", "/patients?subject=1", "/audit"])
def test_without_signing_in_no_page_shows_anything(browser, app, path):
    page = browser.new_context().new_page()
    page.goto(app[0] + path)
    page.get_by_text("Sign in to open Chartlight").wait_for()
    assert page.get_by_text("Not a medical device").is_visible()
    assert page.get_by_role("heading").count() == 0
    page.context.close()


def test_an_account_without_a_role_is_denied(browser, app, provider):
    page = signed_in(browser, app, provider, "eve", ["staff"])
    page.get_by_text("Your account has no role here").wait_for()
    assert page.get_by_role("heading").count() == 0
    assert {"who": "eve@example.org", "action": "denied"}.items() <= entries(app)[-1].items()
    page.context.close()


def test_a_viewer_gets_in_but_not_to_the_audit_log(browser, app, provider):
    page = signed_in(browser, app, provider, "vera", ["viewer"])
    page.get_by_role("button", name="Sign out").wait_for()
    assert page.get_by_role("link", name="Audit log").count() == 0
    page.goto(app[0] + "/audit")
    page.get_by_text("This page is for admins").wait_for()
    assert page.get_by_test_id("stDataFrame").count() == 0
    assert any(e["action"] == "denied" and e["details"] == {"page": "audit"} for e in entries(app))
    assert any(e["action"] == "sign_in" and e["who"] == "vera@example.org" for e in entries(app))
    page.context.close()


def test_an_admin_reads_the_audit_log_and_signs_out(browser, app, provider):
    page = signed_in(browser, app, provider, "ada", "admin")
    page.get_by_role("link", name="Audit log").click()
    page.get_by_test_id("stDataFrame").wait_for()
    assert any(e["action"] == "view_audit" and e["who"] == "ada@example.org" for e in entries(app))
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("Sign in to open Chartlight").wait_for()
    page.context.close()


@pytest.mark.slow
def test_an_idle_session_is_closed(browser, app, provider):
    page = signed_in(browser, app, provider, "ida", ["viewer"])
    page.get_by_role("button", name="Sign out").wait_for()
    page.get_by_text("Sign in to open Chartlight").wait_for(timeout=120_000)
    assert any(e["action"] == "sign_out" and e["details"] == {"outcome": "idle"} for e in entries(app))
    page.context.close()
