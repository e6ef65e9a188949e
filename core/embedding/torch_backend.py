"""Encoders on torch: stock transformers classes, on the CPU or a GPU.

The three attention set-ups (reference: ehr-encoders.md 3.1 and 6):

* causal, last token (Qwen3-Embedding): padded on the right and read at the true last token. A token never sees what
  follows it, so the result is that of left padding, and no mask has to be made, which the fused kernels want.
* bidirectional decoder (GTE-Qwen2, LLM2Vec): the stock decoder class told not to be causal, in its configuration
  (the mask) and in its attention modules (the kernels' flag), without key-value cache.
* encoder (BERT, ModernBERT): as it is.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import core.torchvision_ops  # noqa: F401  isort: skip
import numpy as np
import torch
from transformers import AutoModel, PreTrainedModel
from transformers.utils import is_flash_attn_2_available, logging

from core.embedding.batches import halves, pad
from core.embedding.memory import check_memory, too_large
from core.embedding.registry import EncoderSpec
from core.embedding.weights import Weights
from core.errors import InputError, MissingError

CPU_BUDGET = 1024  # padded tokens of a batch
GPU_BUDGET = 32_768
_LAYER = re.compile(r"\blayers?\.\d+\.")


class TorchBackend:
    """One model on one device.

    Args:
        spec: the encoder.
        model: its model, on its device, see ``load_model``.
        compiled: compile the model with ``torch.compile`` (worth its minute only for long runs).
    """

    name = "torch"
    concurrent = False

    def __init__(self, spec: EncoderSpec, model: PreTrainedModel, compiled: bool = False):
        self.spec = spec
        self.model = model
        self._device = torch.device(model.device)
        self.device = str(self._device)
        self.precision = str(model.dtype).removeprefix("torch.")
        self.budget = CPU_BUDGET if self._device.type == "cpu" else GPU_BUDGET
        self.memory = sum(part.nbytes for part in (*model.parameters(), *model.buffers()))
        self._forward: Callable[..., Any] = torch.compile(model, dynamic=True) if compiled else model

    def pooled(self, sequences: list[list[int]], prefixes: list[int]) -> np.ndarray:
        """Pooled vectors, float32 ``(n, dimension)``, not normalised, of one batch of token ids.

        A batch that does not fit into the device's memory is halved until it does, and later ones are halved at once.
        ``prefixes`` counts the leading tokens that are left out of a ``text_mean``.
        """
        padded = len(sequences) * max(map(len, sequences))
        if len(sequences) == 1 or padded <= self.budget:
            try:
                return self._pooled(sequences, prefixes)
            except torch.OutOfMemoryError:
                if len(sequences) == 1:
                    raise MissingError(
                        f"a text of {padded:,} tokens does not fit into the memory of {self.device}",
                        "lower max_tokens of the encoder or use a device with more memory",
                    ) from None
            self.budget = min(self.budget, max(256, padded // 2))
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        parts = halves(np.arange(len(sequences)))
        return np.concatenate([self.pooled([sequences[i] for i in p], [prefixes[i] for i in p]) for p in parts])

    @torch.inference_mode()
    def _pooled(self, sequences: list[list[int]], prefixes: list[int]) -> np.ndarray:
        ids, mask = pad(sequences, 0)
        lengths: torch.Tensor = self._send(mask.sum(axis=1))
        masked = self.spec.attention == "bidirectional" and not mask.all()
        arguments: dict[str, Any] = {"input_ids": self._send(ids)}
        if masked:
            arguments["attention_mask"] = self._send(mask)
        if self.spec.architecture in ("qwen2", "qwen3", "llama"):
            arguments["use_cache"] = False
        hidden = self._forward(**arguments).last_hidden_state
        if self.spec.pooling == "last":
            out = hidden[torch.arange(len(sequences), device=self._device), lengths - 1].float()
        else:
            positions = torch.arange(ids.shape[1], device=self._device)
            kept = positions < lengths[:, None]
            if self.spec.pooling == "text_mean":
                kept &= positions >= self._send(np.asarray(prefixes, dtype=np.int64))[:, None]
            # A padded position may hold anything, NaN too: it is set to zero, not multiplied by zero.
            total = hidden.float().masked_fill(~kept.unsqueeze(-1), 0).sum(dim=1)
            out = total / kept.sum(dim=1, keepdim=True).clamp(min=1)
        return out.cpu().numpy()

    def _send(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)


def resolve_device(device: str) -> torch.device:
    """The torch device of a setting; ``auto`` is the first GPU, else the CPU. Raises InputError if it is not there."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {device!r} cannot be used", "set CHARTLIGHT_DEVICE=cpu or auto") from error
    return found


def load_model(spec: EncoderSpec, weights: Weights, device: str = "auto") -> PreTrainedModel:
    """Load an encoder's model: adapters merged, attention direction set, in evaluation mode on its device.

    The CPU computes in float32, a GPU in the encoder's dtype, with flash attention where that is installed.

    Raises InputError when the device does not exist or the weights do not fit the architecture, MissingError when they
    do not fit into the device's memory.
    """
    target = resolve_device(device)
    dtype = torch.float32 if target.type == "cpu" else getattr(torch, spec.dtype)
    memory = check_memory(spec, str(target))
    if not memory.fits:
        raise too_large(spec, memory, str(target))
    model = read_model(spec, weights.folder, dtype, attention_kernels(target, dtype))
    for adapter in weights.adapters:
        model = merge_adapter(spec, model, adapter)
    set_attention(model, spec.attention)
    try:
        return model.eval().requires_grad_(False).to(target)
    except torch.OutOfMemoryError:
        raise too_large(spec, check_memory(spec, str(target)), str(target)) from None


def attention_kernels(device: torch.device, dtype: torch.dtype) -> str:
    """Flash attention on a GPU in half precision where it is installed, else torch's own fused kernels."""
    flash = device.type == "cuda" and dtype != torch.float32 and is_flash_attn_2_available()
    return "flash_attention_2" if flash else "sdpa"


def read_model(spec: EncoderSpec, folder: Path, dtype: torch.dtype, kernels: str) -> PreTrainedModel:
    """The stock model of a weights folder on the CPU, every tensor of it read from safetensors.

    Raises InputError when the files do not give the model that the configuration describes: a tensor is missing (it
    would be random), has another shape, or belongs to a layer that the configuration does not have.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what it would report of missing tensors is an error below
    try:
        model, loading = AutoModel.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=kernels,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the weights of {spec.name} do not load ({reason})", "put the right weights there"
        ) from error
    if missing := [key for key in loading["missing_keys"] if "pooler" not in key]:
        raise InputError(
            f"the weights of {spec.name} lack {len(missing)} tensors, the first {sorted(missing)[0]}",
            "put the whole weights there",
        )
    if spare := [key for key in loading["unexpected_keys"] if _LAYER.search(key)]:
        raise InputError(
            f"the weights of {spec.name} have {len(spare)} tensors that its config.json knows nothing of, the first "
            f"{sorted(spare)[0]}",
            "put config.json and weights of one model there",
        )
    return model


def merge_adapter(spec: EncoderSpec, model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """Add a PEFT adapter's change to the weights. Raises InputError when it is not an adapter of this model."""
    from peft import PeftModel

    try:
        with warnings.catch_warnings():
            # Left as a warning, tensors of other names would be no change at all, and nobody would notice.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            return PeftModel.from_pretrained(model, adapter, local_files_only=True).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise InputError(
            f"the adapter {adapter.name} does not fit the weights of {spec.name} ({reason})",
            "put the adapter that its card names there",
        ) from error


def set_attention(model: PreTrainedModel, attention: str) -> None:
    """Make a decoder attend in both directions: its mask by the configuration, its kernels by the modules' flag."""
    if attention == "bidirectional":
        for part in (model.config, *model.modules()):
            if hasattr(part, "is_causal") or part is model.config:
                setattr(part, "is_causal", False)  # noqa: B010  declared by none of the classes
