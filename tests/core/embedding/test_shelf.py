"""What a process holds: loaded once, one lock each, put away when memory is short, never under somebody's hands."""

import dataclasses
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.embedding import shelf as shelf_module
from core.embedding.encoders import load_encoder
from core.embedding.memory import MemoryCheck, memory_needed
from core.embedding.registry import get_spec
from core.embedding.remote import RemoteEncoder
from core.embedding.shelf import EncoderShelf, HeldEncoder
from core.errors import MissingError
from tests.core.embedding.tiny_models import tiny_spec

TEXTS = ["# Record\n\n- Pneumonia", "- Sodium: 128 (low)"]


@pytest.fixture
def specs(tiny_folders, monkeypatch):
    """Three tiny encoders, the registry of this test."""
    found = {
        name: dataclasses.replace(tiny_spec(family, tiny_folders[family]), name=name)
        for name, family in (("one", "qwen3"), ("two", "llama"), ("three", "modernbert"))
    }
    monkeypatch.setattr(shelf_module, "get_spec", lambda name: found[name])
    return found


@pytest.fixture
def loads(monkeypatch) -> list:
    """Every encoder that was loaded, weakly."""
    return []


@pytest.fixture
def shelf(specs, loads) -> EncoderShelf:
    def load(spec):
        encoder = load_encoder(spec=spec, device="cpu", threads=1)
        loads.append((spec.name, weakref.ref(encoder)))
        return encoder

    return EncoderShelf(load)


@pytest.fixture
def room(monkeypatch, loads):
    """Return a function that sets the machine's memory; what is alive takes its need off what is free."""

    def apply(total: float, unit: int) -> None:
        def free(spec, device):
            gc.collect()
            taken = sum(unit for _, alive in loads if alive() is not None)
            return MemoryCheck(unit, int(total * unit) - taken)

        monkeypatch.setattr(shelf_module, "check_memory", free)
        monkeypatch.setattr(HeldEncoder, "memory", unit)

    return apply


def alive(loads) -> set[str]:
    gc.collect()
    return {name for name, reference in loads if reference() is not None}


def test_an_encoder_is_loaded_once_whoever_asks(shelf, loads):
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: shelf.get("one"), range(8)))
    assert len(loads) == 1 and len({id(each) for each in held}) == 1
    assert shelf.peek("one") is held[0] and shelf.peek("two") is None


def test_what_it_tells_of_a_loaded_encoder(shelf, specs):
    held = shelf.get("one")
    assert (held.device, held.precision, held.backend) == ("cpu", "float32", "torch")
    assert held.memory == held.value.backend.model.get_memory_footprint()
    assert held.seconds > 0 and held.loaded_at.tzinfo is not None
    assert held.tokens == 0 and held.tokens_per_second is None
    with held.use() as encoder:
        assert held.busy
        encoder.embed(TEXTS, "ask")
        pieces = [piece for text in TEXTS for piece in encoder.pieces(text, "ask")]
        expected = sum(encoder.model_tokens(piece) for piece in pieces)
    assert not held.busy
    assert held.tokens == expected and held.tokens_per_second > 0


def test_what_several_threads_can_run_is_not_locked(specs, monkeypatch):
    monkeypatch.setattr(shelf_module, "get_spec", get_spec)
    held = EncoderShelf(lambda spec: load_encoder(spec=spec, threads=1)).get("minilm")
    texts = [f"- Sodium: {value} (low)" for value in range(100, 140)]
    expected = held.value.embed(texts)
    counted = held.tokens
    barrier = threading.Barrier(3)

    def work(_):
        with held.use(timeout_s=0.05) as encoder:
            barrier.wait(30)  # all three hold it at once
            assert held.busy
            return encoder.embed(texts)

    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(work, range(3)):
            np.testing.assert_array_equal(found, expected)
    assert not held.busy and held.tokens == 4 * counted


def test_one_session_computes_at_a_time_and_the_wait_ends(shelf):
    held = shelf.get("one")
    with held.use(), pytest.raises(MissingError, match="busy with other sessions"), held.use(timeout_s=0.05):
        pass
    with held.use(timeout_s=0.05):
        pass


def test_nothing_is_put_away_while_there_is_room(shelf, loads, room):
    room(3, 100)
    for name in ("one", "two", "three"):
        shelf.get(name)
    assert alive(loads) == {"one", "two", "three"}


def test_the_one_used_longest_ago_gives_way_when_memory_is_short(shelf, loads, room):
    room(2, 100)
    first, second = shelf.get("one"), shelf.get("two")
    with first.use():
        pass  # so "two" is the one used longest ago
    del first, second
    shelf.get("three")
    assert alive(loads) == {"one", "three"}
    assert [held.spec.name for held in shelf.held()] == ["three", "one"]
    shelf.get("two")  # loaded again
    assert [name for name, _ in loads] == ["one", "two", "three", "two"]


def test_a_session_keeps_what_it_has_in_hand(shelf, loads, room):
    """Put away while another session computes with it: that session ends well, then the memory comes back."""
    room(1, 100)
    held = shelf.get("one")
    expected = held.value.embed(TEXTS)
    inside, go_on, results = threading.Event(), threading.Event(), []

    def session(mine):
        with mine.use() as encoder:
            inside.set()
            assert go_on.wait(20)
            results.append(encoder.embed(TEXTS))

    thread = threading.Thread(target=session, args=(held,))
    thread.start()
    assert inside.wait(20)
    with pytest.raises(MissingError, match=r"two needs .* while other sessions use one; try again when they are done"):
        shelf.get("two")
    assert shelf.peek("one") is held, "a busy encoder stays on the shelf"
    shelf.put_away("one")
    go_on.set()
    thread.join()
    np.testing.assert_allclose(results[0], expected, atol=1e-6)
    del held, thread
    shelf.get("two")
    assert alive(loads) == {"two"}


def test_what_can_never_fit_drops_nothing_and_says_what_is_needed(shelf, loads, room, monkeypatch):
    room(2, 100)
    shelf.get("one")
    monkeypatch.setattr(shelf_module, "check_memory", lambda spec, device: MemoryCheck(16_000_000_000, 2_000_000_000))
    with pytest.raises(MissingError, match=r"two needs 16\.0 GB of memory and cpu has 2\.0 GB free; use a smaller"):
        shelf.get("two")
    assert alive(loads) == {"one"} and shelf.peek("one") is not None


def test_the_check_counts_what_would_give_way(shelf, specs, room):
    room(1, 100)
    assert shelf.check(specs["one"]).fits
    held = shelf.get("one")
    assert shelf.check(specs["two"]) == MemoryCheck(100, 100)
    with held.use():
        assert shelf.check(specs["two"]) == MemoryCheck(100, 0)


def test_a_failed_load_leaves_the_shelf_as_it_was(specs, loads):
    def load(spec):
        if spec.name == "two":
            raise MissingError("its weights are not here", "fetch them")
        return load_encoder(spec=spec, device="cpu", threads=1)

    shelf = EncoderShelf(load)
    shelf.get("one")
    for _ in range(2):  # the lock of loading is free again
        with pytest.raises(MissingError, match="not here"):
            shelf.get("two")
    assert [held.spec.name for held in shelf.held()] == ["one"]


def test_a_changed_entry_is_loaded_anew(shelf, specs, loads):
    shelf.get("one")
    specs["one"] = dataclasses.replace(specs["one"], max_tokens=64)
    assert shelf.peek("one") is None
    assert shelf.get("one").value.spec.max_tokens == 64
    assert len(loads) == 2 and len(shelf.held()) == 1


def test_needs_are_measured_against_this_machine(shelf, specs):
    check = shelf.check(specs["one"])
    assert check.needed == memory_needed(specs["one"], "cpu") and check.free > 10**8 and check.fits


def test_a_server_takes_no_memory_here_and_puts_nothing_away(shelf, specs, loads, monkeypatch):
    monkeypatch.setattr(shelf_module, "check_memory", lambda *_: pytest.fail("asked for memory"))
    monkeypatch.setattr(shelf, "_make_room", lambda spec: None)
    shelf.get("one")
    specs["server"] = get_spec("openai-compatible")
    servers = EncoderShelf(lambda spec: RemoteEncoder(spec, "http://127.0.0.1:9", "m"))
    servers._held = shelf._held
    held = servers.get("server")
    assert (held.device, held.precision, held.backend, held.memory) == ("server", "the server's", "server", 0)
    assert held.tokens == 0 and held.tokens_per_second is None
    assert alive(loads) == {"one"}
