"""Who can reach the dashboard: an address that others can reach needs sign-in, and sign-in needs a provider."""

import ipaddress
import tomllib

from core.errors import InputError, MissingError
from core.settings import PROJECT_ROOT, Settings

SECRETS = PROJECT_ROOT / ".streamlit" / "secrets.toml"


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach ``address``; an empty one stands for all addresses."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_door(address: str, settings: Settings) -> None:
    """Refuse an address that others can reach unless sign-in is on and configured.

    Raises:
        InputError: sign-in is off, or its configuration cannot be read.
        MissingError: no identity provider is configured.
    """
    if is_loopback(address):
        return
    if not settings.sign_in:
        raise InputError(
            f"the address {address or '0.0.0.0'} can be reached from other machines and nobody has to sign in",
            "bind to 127.0.0.1, or set CHARTLIGHT_SIGN_IN=true and configure [auth] in .streamlit/secrets.toml",
        )
    require_provider()


def require_provider() -> None:
    """Refuse a sign-in that nobody could pass.

    Raises:
        InputError: secrets.toml cannot be read.
        MissingError: it is not there, or has no section ``[auth]``.
    """
    try:
        text = SECRETS.read_text(encoding="utf-8") if SECRETS.is_file() else ""
        configured = tomllib.loads(text).get("auth")
    except OSError as error:
        raise InputError(
            f"sign-in is on and {SECRETS} cannot be read ({error.strerror})",
            "give it to the user that serves: in a container, chown 10001",
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML; what Python says of it may quote a secret
        raise InputError(
            f"sign-in is on and {SECRETS} cannot be read: it is not TOML in UTF-8",
            "write it as docs/sign-in.md shows",
        ) from error
    if not configured:
        raise MissingError(
            "sign-in is on and no identity provider is configured",
            "write the [auth] section of .streamlit/secrets.toml as docs/sign-in.md shows",
        )
