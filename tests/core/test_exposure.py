"""An address that others can reach is refused unless sign-in is on and configured."""

import pytest

from core import exposure
from core.errors import InputError, MissingError
from core.settings import Settings


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    monkeypatch.setattr(exposure, "SECRETS", tmp_path / "secrets.toml")
    return tmp_path / "secrets.toml"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_sign_in(address):
    exposure.refuse_open_door(address, Settings(sign_in=False))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.5", "192.168.1.4", "example.org", ""])
def test_other_addresses_are_refused_without_sign_in(address):
    with pytest.raises(InputError, match="nobody has to sign in"):
        exposure.refuse_open_door(address, Settings(sign_in=False))


@pytest.mark.parametrize("text", [None, "", "# [auth]\nother = 1", "[auth]\n", "[author]\nname = 'x'"])
def test_sign_in_without_a_provider_is_refused(secrets, text):
    if text is not None:
        secrets.write_text(text)
    with pytest.raises(MissingError, match="no identity provider"):
        exposure.refuse_open_door("0.0.0.0", Settings(sign_in=True))


@pytest.mark.parametrize("text", ["[auth]\nclient_id = 'x'", "[auth.keycloak]\nclient_id = 'x'"])
def test_sign_in_with_a_provider_is_let_through(secrets, text):
    secrets.write_text(text)
    exposure.refuse_open_door("0.0.0.0", Settings(sign_in=True))


@pytest.mark.parametrize("content", [b"[auth]\nkey = hush-hush", b"[auth]\nkey = '\xff'"])
def test_secrets_that_are_no_toml_are_named_and_not_quoted(secrets, content):
    secrets.write_bytes(content)
    with pytest.raises(InputError, match="not TOML in UTF-8") as refused:
        exposure.refuse_open_door("0.0.0.0", Settings(sign_in=True))
    assert "hush" not in str(refused.value)


def test_secrets_that_may_not_be_read_are_named(secrets, monkeypatch):
    secrets.write_text("[auth]")

    def refuse(self, **options):
        raise PermissionError(13, "Permission denied")  # the tests may run as root, who may read everything

    monkeypatch.setattr(type(secrets), "read_text", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        exposure.refuse_open_door("0.0.0.0", Settings(sign_in=True))
