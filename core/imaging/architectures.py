"""Building a network from a segmenter folder's ``config.json``, and finding the layers it can be explained at.

Architectures come from an allow-list and are always built with ``encoder_weights=None`` and without a final
activation: the class name in a config never reaches ``getattr`` unchecked, no download starts, and maps are
taken from logits (softmax gradients vanish for a confident network).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import core.torchvision_ops  # noqa: F401  (before segmentation_models_pytorch)
from core.errors import InputError

ARCHITECTURES = (
    "Unet",
    "UnetPlusPlus",
    "MAnet",
    "Linknet",
    "FPN",
    "PSPNet",
    "DeepLabV3",
    "DeepLabV3Plus",
    "PAN",
    "UPerNet",
    "Segformer",
)
"""Classes of segmentation_models_pytorch that a config may name."""

CHECKPOINT_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""Name prefixes that data parallel, torch.compile, Lightning and common training loops put before parameters."""

CHECKPOINT_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Keys under which training loops keep the parameters inside a checkpoint."""

_DEPRECATED_TO_DROP = {"encoder_weights", "activation", "_model_class"}
_PIECEWISE_LINEAR_DECODERS = {"Unet", "UnetPlusPlus", "Linknet", "DeepLabV3", "DeepLabV3Plus"}
_PIECEWISE_LINEAR = (
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.LeakyReLU,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.Upsample,
    nn.UpsamplingBilinear2d,
    nn.UpsamplingNearest2d,
    nn.AdaptiveAvgPool2d,
    nn.AvgPool2d,
    nn.MaxPool2d,
)


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """Build the network that a ``config.json`` in the segmentation_models_pytorch layout describes.

    Args:
        config: ``_model_class`` (one of :data:`ARCHITECTURES`) and that class's arguments, such as
            ``encoder_name``, ``in_channels`` and ``classes``. ``activation`` and ``encoder_weights`` are ignored.

    Returns:
        The network in evaluation mode, with random weights, giving logits.

    Raises:
        InputError: the class is not allowed, or an argument is not understood by it.
    """
    import segmentation_models_pytorch as smp

    name = config.get("_model_class")
    if name not in ARCHITECTURES:
        raise InputError(
            f"config.json names the architecture {name!r}", f"use one of {', '.join(ARCHITECTURES)} as _model_class"
        )
    arguments = {key: value for key, value in config.items() if key not in _DEPRECATED_TO_DROP}
    for key in ("classes", "in_channels"):
        value = arguments.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 4096:
            raise InputError(f"config.json gives {key} = {value!r}", "give a whole number of at least 1")
    try:
        model = getattr(smp, name)(**arguments, encoder_weights=None, activation=None)
    except (TypeError, ValueError, KeyError, RuntimeError, AttributeError, AssertionError, IndexError) as error:
        raise InputError(
            f"config.json does not describe a {name}: {error}", "save the folder with the model's save_pretrained"
        ) from error
    return model.eval()


def unwrap_checkpoint(checkpoint: object) -> dict[str, torch.Tensor]:
    """Return the parameters inside a checkpoint, with the prefixes of common training loops stripped.

    A prefix is stripped only where every parameter has it, so that a network with a part of that name is safe.

    Raises:
        InputError: there are no parameters in it.
    """
    state = checkpoint
    for _ in range(3):
        if isinstance(state, Mapping) and not any(isinstance(value, torch.Tensor) for value in state.values()):
            state = next((state[key] for key in CHECKPOINT_WRAPPERS if isinstance(state.get(key), Mapping)), state)
    if not isinstance(state, Mapping) or not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError("the checkpoint holds no parameters", "save the model's state_dict, or use safetensors")
    tensors = {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    stripped = True
    while stripped and tensors:
        stripped = False
        for prefix in CHECKPOINT_PREFIXES:
            if all(key.startswith(prefix) for key in tensors):
                tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
                stripped = True
    return tensors


def load_parameters(model: nn.Module, parameters: Mapping[str, torch.Tensor]) -> None:
    """Copy parameters into the network; every name and shape has to fit.

    Extra entries beside the network's (a loss with weights, a metric's buffers) are accepted when all of the
    network's own are there under one common prefix.

    Raises:
        InputError: names or shapes differ, with the first few of each kind.
    """
    own = model.state_dict()
    given = dict(parameters)
    if not own.keys() <= given.keys():
        for prefix in CHECKPOINT_PREFIXES:
            inner = {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
            if own.keys() <= inner.keys():
                given = {key: inner[key] for key in own}
                break
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    missing = sorted(own.keys() - given.keys() - counters)
    surplus = sorted(given.keys() - own.keys())
    reshaped = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & given.keys())
        if given[key].shape != own[key].shape
    ]
    parts = []
    for label, names in (("missing", missing), ("unknown", surplus), ("other shape", reshaped)):
        if names:
            parts.append(
                f"{label}: {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            )
    if parts:
        raise InputError(
            f"the weights do not fit config.json ({'; '.join(parts)})",
            "check encoder_name, classes, in_channels and decoder_channels in config.json",
        )
    if any(not torch.isfinite(value).all() for value in given.values() if value.is_floating_point()):
        raise InputError(
            "the weights hold values that are not finite", "save the model again from a healthy checkpoint"
        )
    model.load_state_dict({**{key: own[key] for key in counters}, **given})


def strip_activation(model: nn.Module) -> nn.Module | None:
    """Replace a final softmax or sigmoid of the network by the identity, so that it gives logits.

    Handles segmentation_models_pytorch heads and any network whose last child (at any depth) is the activation.
    An activation inside ``forward`` cannot be seen here; :func:`core.imaging.cams.explain` refuses such outputs.

    Returns:
        The activation, or None where there was none.
    """
    head = getattr(model, "segmentation_head", None)
    parent: nn.Module = head if isinstance(head, nn.Module) else model
    while True:
        children = list(parent.named_children())
        if not children:
            return None
        name, last = children[-1]
        if isinstance(last, nn.Softmax | nn.Softmax2d | nn.LogSoftmax | nn.Sigmoid | nn.LogSigmoid):
            setattr(parent, name, nn.Identity())
            return last
        parent = last


def first_output(output: object) -> torch.Tensor:
    """Return the segmentation logits ``(n, C, H, W)`` of a network that may return a tuple, list or dict.

    Raises:
        InputError: there is no 4-D tensor in the output.
    """
    candidates: Sequence[object] = [output]
    if isinstance(output, Mapping):
        candidates = [output[key] for key in ("out", "logits", "masks") if key in output] or list(output.values())
    elif isinstance(output, list | tuple):
        candidates = output
    for candidate in candidates:
        if isinstance(candidate, torch.Tensor) and candidate.ndim == 4:
            return candidate
    raise InputError("the network gives no map per class", "use a segmentation network with an (n, C, H, W) output")


def output_stride(model: nn.Module) -> int:
    """Return the number that both sides of the network's input have to divide by."""
    return int(getattr(getattr(model, "encoder", None), "output_stride", 32))


@dataclass(frozen=True)
class LayerPlan:
    """The layers of one network that maps can be taken from.

    Attributes:
        layers: module path -> (channels, stride), in the order in which they are computed.
        minimum_side: the smallest input side that the network takes, in pixels.
    """

    layers: dict[str, tuple[int, int]]
    minimum_side: int


def explainable_layers(model: nn.Module, in_channels: int) -> LayerPlan:
    """Find the block outputs that maps can be taken from, by one small forward pass.

    These are the modules that give the encoder's features, and the decoder's blocks. Left out are modules whose
    output is changed in place afterwards (a batch norm before an in-place ReLU): there the stored activation is
    the one after the ReLU while its gradient is the one before, and the map is wrong without any error. Where
    several modules give the very same tensor (a stage and its last block), the outermost stands for it.

    Args:
        model: the network, in evaluation mode; it is left as it was.
        in_channels: channels of its input.

    Raises:
        InputError: the network cannot be run on an image.
    """
    stride = output_stride(model)
    failure: Exception | None = None
    for side in sorted({2 * stride, 64, 128, 256}):
        try:
            found = _probe(model, in_channels, side)
        except (RuntimeError, ValueError) as error:  # a pyramid's pooling needs more than this side gives
            failure = error
            continue
        return LayerPlan(found, stride if failure is None else side)
    raise InputError(f"the network cannot be run on an image: {failure}", "check in_channels and the encoder's depth")


def _probe(model: nn.Module, in_channels: int, side: int) -> dict[str, tuple[int, int]]:
    outputs: dict[str, torch.Tensor] = {}
    versions: dict[str, int] = {}
    repeated: set[str] = set()
    features: list[torch.Tensor] = []
    handles = []

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if name in outputs:
                repeated.add(name)
            elif isinstance(output, torch.Tensor) and output.ndim == 4 and min(output.shape[-2:]) > 1:
                outputs[name] = output
                versions[name] = output._version

        return hook

    def keep_features(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, list | tuple):
            features.extend(item for item in output if isinstance(item, torch.Tensor))

    parameter = next(model.parameters())
    try:
        for name, module in _candidates(model).items():
            handles.append(module.register_forward_hook(keep(name)))
        if isinstance(encoder := getattr(model, "encoder", None), nn.Module):
            handles.append(encoder.register_forward_hook(keep_features))
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(1, in_channels, side, side, generator=generator).to(parameter)
        with torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()

    chosen: list[str] = []
    for name, output in outputs.items():
        if name in repeated or output._version != versions[name] or output is image:
            continue
        if name.startswith("encoder.") and features and not any(output is feature for feature in features):
            continue
        same = next((other for other in chosen if outputs[other] is output), None)
        if same is None:
            chosen.append(name)
        elif same.startswith(name + "."):
            chosen[chosen.index(same)] = name
    return {name: (outputs[name].shape[1], max(1, round(side / outputs[name].shape[-1]))) for name in chosen}


def _candidates(model: nn.Module) -> dict[str, nn.Module]:
    """Modules that may give block outputs: everything of the encoder, the decoder's blocks, or all children."""
    if not hasattr(model, "encoder") or not hasattr(model, "decoder"):
        return {name: module for name, module in model.named_children() if name != "segmentation_head"}
    encoder = model.get_submodule("encoder")
    candidates = {f"encoder.{name}": module for name, module in encoder.named_modules() if name}

    def blocks(prefix: str, parent: nn.Module) -> None:
        for name, child in parent.named_children():
            if isinstance(child, nn.ModuleList | nn.ModuleDict):
                blocks(f"{prefix}.{name}", child)
            elif not _is_part_of_a_block(child, parent):
                candidates[f"{prefix}.{name}"] = child

    blocks("decoder", model.get_submodule("decoder"))
    return candidates


def _is_part_of_a_block(child: nn.Module, parent: nn.Module) -> bool:
    """A bare convolution or norm that its parent follows by the rest of the block (DeepLabV3's decoder)."""
    norms = (nn.BatchNorm2d, nn.GroupNorm)
    return isinstance(child, norms) or (
        isinstance(child, nn.Conv2d) and any(isinstance(sibling, norms) for sibling in parent.children())
    )


def is_piecewise_linear(model: nn.Module) -> bool:
    """Whether all that follows the encoder's features is piecewise linear.

    Then S = sum over the decoder's inputs of <dS/dF, F> + the biases' part, exactly, and an input's share of S
    means something. Gates (attention), group norm and smooth activations break the identity.
    """
    if type(model).__name__ not in _PIECEWISE_LINEAR_DECODERS:
        return False
    parts = (model.get_submodule("decoder"), model.get_submodule("segmentation_head"))
    return all(
        isinstance(module, _PIECEWISE_LINEAR)
        for part in parts
        for module in part.modules()
        if not list(module.children()) and type(module).__module__.startswith("torch.nn")
    )
