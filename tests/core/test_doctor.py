"""The doctor looks at everything, and one failing look is a finding and not the end."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from core import doctor, exposure
from core.doctor import GOOD, LACKING, WRONG, check_all
from core.ehr.demo import generate_demo
from core.embedding.cache import EmbeddingCache
from core.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, datasets=[], heads=tmp_path / "heads")


def by_name(checks):
    return {check.name: check for check in checks}


def test_all_areas_are_looked_at(settings):
    areas = {check.area for check in check_all(settings)}
    assert areas == {"machine", "packages", "data", "encoders", "heads", "segmenters", "cache", "access"}


def test_what_is_missing_says_how_to_get_it(settings):
    found = by_name(check_all(settings))
    assert (found["demo"].state, found["demo"].fix.startswith("python -m core demo")) == (LACKING, True)
    assert (found["risk heads"].state, found["risk heads"].fix) == (LACKING, "make demo-heads")
    assert all(check.fix for check in found.values() if check.state != GOOD and check.name != "embedding cache")


def test_a_named_dataset_that_is_absent_is_wrong(tmp_path):
    settings = Settings(home=tmp_path, datasets=[tmp_path / "gone"])
    assert by_name(check_all(settings))["gone"].state == WRONG


@pytest.mark.parametrize("name", ["concepts", "features", "results", "models", "weights"])
def test_a_setting_that_names_nothing_is_wrong(settings, tmp_path, name):
    def state(path):
        setting = f"CHARTLIGHT_{name.upper()}"
        return by_name(check_all(settings.model_copy(update={name: path}))).get(setting)

    assert state(tmp_path / "gone").state == WRONG
    assert state(tmp_path) is None


def test_a_failing_look_is_a_finding(settings, monkeypatch):
    def fail(settings):
        raise RuntimeError("boom")
        yield

    monkeypatch.setattr(doctor, "_machine", fail)
    found = check_all(settings)
    assert by_name(found)["machine"].state == WRONG
    assert "minilm" in by_name(found)


def test_damaged_cache_is_wrong(settings):
    settings.cache_path.write_bytes(b"not a database, but long enough to be taken for one" * 50)
    assert by_name(check_all(settings))["embedding cache"].state == WRONG


def test_a_database_of_another_making_is_no_cache(settings):
    with sqlite3.connect(settings.cache_path) as other:
        other.execute("CREATE TABLE vectors (a)")
    assert by_name(check_all(settings))["embedding cache"].state == WRONG


def test_a_key_without_which_no_page_shows_a_subject_is_wrong(tmp_path):
    assert "Id key" not in by_name(doctor._access(Settings(home=tmp_path)))
    (tmp_path / "id.key").write_text("short")
    found = by_name(doctor._access(Settings(home=tmp_path)))["Id key"]
    assert (found.state, "damaged" in found.detail, bool(found.fix)) == (WRONG, True, True)
    (tmp_path / "id.key").write_text("a" * 64)
    assert by_name(doctor._access(Settings(home=tmp_path)))["Id key"].state == GOOD


@pytest.mark.parametrize("file", ["labels/guo_los/labels.parquet", "metadata/subject_splits.parquet"])
def test_a_dataset_with_a_damaged_file_beside_its_events_is_wrong(tmp_path, file):
    generate_demo(tmp_path / "demo", subjects=20)
    settings = Settings(home=tmp_path, datasets=[tmp_path / "demo"])
    assert by_name(doctor._datasets(settings))["demo"].state == GOOD
    (tmp_path / "demo" / file).write_bytes(b"cut short")
    found = by_name(doctor._datasets(settings))["demo"]
    assert (found.state, "cannot be read" in found.detail) == (WRONG, True)


def test_the_cache_is_looked_at_where_it_is_whatever_its_folder_is_called(tmp_path):
    """A name with # or ? in it once made the doctor look at, and leave, an empty file of another name."""
    home = tmp_path / "ward #1? 100%25"
    EmbeddingCache(home / "embeddings.sqlite", 10**6).close()
    (home / "embeddings.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 50)
    assert by_name(check_all(Settings(home=home, heads=tmp_path / "heads")))["embedding cache"].state == WRONG
    assert [path.name for path in tmp_path.iterdir()] == [home.name]


@pytest.mark.parametrize(
    ("address", "sign_in", "configured", "state"),
    [
        ("127.0.0.1", False, False, GOOD),
        ("0.0.0.0", False, True, WRONG),
        ("127.0.0.1", True, False, WRONG),
        ("0.0.0.0", True, True, GOOD),
    ],
)
def test_an_open_door_and_a_sign_in_that_nobody_passes_are_wrong(
    tmp_path, monkeypatch, address, sign_in, configured, state
):
    monkeypatch.setattr(exposure, "SECRETS", tmp_path / "secrets.toml")
    exposure.SECRETS.write_text("[auth]\nclient_id = 'x'" if configured else "[other]\nx = 1")
    found = by_name(doctor._access(Settings(home=tmp_path, address=address, sign_in=sign_in)))
    assert found["Sign-in"].state == state
    assert bool(found["Sign-in"].fix) == (state == WRONG)


def test_a_home_that_cannot_be_written_is_wrong(tmp_path, monkeypatch):
    """As root nothing is forbidden: the system's answer is made here."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    found = by_name(doctor._access(Settings(home=tmp_path / "not" / "there")))
    assert found["Home folder"].state == found["Audit log"].state == WRONG
    monkeypatch.undo()
    found = by_name(doctor._access(Settings(home=tmp_path / "not" / "there")))
    assert found["Home folder"].state == found["Audit log"].state == GOOD


def test_command_prints_json():
    done = subprocess.run([sys.executable, "-m", "core", "doctor", "--json"], capture_output=True, text=True)
    assert done.returncode in (0, 1)
    assert {"area", "name", "state", "detail", "fix"} == set(json.loads(done.stdout)[0])
