import dataclasses

import pytest

from core.embedding import memory
from core.embedding.memory import check_memory, free_memory, memory_needed
from core.embedding.registry import get_spec
from core.embedding.torch_backend import load_model
from core.embedding.weights import find_weights
from core.errors import MissingError
from tests.core.embedding.tiny_models import tiny_spec


def test_needs_follow_from_parameters_and_precision():
    spec = get_spec("qwen3-embedding-8b")
    assert memory_needed(spec, "cpu") == pytest.approx(spec.parameters * 4 * 1.2, rel=1e-6)
    assert memory_needed(spec, "cuda:0") == pytest.approx(spec.parameters * 2 * 1.2, rel=1e-6)


def test_free_memory_of_the_cpu_is_bounded_by_the_control_group(tmp_path, monkeypatch):
    assert 10**8 < free_memory("cpu") < 10**14
    assert free_memory("mps") is None and check_memory(get_spec("minilm"), "mps").fits
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert memory._group_left(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._group_left(tmp_path) is None


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(tiny_folders):
    spec = dataclasses.replace(tiny_spec("qwen3", tiny_folders["qwen3"]), parameters=10**14)
    with pytest.raises(
        MissingError, match=r"needs 480000\.0 GB of memory and cpu has [\d.]+ GB free; use a smaller encoder"
    ):
        load_model(spec, find_weights(spec), "cpu")


def test_an_entry_without_a_number_of_parameters_is_counted_in_its_files(tiny_folders, tmp_path):
    from safetensors.torch import load_file

    spec = tiny_spec("qwen3", tiny_folders["qwen3"], parameters=0)
    tensors = load_file(tiny_folders["qwen3"] / "model.safetensors").values()
    assert memory_needed(spec, "cpu") == pytest.approx(sum(t.numel() for t in tensors) * 4 * 1.2, abs=1)
    assert memory_needed(dataclasses.replace(spec, source=f"folder:{tmp_path}")) == 0
    assert memory_needed(get_spec("openai-compatible")) == 0
