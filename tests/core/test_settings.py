"""Settings come from the environment, and docs/settings.md says what each is."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.settings import PROJECT_ROOT, Settings


def settings() -> Settings:
    return Settings(_env_file=None)


def test_datasets_are_split_at_commas(monkeypatch):
    monkeypatch.setenv("CHARTLIGHT_DATASETS", "/data/one, /data/two,")
    assert settings().dataset_paths == [Path("/data/one"), Path("/data/two")]


def test_the_demo_cohort_is_offered_where_no_dataset_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("CHARTLIGHT_DATASETS", raising=False)
    monkeypatch.setenv("CHARTLIGHT_HOME", str(tmp_path))
    assert settings().dataset_paths == [tmp_path / "demo"]
    assert settings().cache_path.parent == tmp_path


def test_secrets_are_not_printed(monkeypatch):
    monkeypatch.setenv("CHARTLIGHT_EMBEDDING_KEY", "hush-hush")
    monkeypatch.setenv("CHARTLIGHT_ID_KEY", "very-secret")
    assert "hush" not in repr(settings())
    assert "very-secret" not in repr(settings())


def test_a_wrong_value_is_refused(monkeypatch):
    monkeypatch.setenv("CHARTLIGHT_UPLOAD_MB", "-3")
    with pytest.raises(ValidationError, match="upload_mb"):
        settings()


def test_every_setting_is_documented_with_its_description():
    document = (PROJECT_ROOT / "docs" / "settings.md").read_text()
    rows = {line.split("`")[1]: line for line in document.splitlines() if line.startswith("| `CHARTLIGHT_")}
    expected = {f"CHARTLIGHT_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert set(rows) == set(expected)
    for name, field in expected.items():
        assert field.description and field.description in rows[name], f"{name}: run `python -m docs.settings`"
