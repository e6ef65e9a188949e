"""torchvision imports beside a CPU build of torch, and the operators are declared only where they are missing."""

import subprocess
import sys
import types

import pytest
import torch

from core import torchvision_ops


def test_the_libraries_import_in_a_fresh_process():
    script = (
        "import core.torchvision_ops as ops, torchvision, transformers, timm, segmentation_models_pytorch as smp;"
        "from transformers import BertModel; print(ops.STATE)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() in {"native", "declared"}


def test_operators_are_declared_only_beside_a_cpu_torch():
    if torch.version.cuda is None:
        assert torchvision_ops.STATE == "declared"
    assert torchvision_ops.ensure_torchvision() == torchvision_ops.STATE


def test_any_other_failure_is_not_hidden(monkeypatch):
    def broken(name: str) -> types.ModuleType:
        raise RuntimeError("CUDA driver version is insufficient")

    monkeypatch.setattr(torchvision_ops.importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="driver"):
        torchvision_ops.ensure_torchvision()
