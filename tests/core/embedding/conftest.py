from pathlib import Path

import pytest
import torch

from tests.core.embedding.tiny_models import FAMILIES, build


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory) -> dict[str, Path]:
    """Folder of the tiny model by family. Such models are slower on several threads than on one."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("tiny")
    return {family: build(family, root / family) for family in FAMILIES}
