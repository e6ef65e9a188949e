"""benchmarks/embedding_gpu.py without a GPU: it says so, its tiny shape runs, and it counts operations rightly."""

import json

import core.torchvision_ops  # noqa: F401  isort: skip
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3Model

from benchmarks import _common, embedding_gpu
from core.embedding.memory import MemoryCheck
from core.embedding.registry import get_spec


def test_the_tiny_shape_runs_on_the_cpu_and_keeps_no_result(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(_common, "RESULTS", tmp_path / "results")
    embedding_gpu.main(["--smoke", "--tokens", "48", "--rounds", "2"])
    out = capsys.readouterr().out
    assert out.startswith("works on cpu: ") and "of the matmul rate" in out
    assert not (tmp_path / "results").exists()
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(("gpu", "reason"), [(False, "no GPU here"), (True, "18 GB of GPU memory needed, 8 GB free")])
def test_where_it_cannot_measure_it_says_why_and_counts_as_skipped(capsys, monkeypatch, gpu, reason):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(embedding_gpu, "check_memory", lambda *_: MemoryCheck(18_160_000_000, 8_000_000_000))
    monkeypatch.setattr(embedding_gpu, "machine", lambda: "a machine")
    with pytest.raises(SystemExit) as ended:
        embedding_gpu.main([])
    assert ended.value.code == 3
    line = json.loads(capsys.readouterr().out)
    assert line["claim"] == "embedding_gpu" and line["met"] is None and line["reason"] == reason


def test_operations_are_those_that_torch_counts():
    """Torch counts attention in full; a causal kernel computes half of it, and so does the benchmark."""
    config = Qwen3Config(**embedding_gpu.TINY, attn_implementation="eager")
    tokens = 40
    model = Qwen3Model(config).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=torch.zeros(1, tokens, dtype=torch.long), use_cache=False)
    attention = config.num_hidden_layers * 4 * config.num_attention_heads * config.head_dim * tokens * tokens
    assert tokens * embedding_gpu.operations_per_token(config, tokens) == counter.get_total_flops() - attention / 2


def test_the_shape_is_the_published_one():
    with torch.device("meta"):
        model = Qwen3Model(Qwen3Config(**embedding_gpu.SHAPE))
    assert sum(parameter.numel() for parameter in model.parameters()) == get_spec("qwen3-embedding-8b").parameters


def test_random_weights_are_made_in_bfloat16_where_they_are_used():
    with torch.device("cpu"):
        model = embedding_gpu.random_model(Qwen3Config(**embedding_gpu.TINY), torch.device("cpu"))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.rotary_emb.inv_freq.dtype == torch.float32  # positions need more digits than bfloat16 has
