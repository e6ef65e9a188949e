"""The collector does not walk the libraries after each run, and still finds what sessions leave behind."""

import gc
import sys
import tomllib
import types
import weakref
from pathlib import Path

import pytest

from pages.shared import garbage

CONFIG = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"


class Knot:
    """An object that keeps itself alive."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def collector(monkeypatch):
    monkeypatch.setattr(garbage, "_known", 0)
    gc.unfreeze()  # what a page of another test in this process has set aside
    gc.collect()
    yield
    gc.unfreeze()
    for name in [name for name in sys.modules if name.startswith("_made_up_")]:
        del sys.modules[name]


def test_no_full_collection_is_asked_for_after_a_run():
    assert tomllib.loads(CONFIG.read_text())["runner"]["postScriptGC"] is False
    from streamlit import config

    assert config.get_option("runner.postScriptGC") in (True, False)  # the option is still called so


def test_what_libraries_built_is_set_aside_once(collector):
    before = gc.get_freeze_count()
    garbage.settle()
    first = gc.get_freeze_count()
    assert first > before + 10_000
    kept = [Knot() for _ in range(100)]
    garbage.settle()
    assert abs(gc.get_freeze_count() - first) < len(kept)  # nothing new was loaded: what sessions hold stays in sight


def test_another_library_is_set_aside_too(collector):
    garbage.settle()
    first = gc.get_freeze_count()
    for number in range(garbage.MODULES):
        module = types.ModuleType(f"_made_up_{number}")
        module.table = [{"row": i} for i in range(100)]
        sys.modules[module.__name__] = module
    garbage.settle()
    assert gc.get_freeze_count() > first + garbage.MODULES


def test_garbage_of_before_and_after_is_collected(collector):
    before = weakref.ref(Knot())
    assert before() is not None
    garbage.settle()
    assert before() is None
    after = weakref.ref(Knot())
    gc.collect()
    assert after() is None
