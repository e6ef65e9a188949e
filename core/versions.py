"""Versions of what made a result, for manifests and run records."""

import platform
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from core.settings import PROJECT_ROOT


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Chartlight, Python and the named packages ("not installed" where one is not)."""
    found = {"chartlight": own_version(), "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@lru_cache
def own_version() -> str:
    """Chartlight's version, from ``pyproject.toml``."""
    try:
        return str(tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
