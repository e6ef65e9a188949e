"""Convolutions whose kernels lie in the order in which oneDNN computes.

For each call torch reorders a convolution's kernels, and for the deepest layers, with millions of weights and few
cells, that takes as long as the products. Here it is done once, for the forward pass and for the gradient by the
input, which of a convolution of stride 1 is the convolution with the turned kernels. Results are the same products in
another order of sums at most.
"""

from typing import Any, NamedTuple

import torch
from torch import nn

LARGE = 2**18
"""Weights of a convolution from which packing pays."""

Pair = tuple[int, ...]


def pack_kernels(model: nn.Module) -> None:
    """Make the large plain convolutions of a frozen network on the CPU :class:`PackedConv2d`, in place.

    Only float32 ones of stride 1 and one group. Their weights are no parameters any more, as they are kept twice.
    """
    for module in list(model.modules()):
        # a subclass pads or computes in a way of its own
        if type(module) is nn.Conv2d and (packed := pack_both_ways(module)):
            module.packed = packed  # type: ignore[assignment]
            module.register_parameter("weight", None)
            module.__class__ = PackedConv2d


class PackedKernel(NamedTuple):
    """A kernel in oneDNN's order, and how it is moved over a map."""

    kernel: torch.Tensor
    padding: Pair
    stride: Pair
    dilation: Pair

    def convolve(self, values: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Convolve float32 (n, c, h, w); takes no part in a graph."""
        # torch.mkldnn_convolution takes such kernels too, and reorders them again
        found: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            values, self.kernel, bias, self.padding, self.stride, self.dilation, 1, "none", [], ""
        )
        return found

    def convolve_transposed(self, values: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Convolve float32 (n, c, h, w) transposed, with a kernel that was packed for that."""
        found: torch.Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
            values, self.kernel, bias, self.padding, (0, 0), self.stride, self.dilation, 1, "none", [], ""
        )
        return found


def can_pack(weight: torch.Tensor) -> bool:
    """Whether kernels are such that packing pays and is possible."""
    known = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    fits = weight.dtype == torch.float32 and weight.device.type == "cpu" and not weight.requires_grad
    return known and fits and weight.numel() >= LARGE


def pack(
    weight: torch.Tensor, padding: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1), transposed: bool = False
) -> PackedKernel:
    """Kernels (k, c, height, width), for a transposed convolution (c, k, height, width), in oneDNN's order."""
    options = list(stride), list(dilation), 1
    with torch.inference_mode(False), torch.no_grad():  # or they could take no part in a graph
        if transposed:
            kernel = torch.ops.mkldnn._reorder_convolution_transpose_weight(weight, list(padding), [0, 0], *options)
        else:
            kernel = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), list(padding), *options)
    return PackedKernel(kernel, padding, stride, dilation)


def pack_both_ways(module: nn.Conv2d) -> tuple[PackedKernel, PackedKernel] | None:
    """The kernels of a convolution and of its gradient by the input; None where packing is impossible or useless."""
    if module.padding_mode != "zeros" or isinstance(module.padding, str) or module.groups != 1:
        return None
    sizes = zip(module.dilation, module.kernel_size, module.padding, strict=True)
    turned_padding = tuple(step * (length - 1) - rim for step, length, rim in sizes)
    if set(module.stride) != {1} or min(turned_padding) < 0 or not can_pack(module.weight):
        return None
    turned = module.weight.flip(2, 3).transpose(0, 1).contiguous()
    return (
        pack(module.weight.detach(), tuple(module.padding), dilation=module.dilation),
        pack(turned, turned_padding, dilation=module.dilation),
    )


class PackedConv2d(nn.Conv2d):
    """``nn.Conv2d`` of stride 1 for frozen weights.

    Attributes:
        packed: its kernels, and those of the gradient by the input.
    """

    packed: tuple[PackedKernel, PackedKernel]

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve float32 (n, c, h, w)."""
        if torch.is_grad_enabled() and input.requires_grad:
            found: torch.Tensor = _Convolution.apply(input, self.bias, *self.packed)
            return found
        return self.packed[0].convolve(input, self.bias)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: torch.Tensor, bias: torch.Tensor | None, forth: PackedKernel, back: PackedKernel
    ) -> torch.Tensor:
        ctx.back = back
        return forth.convolve(input, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.back.convolve(gradient), None, None, None
