"""Whether an encoder fits into the memory of the device that it is meant for."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.embedding.registry import EncoderSpec
from core.embedding.weights import count_parameters
from core.errors import MissingError

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
    """Bytes that weights and a batch take: float32 on the CPU, the encoder's dtype elsewhere.

    An entry that does not name its number of parameters is counted in its files; 0 where those are not here.
    """
    each = 4 if device == "cpu" or spec.dtype == "float32" else 2
    return math.ceil((spec.parameters or count_parameters(spec)) * each * _ACTIVATIONS)


def too_large(spec: EncoderSpec, memory: MemoryCheck, device: str, busy: Sequence[str] = ()) -> MissingError:
    """The error for an encoder that does not fit: what it needs, what is free, and what to do.

    Args:
        spec: the encoder.
        memory: what it needs and what is free.
        device: where it was to go.
        busy: encoders that other sessions compute with now.
    """
    free = "" if memory.free is None else f" and {device} has {memory.free / 1e9:.1f} GB free"
    what = f"the encoder {spec.name} needs {memory.needed / 1e9:.1f} GB of memory{free}"
    if busy:
        return MissingError(
            f"{what} while other sessions use {', '.join(busy)}", "try again when they are done, or use a smaller one"
        )
    return MissingError(what, "use a smaller encoder, a device with more memory or an embeddings server")


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
