"""Pseudonymous subject ids by a keyed hash.

The key stays on this machine (CHARTLIGHT_ID_KEY, or a random one kept in HOME/id.key), so a pseudonym cannot be
turned back into an id by hashing all ids, and two installations give one subject different pseudonyms.
"""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from core.errors import InputError
from core.settings import Settings

PREFIX = "P-"
SHORTEST = 16
"""Characters that a key has at least."""
_CHARACTERS = 10  # 50 bits: a collision among 100,000 subjects has a chance of about 1 in 200,000


def load_key(settings: Settings) -> bytes:
    """Return the secret key, making and keeping a random one the first time.

    Raises:
        InputError: the key is shorter than 16 characters, or the kept one cannot be read.
    """
    if settings.id_key:
        if len(settings.id_key) < SHORTEST:
            raise InputError("CHARTLIGHT_ID_KEY is shorter than 16 characters", "set a longer secret")
        return settings.id_key.encode()
    path = settings.home / "id.key"
    try:
        if not path.exists():
            _keep(path, secrets.token_hex(32))
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputError(
            f"the id key {path.name} cannot be read ({error.strerror})", "check CHARTLIGHT_HOME"
        ) from error
    if len(key) < SHORTEST:  # anybody could try out so short a key on all ids
        raise InputError(
            f"the id key {path.name} is damaged: shorter than {SHORTEST} characters",
            "put back the copy that you have of it, or delete it: pseudonyms then begin anew",
        )
    return key


def _keep(path: Path, key: str) -> None:
    """Write the key whole or not at all; where another process was first, leave its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def pseudonym(subject_id: int, key: bytes) -> str:
    """Return the pseudonym of a subject, such as ``P-K7Q2M4XW3A``: HMAC-SHA256 of the id, shortened."""
    digest = hmac.new(key, str(int(subject_id)).encode(), hashlib.sha256).digest()
    return PREFIX + base64.b32encode(digest).decode()[:_CHARACTERS]
