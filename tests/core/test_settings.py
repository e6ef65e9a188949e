"""Settings come from the environment, and docs/settings.md says what each is."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.errors import InputError
from core.settings import PROJECT_ROOT, Settings, get_settings


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


@pytest.fixture
def fresh():
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("IDLE_MINUTES", "hush-hush"), ("SIGN_IN", "perhaps-hush")]
)
def test_a_wrong_value_is_one_sentence_with_the_name_and_without_the_value(monkeypatch, fresh, name, value):
    monkeypatch.setenv(f"CHARTLIGHT_{name}", value)
    with pytest.raises(InputError, match=f"CHARTLIGHT_{name}: ") as refused:
        get_settings()
    assert value not in str(refused.value)


def test_all_wrong_values_are_named_at_once(monkeypatch, fresh):
    monkeypatch.setenv("CHARTLIGHT_PORT", "eighty")
    monkeypatch.setenv("CHARTLIGHT_UPLOAD_MB", "-3")
    with pytest.raises(InputError, match=r"CHARTLIGHT_PORT: .*CHARTLIGHT_UPLOAD_MB: "):
        get_settings()


def test_an_env_file_that_is_no_text_is_one_sentence(tmp_path, monkeypatch, fresh):
    (tmp_path / ".env").write_bytes("CHARTLIGHT_HOME=/data/klinik-\xe4".encode("latin-1"))
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    with pytest.raises(InputError, match=r"^\.env cannot be read: it is not UTF-8 text; save it as UTF-8"):
        get_settings()


def test_an_empty_variable_is_as_none(monkeypatch):
    for name in ("PORT", "CONCEPTS", "DATASETS", "SIGN_IN", "HOME"):
        monkeypatch.setenv(f"CHARTLIGHT_{name}", "")
    assert (settings().port, settings().concepts, settings().datasets, settings().sign_in) == (8501, None, [], False)
    assert settings().home == PROJECT_ROOT / ".chartlight"


def test_every_setting_is_documented_with_its_description():
    document = (PROJECT_ROOT / "docs" / "settings.md").read_text()
    rows = {line.split("`")[1]: line for line in document.splitlines() if line.startswith("| `CHARTLIGHT_")}
    expected = {f"CHARTLIGHT_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert set(rows) == set(expected)
    for name, field in expected.items():
        assert field.description and field.description in rows[name], f"{name}: run `python -m docs.settings`"


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("CHARTLIGHT_DATASETS", "~/one, /two/~")
    monkeypatch.setenv("CHARTLIGHT_WEIGHTS", "~/weights")
    settings = Settings(_env_file=None)
    assert settings.datasets == [Path("/home/someone/one"), Path("/two/~")]
    assert settings.weights == Path("/home/someone/weights")
