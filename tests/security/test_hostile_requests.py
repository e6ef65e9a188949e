"""Red team: paths, queries, hosts and origins that no link of ours has, and sessions that must not see each other."""

import asyncio
import contextlib
import http.client
import json
from urllib.parse import quote, urlsplit

import pytest
import websockets
from websockets.exceptions import InvalidStatus, WebSocketException

from benchmarks._session import Session
from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.privacy import load_key, pseudonym
from core.settings import Settings
from tests.e2e.app_process import ROOT, apart, running

SUBJECTS = 60
pytestmark = pytest.mark.slow


class Served:
    """The running app, its subjects and what it calls them."""

    def __init__(self, url: str, home):
        self.url = url
        self.home = home
        self.dataset = open_dataset(home / "demo")
        key = load_key(Settings(_env_file=None, home=home))
        self.subjects = [int(subject) for subject in self.dataset.index.subject_ids]
        self.names = {subject: pseudonym(subject, key) for subject in self.subjects}

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Ask for a path exactly as it is written: no client tidies it up."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        try:
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def shown(self, session: Session) -> set[int]:
        """The subjects that the session's page names."""
        return {subject for subject, name in self.names.items() if session.sees(name)}

    @property
    def alive(self) -> bool:
        return self.get("/_stcore/health")[0] == 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("served")
    generate_demo(home / "demo", subjects=SUBJECTS, seed=5)
    with running(home, home / "demo") as url:
        yield Served(url, home)


def open_page(served: Served, page: str, query: str) -> Session:
    """Open a page in a session of its own and return what it showed."""

    async def visit() -> Session:
        async with Session(served.url) as session:
            await session.open(page, query)
            return session

    return apart(visit())


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static/../../../../etc/passwd",
        "/static/..%2f..%2f..%2fapp.py",
        "/app/static/../../.chartlight/id.key",
        "/media/../id.key",
        "/component/../../../../etc/passwd",
        "/component/streamlit_image_coordinates/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/component/streamlit_image_coordinates//etc/passwd",
        "/_stcore/upload_file/../../id.key",
        "//etc/passwd",
        "/%00/etc/passwd",
        "/pages/patients.py",
        "/.env",
        "/.streamlit/config.toml",
        "/audit.jsonl",
        "/id.key",
    ],
)
def test_no_path_reads_a_file(served: Served, path: str):
    _, body = served.get(path)
    secret = (served.home / "id.key").read_bytes() if (served.home / "id.key").exists() else b"never"
    assert b"root:" not in body
    assert b"import streamlit" not in body
    assert b"gatherUsageStats" not in body
    assert secret not in body
    assert b'"action"' not in body
    assert served.alive


NONSENSE = [
    "subject=../../etc/passwd",
    "subject=-1",
    "subject=" + "9" * 30,
    "subject=" + "9" * 190,
    "subject=1e3",
    "subject=%00",
    "subject=" + quote("٣"),
    "subject=" + quote("' OR 1=1 --"),
    "subject={id}&at=yesterday",
    "subject={id}&at=9999-99-99",
    "subject={id}&at=0001-01-01",
    "subject={id}&at=9999-12-31T23:59:59.999999",
    "subject={id}&at=t-99999999999999999999",
    "subject={id}&at=2015-01-01T00:00:00%2B25:00",
    "subject={id}&at=2015-01-01T00:00:00%2B14:00",
    "subject={id}&subject={other}",
    "dataset=nowhere",
    "dataset=..%2F..",
    "dataset=%2Fetc",
    "subject={id}&tab=%3Cscript%3E&view=nothing&evidence=../x&source=upload&times=never",
    "subject=%FF%FE&at=%F0%28%8C%28",
    "&&&===%%%",
    "demo=1&demo=2&subject[]=1",
    "subject=" + "1" * 600_000,
    "x=" + "y" * 600_000 + "&subject={id}",
]


@pytest.mark.parametrize("page", ["patients", "risk"])
@pytest.mark.parametrize("query", NONSENSE, ids=lambda query: query[:50])
def test_no_query_breaks_a_page_or_shows_another_patient(served: Served, page: str, query: str):
    one, other = served.subjects[:2]
    session = open_page(served, page, query.format(id=one, other=other))
    assert not session.sees("Something went wrong")
    assert session.sees("Not a medical device")
    if len(served.shown(session)) == 1:  # one patient, not the list
        assert served.shown(session) <= {one, other}
    assert served.alive


@pytest.mark.parametrize(
    "page", ["", "imaging", "model_facts", "status", "audit", "no_such_page", "..%2f", "a" * 5000]
)
def test_no_page_name_breaks_the_app(served: Served, page: str):
    session = open_page(served, page, "source=" + quote("<b>") + "&sample=-1&view=..")
    assert not session.sees("Something went wrong")
    assert session.sees("Not a medical device")


def test_a_query_of_600_kb_over_http_leaves_the_app_alive(served: Served):
    status, _ = served.get("/patients?subject=" + "1" * 600_000)
    assert status in (0, 200, 400, 414, 431)
    assert served.alive


def test_a_session_under_another_host_name_is_refused(served: Served):
    """A page elsewhere whose name is made to point at this machine (DNS rebinding): files are public, sessions not."""

    async def knock() -> None:
        port = urlsplit(served.url).port
        address, origin = f"ws://evil.example:{port}/_stcore/stream", f"http://evil.example:{port}"
        async with websockets.connect(
            address, host="127.0.0.1", port=port, subprotocols=["streamlit"], origin=origin
        ) as socket:
            await asyncio.wait_for(socket.recv(), 5)

    with pytest.raises(InvalidStatus):
        apart(knock())


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_a_page_elsewhere_cannot_open_a_session(served: Served, origin: str):
    async def knock() -> None:
        address = served.url.replace("http", "ws", 1) + "/_stcore/stream"
        async with websockets.connect(address, subprotocols=["streamlit"], origin=origin) as socket:
            await asyncio.wait_for(socket.recv(), 5)

    with pytest.raises(InvalidStatus):
        apart(knock())


def test_garbage_on_the_socket_harms_only_its_sender(served: Served):
    async def garble() -> None:
        address = served.url.replace("http", "ws", 1) + "/_stcore/stream"
        async with websockets.connect(address, subprotocols=["streamlit"], origin=served.url) as socket:
            for message in (b"", b"\xff" * 1000, b"\x00" * 100_000, b"\x0a\xff\xff\xff\xff\x0f"):
                await socket.send(message)
            await asyncio.sleep(0.5)

    with contextlib.suppress(WebSocketException):  # turned away
        apart(garble())
    assert served.alive
    assert open_page(served, "patients", f"subject={served.subjects[0]}").sees(served.names[served.subjects[0]])


def test_an_upload_for_somebody_elses_session_is_refused(served: Served):
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=20)
    for path in ("/_stcore/upload_file/guessed/1", "/_stcore/upload_file/..%2f..%2fx/..%2f..%2fid.key"):
        connection.request("PUT", path, body=b"x" * 100, headers={"Content-Type": "application/octet-stream"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (400, 403, 404, 405), path
    connection.close()
    assert served.alive


def test_sessions_at_the_same_time_see_their_own_patient(served: Served):
    """Four sessions go through patients and scores at once; none ever names another's patient."""
    wrong: list[str] = []

    async def person(number: int) -> None:
        async with Session(served.url) as session:
            for round_ in range(3):
                subject = served.subjects[4 * round_ + number]
                for page in ("patients", "risk"):
                    await session.open(page, f"subject={subject}")
                    if served.shown(session) != {subject} or session.sees("Something went wrong"):
                        wrong.append(f"session {number}, {page}: {served.shown(session)} instead of {subject}")

    async def everybody() -> None:
        await asyncio.gather(*(person(number) for number in range(4)))

    apart(everybody())
    assert wrong == []


def test_the_audit_log_knows_pseudonyms_only(served: Served):
    """After all of the above: every line is whole, and no id or text of a query is in it."""
    open_page(served, "patients", f"subject={served.subjects[0]}")
    text = (served.home / "audit.jsonl").read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    assert any(entry["subject"] == served.names[served.subjects[0]] for entry in entries)
    assert {entry["subject"] for entry in entries} <= {*served.names.values(), ""} | {
        entry["subject"] for entry in entries if entry["action"] in ("segment", "explain_image")
    }
    assert "passwd" not in text
    assert "script" not in text


def test_no_traceback_reached_the_log_but_for_what_we_sent(served: Served):
    """What a page could not handle would be in the server's log under an error id."""
    logs = "".join(path.read_text() for path in served.home.glob("serve-*.log"))
    assert "error_id" not in logs
    assert str(ROOT / "pages") not in logs, logs[-3000:]
