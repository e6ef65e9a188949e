from pathlib import Path

import pytest

from tests.core.embedding.tiny_models import FAMILIES, build


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory) -> dict[str, Path]:
    """Folder of the tiny model by family."""
    root = tmp_path_factory.mktemp("tiny")
    return {family: build(family, root / family) for family in FAMILIES}
