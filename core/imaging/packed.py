"""Convolutions whose kernels lie in the order in which oneDNN computes.

For each call torch reorders a convolution's kernels, and for the deepest layers, with millions of weights and few
cells, that takes as long as the products. Here it is done once, for the forward pass and for the gradient by the
input, which of a convolution of stride 1 is the convolution with the turned kernels. Results are the same products in
another order of sums at most.
"""

from typing import Any

import torch
from torch import nn

LARGE = 2**18
"""Weights of a convolution from which packing pays."""

Pair = tuple[int, ...]


def pack_kernels(model: nn.Module) -> None:
    """Make the large plain convolutions of a frozen network on the CPU :class:`PackedConv2d`, in place.

    Only float32 ones of stride 1 and one group. Their weights are no parameters any more, as they are kept twice.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")):
        return
    for module in list(model.modules()):
        # a subclass pads or computes in a way of its own
        if type(module) is nn.Conv2d and _can_pack(module):
            _pack(module)


def _can_pack(module: nn.Conv2d) -> bool:
    plain = module.padding_mode == "zeros" and not isinstance(module.padding, str) and module.groups == 1
    if not plain or set(module.stride) != {1} or min(_rims(module)[1]) < 0:
        return False
    weight = module.weight
    return weight.numel() >= LARGE and weight.dtype == torch.float32 and weight.device.type == "cpu"


def _rims(module: nn.Conv2d) -> tuple[Pair, Pair]:
    """How far the input is padded to give the output, and the output's gradient to give the input's."""
    assert not isinstance(module.padding, str)
    sizes = zip(module.dilation, module.kernel_size, module.padding, strict=True)
    return tuple(module.padding), tuple(step * (length - 1) - rim for step, length, rim in sizes)


def _pack(module: nn.Conv2d) -> None:
    rims = _rims(module)
    with torch.inference_mode(False), torch.no_grad():  # or they could take no part in a graph
        turned = module.weight.flip(2, 3).transpose(0, 1).contiguous()
        both = zip((module.weight.detach(), turned), rims, strict=True)
        module.kernels = tuple(_packed(kernel, rim, module.dilation) for kernel, rim in both)  # type: ignore[assignment]
    module.rims = rims  # type: ignore[assignment]
    module.register_parameter("weight", None)
    module.__class__ = PackedConv2d


class PackedConv2d(nn.Conv2d):
    """``nn.Conv2d`` of stride 1 for frozen weights.

    Attributes:
        kernels: in oneDNN's order: the kernels, and the turned ones.
        rims: the padding that goes with each.
    """

    kernels: tuple[torch.Tensor, torch.Tensor]
    rims: tuple[Pair, Pair]

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve float32 (n, c, h, w)."""
        if torch.is_grad_enabled() and input.requires_grad:
            found: torch.Tensor = _Convolution.apply(input, self.bias, self.kernels, self.rims, self.dilation)
            return found
        return _convolve(input, self.kernels[0], self.bias, self.rims[0], self.dilation)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        bias: torch.Tensor | None,
        kernels: tuple[torch.Tensor, torch.Tensor],
        rims: tuple[Pair, Pair],
        dilation: Pair,
    ) -> torch.Tensor:
        ctx.kernel, ctx.rim, ctx.dilation = kernels[1], rims[1], dilation
        return _convolve(input, kernels[0], bias, rims[0], dilation)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _convolve(gradient, ctx.kernel, None, ctx.rim, ctx.dilation), None, None, None, None


def _packed(kernel: torch.Tensor, padding: Pair, dilation: Pair) -> torch.Tensor:
    packed: torch.Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(
        kernel.to_mkldnn(), list(padding), [1, 1], list(dilation), 1
    )
    return packed


def _convolve(
    values: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, padding: Pair, dilation: Pair
) -> torch.Tensor:
    # torch.mkldnn_convolution takes such kernels too, and reorders them again
    found: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
        values, kernel, bias, padding, (1, 1), dilation, 1, "none", [], ""
    )
    return found
