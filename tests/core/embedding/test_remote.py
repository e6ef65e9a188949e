"""The client against a real HTTP server that speaks the protocol and misbehaves on request."""

import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from core.embedding import remote as remote_module
from core.embedding.cache import EmbeddingCache
from core.embedding.cached import EmbedStats, embed_texts
from core.embedding.checks import EmbeddingError
from core.embedding.encoders import load_encoder
from core.embedding.registry import get_spec
from core.embedding.remote import RemoteEncoder, ServerError, retry_after
from core.errors import InputError, MissingError

DIMENSION = 6


def vector_of(text: str) -> np.ndarray:
    raw = np.random.default_rng(abs(hash_of(text))).standard_normal(DIMENSION)
    return raw / np.linalg.norm(raw)


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-8:].rjust(8, b"0"), "big") % (2**63) + len(text)


class Server(ThreadingHTTPServer):
    """Counts requests and those under way; ``script`` holds what the next requests get instead of a right answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.busy, self.most_busy = [], 0, 0
        self.script, self.always, self.delay = [], None, 0.0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers), body, time.monotonic()))
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
            fault = self.server.script.pop(0) if self.server.script else self.server.always
        try:
            time.sleep(self.server.delay)
            self.answer(body, fault)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.server.lock:
                self.server.busy -= 1

    def answer(self, body: dict, fault) -> None:
        vectors = [vector_of(text).tolist() for text in body["input"]]
        if isinstance(fault, int):
            return self.reply(fault, {"error": {"message": "the model is not loaded"}})
        if isinstance(fault, tuple):
            return self.reply(fault[0], {}, {"Retry-After": fault[1]})
        if fault == "wide":
            vectors = [[*vector, 0.0] for vector in vectors]
        elif fault == "nan":
            vectors[0][0] = float("nan")
        elif fault == "long":
            vectors = [[3 * value for value in vector] for vector in vectors]
        elif fault == "zero":
            vectors[-1] = [0.0] * DIMENSION
        elif fault == "few":
            vectors = vectors[:-1]
        elif fault == "hang":
            time.sleep(1.5)
        elif fault == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(30):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
            return None
        elif fault == "html":
            return self.reply(200, "<html>hello</html>")
        elif fault == "close":
            self.connection.close()
            return None
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        return self.reply(200, {"object": "list", "data": data[::-1], "model": body["model"]})  # order is by index

    def reply(self, status: int, content, headers=()) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def client(server: Server, **options) -> RemoteEncoder:
    defaults = {"model": "m", "batch": 2, "concurrency": 3, "retries": 2, "timeout": 5.0, "backoff": 0.01}
    return RemoteEncoder(get_spec("openai-compatible"), server.url, **(defaults | options))


TEXTS = [f"record {n}" for n in range(11)]


def test_vectors_come_back_in_order_with_the_template(server):
    encoder = client(server, key="secret")
    out = encoder.embed(TEXTS, "ask")
    expected = np.stack([vector_of(f"Instruct: ask\nQuery:\n{text}") for text in TEXTS])
    np.testing.assert_allclose(out, expected, atol=1e-6)
    assert out.dtype == np.float32
    path, headers, body, _ = server.requests[-1]
    assert path == "/v1/embeddings" and headers["Authorization"] == "Bearer secret" and body["model"] == "m"
    assert "secret" not in json.dumps([encoder.identity, encoder.cache_identity])


def test_concurrency_is_bounded_and_used(server):
    server.delay = 0.05
    client(server, concurrency=3, batch=1).embed(TEXTS)
    assert 2 <= server.most_busy <= 3


def test_the_base_url_may_end_in_v1(server):
    encoder = client(server)
    encoder.url = RemoteEncoder(encoder.spec, server.url + "/v1/", "m").url
    assert encoder.embed(["a"]).shape == (1, DIMENSION)


@pytest.mark.parametrize("fault", [503, 429, 500, "close"])
def test_a_passing_failure_is_tried_again(server, fault):
    encoder = client(server)
    assert encoder.dimension == DIMENSION
    server.script = [fault, fault]
    np.testing.assert_allclose(encoder.embed(["a"], "q")[0], vector_of("Instruct: q\nQuery:\na"), atol=1e-6)


def test_retry_after_is_honoured(server):
    encoder = client(server)
    assert encoder.dimension == DIMENSION
    server.requests.clear()
    server.script = [(429, "0.4")]
    encoder.embed(["a"])
    times = [request[3] for request in server.requests]
    assert len(times) == 2 and times[1] - times[0] >= 0.4


def test_retry_after_in_either_form():
    assert retry_after("2.5") == 2.5
    assert retry_after("100000") == 300
    assert 5 < retry_after(formatdate(time.time() + 10, usegmt=True)) < 11
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == retry_after("soon") == retry_after(None) == 0


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (401, ServerError, "answered 401: .*not loaded"),
        (404, ServerError, "answered 404"),
        (503, ServerError, "answered 503, 3 times"),
        ("wide", ServerError, "vectors of 7 numbers, not 6"),
        ("nan", EmbeddingError, "not finite"),
        ("zero", EmbeddingError, "without a direction"),
        ("long", ServerError, "length 3, not 1"),
        ("few", ServerError, "gave 1 vectors for 2 texts|gave 0 vectors for 1 texts"),
        ("html", ServerError, "not one of /v1/embeddings"),
        ("hang", ServerError, "did not answer within 0.2 s, 3 times"),
        ("drip", ServerError, "did not answer within 0.2 s, 3 times"),
    ],
)
def test_a_bad_answer_is_one_clear_error_and_nothing_is_cached(server, tmp_path, fault, error, message):
    encoder = client(server, timeout=0.2 if fault in ("hang", "drip") else 5.0)
    assert encoder.dimension == DIMENSION
    server.always = fault
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    with pytest.raises(error, match=message) as caught:
        embed_texts(encoder, TEXTS, cache=cache)
    assert "\n" not in str(caught.value)
    assert cache.stats().vectors == 0


def test_the_cards_dimension_and_norm_are_what_counts(server):
    """An entry that names them: the first answer is checked, not taken as the rule."""
    spec = dataclasses.replace(get_spec("openai-compatible"), dimension=1024)
    with pytest.raises(ServerError, match="vectors of 6 numbers, not 1024"):
        RemoteEncoder(spec, server.url, "m").embed(["a"])
    server.always = "long"
    loose = RemoteEncoder(dataclasses.replace(spec, dimension=DIMENSION, unit_norm=False), server.url, "m")
    np.testing.assert_allclose(np.linalg.norm(loose.embed(["a", "b"]), axis=1), 1, atol=1e-6)


def test_waits_grow_between_attempts(server, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    encoder = client(server, retries=4, backoff=1.0)
    assert encoder.dimension == DIMENSION
    server.always = 503
    monkeypatch.setattr(remote_module.asyncio, "sleep", sleep)
    with pytest.raises(ServerError, match="answered 503, 5 times"):
        encoder.embed(["a"])
    assert len(waits) == 4
    assert all(0.5 * 2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(waits))


def test_what_a_server_computed_is_counted(server):
    encoder = client(server)
    assert encoder.usage.speed is None
    encoder.embed(TEXTS)
    assert encoder.usage.tokens == sum(map(encoder.count_tokens, TEXTS)) and encoder.usage.speed > 0


def test_no_server_is_an_error():
    encoder = RemoteEncoder(get_spec("openai-compatible"), "http://127.0.0.1:9", "m", retries=1, backoff=0.01)
    with pytest.raises(ServerError, match="cannot be reached"):
        encoder.embed(["a"])


def test_a_run_goes_on_where_it_stopped(server, tmp_path):
    encoder = client(server, concurrency=1, batch=1)  # windows of four texts
    assert encoder.dimension == DIMENSION
    server.script = [None] * 6 + [404]
    cache = EmbeddingCache(tmp_path / "cache.sqlite")
    with pytest.raises(ServerError):
        embed_texts(encoder, TEXTS, cache=cache)
    assert cache.stats().vectors == 4
    stats = EmbedStats()
    out = embed_texts(encoder, TEXTS, cache=cache, stats=stats)
    assert stats.computed_pieces == 7
    np.testing.assert_allclose(out, encoder.embed(TEXTS), atol=1e-7)


def test_bad_texts_are_not_sent(server):
    encoder = client(server)
    assert encoder.dimension == DIMENSION
    server.requests.clear()
    for text in ("", "x" * 10_000_000):
        with pytest.raises(InputError):
            encoder.embed(["fine", text])
    assert server.requests == []


def test_the_settings_name_the_server(server, monkeypatch):
    with pytest.raises(MissingError, match="CHARTLIGHT_EMBEDDING_URL"):
        load_encoder("openai-compatible")
    changed = {"embedding_url": server.url, "embedding_model": "m", "embedding_key": "k"}
    settings = remote_module.get_settings().model_copy(update=changed)
    monkeypatch.setattr(remote_module, "get_settings", lambda: settings)
    encoder = load_encoder("openai-compatible")
    assert encoder.embed(["a"]).shape == (1, DIMENSION)
    monkeypatch.setattr(remote_module, "get_settings", lambda: settings.model_copy(update={"embedding_model": ""}))
    with pytest.raises(MissingError, match="CHARTLIGHT_EMBEDDING_MODEL"):
        load_encoder("openai-compatible")
