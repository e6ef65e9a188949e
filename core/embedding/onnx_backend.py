"""BERT encoders on the CPU through ONNX Runtime, in float32: 1.3 to 2 times as fast as torch there.

The graph is exported from the safetensors weights at first use (about three seconds, the only time that torch is
needed) and kept in ``HOME/onnx``, named by the hashes of weights and configuration.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import onnxruntime

from core.embedding.batches import pad
from core.embedding.registry import EncoderSpec
from core.embedding.weights import Weights
from core.errors import ChartlightError
from core.files import replacing
from core.settings import get_settings

EXPORT = 1  # raise it when the exported graph changes
BUDGET = 256  # padded tokens of a batch; larger ones are no faster, and of one record's pieces a third is padding


def available_threads() -> int:
    """Threads that this process is to use: ``OMP_NUM_THREADS`` where it is set, else all cores that it may use."""
    if (wanted := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def waits_passively() -> bool:
    """Whether threads that wait are to sleep, as ``OMP_WAIT_POLICY`` says for those of OpenMP; the app sets it."""
    return os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE"


class OnnxBackend:
    """Masked mean over the last hidden state of a BERT model. Safe to call from several threads."""

    name = "onnxruntime"
    precision = "float32"
    device = "cpu"
    budget = BUDGET
    concurrent = True

    def __init__(self, spec: EncoderSpec, weights: Weights, threads: int | None = None):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if waits_passively():
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = _open(exported(spec, weights), options)
        except ChartlightError:
            raise
        except Exception:  # the library's errors have no common class; a damaged graph is exported again, once
            exported(spec, weights).unlink()
            self._session = _open(exported(spec, weights), options)
        self.memory = exported(spec, weights).stat().st_size  # the graph is little beside the weights in it

    def pooled(self, sequences: list[list[int]], prefixes: list[int]) -> np.ndarray:
        """Pooled vectors, float32 ``(n, dimension)``, of one batch of token ids; ``prefixes`` is not used."""
        ids, mask = pad(sequences, 0)
        return self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def _open(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def exported(spec: EncoderSpec, weights: Weights) -> Path:
    """The exported graph of these weights, made now if it is not there. Raises InputError when they do not load."""
    path = get_settings().home / "onnx" / f"{weights.sha256[:32]}-{weights.config_sha256[:8]}-v{EXPORT}.onnx"
    if not path.is_file():
        with replacing(path) as partial:
            _export(spec, weights.folder, partial)
    return path


def _export(spec: EncoderSpec, folder: Path, path: Path) -> None:
    import torch

    from core.embedding.torch_backend import read_model

    class MaskedMean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = read_model(spec, folder, torch.float32, "eager")

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return (hidden * kept).sum(1) / kept.sum(1)

    example = torch.ones(2, 16, dtype=torch.long)
    shape = {0: "batch", 1: "length"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracer remarks on branches that do not depend on the input
        torch.onnx.export(
            MaskedMean().eval(),
            (example, example),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["mean"],
            dynamic_axes={"input_ids": shape, "attention_mask": shape, "mean": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
