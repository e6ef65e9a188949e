"""The doctor looks at everything, and one failing look is a finding and not the end."""

import json
import subprocess
import sys

import pytest

from core import doctor
from core.doctor import GOOD, LACKING, WRONG, check_all
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


def test_command_prints_json():
    done = subprocess.run([sys.executable, "-m", "core", "doctor", "--json"], capture_output=True, text=True)
    assert done.returncode in (0, 1)
    assert {"area", "name", "state", "detail", "fix"} == set(json.loads(done.stdout)[0])
