"""Page tests run the app as a user meets it: `app.py` through AppTest, settings from the environment."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.settings import get_settings
from tests.pages import cohort

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60
"""Seconds: the first page of a process imports Polars, Plotly and the tokenizer."""


@pytest.fixture(scope="session")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort.write(tmp_path_factory.mktemp("data") / "cohort")


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cohort.write_empty(tmp_path_factory.mktemp("data") / "empty")


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of exported encoders, one for all tests: an export takes seconds and depends on the weights alone."""
    return tmp_path_factory.mktemp("onnx")


@pytest.fixture
def settings_of(tmp_path: Path, graphs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets CHARTLIGHT_* variables for this test."""

    def apply(**values: object) -> None:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        if not (home / "onnx").exists():
            (home / "onnx").symlink_to(graphs)
        monkeypatch.setenv("CHARTLIGHT_HOME", str(home))
        for name, value in values.items():
            monkeypatch.setenv(f"CHARTLIGHT_{name.upper()}", str(value))
        get_settings.cache_clear()
        st.cache_resource.clear()
        st.cache_data.clear()

    yield apply
    monkeypatch.undo()
    get_settings.cache_clear()
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def open_page(settings_of: Callable[..., None], cohort_folder: Path) -> Callable[..., AppTest]:
    """Return a function that opens a page of the app with query parameters, on the test cohort by default."""

    def open_(script: str, datasets: object = cohort_folder, query: dict | None = None, **settings: object) -> AppTest:
        settings_of(datasets=datasets, **settings)
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
        app.run()
        for name, value in (query or {}).items():
            app.query_params[name] = value
        return app.switch_page(script).run()

    return open_


def shown(app: AppTest) -> str:
    """Return all text of a page's main area, for looking things up in it."""
    parts = [element.value for kind in ("markdown", "caption", "code", "text") for element in app.get(kind)]
    return "\n".join(str(part) for part in parts)
