"""Throughput of an encoder of Qwen3-Embedding-8B's shape on a GPU: tokens/s and share of the measured matmul rate.

The weights are random (nothing is downloaded): speed does not depend on them. The share is the model's floating point
operations per second over those of a large bfloat16 matrix product on the same device. Without a GPU it says so and
measures nothing; ``--smoke`` runs a tiny shape on any device to show that the script works.
"""

import argparse
import json
import sys
import time

import core.torchvision_ops  # noqa: F401  isort: skip
import numpy as np
import torch
from transformers import Qwen3Config, Qwen3Model

from benchmarks._common import machine, median, report
from core.embedding.memory import check_memory
from core.embedding.registry import get_spec
from core.embedding.torch_backend import TorchBackend, attention_kernels

TARGET = "share of the measured matmul rate >= 0.6"
SHAPE = {  # Qwen/Qwen3-Embedding-8B
    "vocab_size": 151_665,
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 32_768,
}
TINY = {"vocab_size": 1000, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
TINY |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class MatrixProduct:
    """A large square bfloat16 matrix product, the device's measured rate."""

    def __init__(self, device: torch.device, size: int):
        self.device, self.size = device, size
        self.a, self.b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def rate(self, times: int = 10) -> float:
        """Floating point operations per second over ``times`` products."""
        synchronise(self.device)
        start = time.perf_counter()
        for _ in range(times):
            self.a @ self.b
        synchronise(self.device)
        return times * 2 * self.size**3 / (time.perf_counter() - start)


def random_model(config: Qwen3Config, device: torch.device) -> Qwen3Model:
    """A model of random weights, made on the device in bfloat16: nothing passes through the machine's memory."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            return Qwen3Model(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def operations_per_token(config: Qwen3Config, tokens: int) -> float:
    """Floating point operations of a token: two for each weight of the layers, and the causal half of attention."""
    heads, groups, width = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    attention = config.hidden_size * width * (2 * heads + 2 * groups)
    layer = attention + 3 * config.hidden_size * config.intermediate_size
    return config.num_hidden_layers * (2 * layer + 2 * 2 * heads * width * tokens / 2)


def skip(reason: str) -> None:
    """Say in the result line why nothing is measured here, and end."""
    none = {"claim": "embedding_gpu", "ours": None, "peer": None, "unit": "TFLOP/s", "ratio": None, "rounds": 0}
    print(json.dumps({**none, "target": TARGET, "met": None, "machine": machine(), "reason": reason}))
    sys.exit(3)  # SKIPPED of benchmarks/__main__.py


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="tiny shape, any device, no result kept")
    args = parser.parse_args(arguments)
    spec = get_spec("qwen3-embedding-8b")
    if not args.smoke:
        if not torch.cuda.is_available():
            skip("no GPU here")
        memory = check_memory(spec, "cuda")
        if not memory.fits:
            skip(f"{memory.needed / 1e9:.0f} GB of GPU memory needed, {memory.free / 1e9:.0f} GB free")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kernels = attention_kernels(device, torch.bfloat16)
    config = Qwen3Config(**(TINY if args.smoke else SHAPE), attn_implementation=kernels)
    backend = TorchBackend(spec, random_model(config, device), args.compile)
    rows = 1 if args.smoke else max(1, backend.budget // args.tokens)
    sequences = np.random.default_rng(0).integers(0, config.vocab_size, (rows, args.tokens)).tolist()
    product = MatrixProduct(device, 256 if args.smoke else 8192)
    seconds, rates = [], []
    for number in range(
        2 + args.rounds
    ):  # two to warm up; model and product in turn, so that both meet the same clocks
        synchronise(device)
        start = time.perf_counter()
        vectors = backend.pooled(sequences, [0] * rows)  # ends with the vectors in the machine's memory
        elapsed, rate = time.perf_counter() - start, product.rate()
        if number >= 2:
            seconds.append(elapsed)
            rates.append(rate)
    assert np.isfinite(vectors).all()
    speed = rows * args.tokens / median(seconds)
    peak = median(rates)
    rate = speed * operations_per_token(config, args.tokens)
    if args.smoke:
        print(f"works on {device}: {speed:,.0f} tokens/s, {rate / peak:.0%} of the matmul rate")
        return
    report(
        "embedding_gpu",
        ours=rate / 1e12,
        peer=peak / 1e12,
        unit="TFLOP/s",
        ratio=rate / peak,
        target=TARGET,
        met=rate / peak >= 0.6,
        rounds=args.rounds,
        tokens_per_second=speed,
        tokens=args.tokens,
        batch=rows,
        dtype="bfloat16",
        attention=kernels,
        compiled=args.compile,
        device=torch.cuda.get_device_name(),
        memory_gb=torch.cuda.max_memory_allocated() / 1e9,
    )


if __name__ == "__main__":
    main()
