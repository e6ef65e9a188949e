"""Whether an encoder fits into the memory of the device that it is meant for."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from core.embedding.registry import EncoderSpec

_ACTIVATIONS = 1.2  # weights times this: a batch of activations comes on top


@dataclass(frozen=True)
class MemoryCheck:
    """Memory that an encoder needs and that is free, in bytes; ``free`` is None where the device does not tell."""

    needed: int
    free: int | None

    @property
    def fits(self) -> bool:
        """Whether it fits, or may fit where that is not known."""
        return self.free is None or self.needed <= self.free


def check_memory(spec: EncoderSpec, device: str = "cpu") -> MemoryCheck:
    """Compare what an encoder needs on a device (``cpu``, ``cuda``, ``cuda:1``, ``mps``) with what is free there."""
    return MemoryCheck(memory_needed(spec, device), free_memory(device))


def memory_needed(spec: EncoderSpec, device: str = "cpu") -> int:
    """Bytes that weights and a batch take: float32 on the CPU, the encoder's dtype elsewhere."""
    each = 4 if device == "cpu" or spec.dtype == "float32" else 2
    return math.ceil(spec.parameters * each * _ACTIVATIONS)


def free_memory(device: str = "cpu") -> int | None:
    """Bytes free on a device; for the CPU what the machine and this process' control group have left."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(torch.device(device))[0]
    if device != "cpu":
        return None
    bounds = [bound for bound in (_available(), _group_left(Path("/sys/fs/cgroup"))) if bound is not None]
    return min(bounds, default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return None


def _group_left(folder: Path) -> int | None:
    try:
        limit = (folder / "memory.max").read_text().strip()
        return None if limit == "max" else max(0, int(limit) - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):
        return None
