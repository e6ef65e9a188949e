"""What the benchmark scripts share: interleaved timing, the machine's description, the result line."""

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


_VECTORS = {"avx512_bf16": "with AVX-512 and bfloat16", "avx512f": "with AVX-512", "avx2": "with AVX2"}
"""Flags of Linux from the widest down: processors of one name differ in them, and twofold in speed."""


def machine() -> str:
    """Describe this machine: processor and its vector instructions, cores, memory, GPU where there is one."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        flags = set(facts.get("flags", "").split())
        widest = next((name for flag, name in _VECTORS.items() if flag in flags), "")
        processor = " ".join(filter(None, (facts.get("model name", processor), widest)))
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    words = [processor, f"{len(os.sched_getaffinity(0))} cores", f"{memory:.0f} GiB"]
    try:
        import torch

        if torch.cuda.is_available():
            words.append(torch.cuda.get_device_name())
    except ImportError:
        pass
    return ", ".join(words)


def interleave(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run every case once a round, in turn and in alternating order; return seconds per case and round."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for round_index in range(rounds):
        names = list(cases) if round_index % 2 == 0 else list(reversed(cases))
        for name in names:
            gc.collect()
            start = time.perf_counter()
            cases[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def peak_memory_mib() -> float:
    """Peak resident memory of this process in MiB (Linux).

    Not ``ru_maxrss``: that of a fresh process is no less than what its parent had when it was started.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def report(
    claim: str,
    *,
    ours: float,
    peer: float,
    unit: str,
    ratio: float,
    target: str,
    met: bool,
    rounds: int,
    **more: object,
) -> None:
    """Print the result as one JSON line and keep it in benchmarks/results.

    Args:
        claim: name of the script, which is the name of the result file.
        ours: our median, in ``unit``.
        peer: the peer's median, in ``unit``.
        unit: unit of both.
        ratio: what the target speaks of, in words of ``target``.
        target: the target ("ratio <= 2.2").
        met: whether it was reached.
        rounds: interleaved rounds.
        more: further figures.
    """
    result = {
        "claim": claim,
        "ours": ours,
        "peer": peer,
        "unit": unit,
        "ratio": ratio,
        "target": target,
        "met": bool(met),
        "rounds": rounds,
        "machine": machine(),
        **more,
    }
    result = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in result.items()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{claim.split()[0]}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result), flush=True)


def report_within(claim: str, ours: float, target: float, *, unit: str = "s", rounds: int, **more: object) -> None:
    """Report seconds that have no peer: the target stands in its place, and the ratio is target / ours."""
    report(
        claim,
        ours=ours,
        peer=target,
        unit=unit,
        ratio=target / ours,
        target=f"<= {target} s",
        met=ours <= target,
        rounds=rounds,
        **more,
    )
