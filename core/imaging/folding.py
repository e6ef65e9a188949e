"""A faster copy of a network: batch norms folded into the convolutions before them.

In evaluation mode a batch norm is a fixed scale and shift per channel, which the convolution can carry. Results
differ by rounding alone; that is checked on every copy, and one that differs is thrown away.
"""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.errors import InputError
from core.imaging.architectures import first_output


def fold_batch_norms(model: nn.Module, in_channels: int, side: int = 64, tolerance: float = 1e-4) -> nn.Module:
    """Copy a network and fold each batch norm that directly follows a convolution.

    Pairs are found by one forward pass: a batch norm whose input is the very tensor that a convolution gave. The
    copy is compared with the network on that input; where they differ by more than ``tolerance`` of the largest
    logit (a convolution whose output is used twice), the plain copy is returned.

    Raises:
        InputError: the network is in training mode.
    """
    if model.training:
        raise InputError("the network is in training mode", "call model.eval() first")
    plain = copy.deepcopy(model).requires_grad_(False)
    side = max(side, 2 * int(getattr(getattr(model, "encoder", None), "output_stride", 32)))
    parameter = next(plain.parameters())
    image = torch.rand(1, in_channels, side, side, generator=torch.Generator().manual_seed(1)).to(parameter)
    made: dict[int, tuple[str, torch.Tensor]] = {}
    pairs: list[tuple[str, str]] = []
    handles = []
    for name, module in plain.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(
                module.register_forward_hook(
                    lambda _m, _i, output, name=name: made.__setitem__(id(output), (name, output))
                )
            )
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(
                module.register_forward_pre_hook(
                    lambda _m, inputs, name=name: (
                        pairs.append((made[id(inputs[0])][0], name)) if id(inputs[0]) in made else None
                    )
                )
            )
    try:
        with torch.no_grad():
            expected = first_output(plain(image))
    except RuntimeError:  # too small an image for this network: it is used as it is
        return plain
    finally:
        for handle in handles:
            handle.remove()
    made.clear()
    folded = copy.deepcopy(plain)
    convolutions = [name for name, _ in pairs]
    for conv_name, norm_name in pairs:
        if convolutions.count(conv_name) == 1 and [norm for _, norm in pairs].count(norm_name) == 1:
            conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            if norm.running_mean is not None:
                _replace(folded, conv_name, fuse_conv_bn_eval(conv, norm))
                _replace(folded, norm_name, _after(norm))
    folded.requires_grad_(False)
    if image.device.type == "cpu":
        folded = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lag
    with torch.no_grad():
        difference = (first_output(folded(image)) - expected).abs().max()
    scale = expected.abs().max().clamp(min=1e-12)
    return folded if bool(difference <= tolerance * scale) else plain


def _after(norm: nn.BatchNorm2d) -> nn.Module:
    """What remains of a norm once its scale and shift are in the convolution; timm's norms carry an activation."""
    if not (hasattr(norm, "act") and hasattr(norm, "drop")):
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
