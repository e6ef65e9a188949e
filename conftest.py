"""Set-up of every test run: torchvision before anything that needs it, no network, data folder."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import pytest

import core.torchvision_ops  # noqa: F401
from pages.shared import garbage

SHARED_DATA = Path(os.environ.get("CHARTLIGHT_TEST_DATA", Path(__file__).resolve().parent.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, which is not part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder shared/data is not beside the repository (CHARTLIGHT_TEST_DATA names another)")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _settled() -> None:
    """As in the app, what libraries have built is not walked by every later collection: seconds in a full worker."""
    garbage.settle()
