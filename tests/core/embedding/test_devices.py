import pytest

from core.embedding import devices
from core.embedding.devices import device_of


def test_a_named_device_is_taken_as_it_is():
    assert [device_of(name) for name in ("cpu", "cuda:1", "mps")] == ["cpu", "cuda:1", "mps"]


def test_auto_is_the_cpu_without_importing_torch_where_torch_has_no_gpu_build(monkeypatch):
    monkeypatch.setattr(devices, "version", lambda name: "2.13.0+cpu")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # an import would fail
    assert device_of("auto") == "cpu"


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_is_the_gpu_where_there_is_one(monkeypatch, cuda, mps, expected):
    import torch

    monkeypatch.setattr(devices, "version", lambda name: "2.13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert device_of("auto") == expected
