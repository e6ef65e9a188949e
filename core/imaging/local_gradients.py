"""Convolutions whose backward pass computes only where the gradient is not zero.

The gradient of S, a sum over the region M, is zero outside of M at the output and outside of M's surroundings in the
decoder. For a small M the decoder's backward pass, at the highest resolutions, is then mostly products with zero. The
result is the full one but for the order of sums.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.grad import conv2d_input

from core.imaging.packed import PackedKernel, pack_both_ways

WORTH = 0.7  # share of the map that the gradient's box may cover for cutting it out to pay
BUSY = 10  # k c / (k + c), the work of a convolution for each value read and written, from which looking pays


def localize_gradients(model: nn.Module) -> None:
    """Make the plain 2-d convolutions of ``model`` behind its encoder :class:`LocalConv2d`, in place.

    Encoders are left out: through the deepest layers each pixel depends on nearly all of the encoder's cells. So are
    convolutions of so few channels that to look for zeros costs what it saves.
    """
    for name, module in model.named_modules():
        # a subclass pads or computes in a way of its own
        plain = type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        if plain and not name.startswith("encoder.") and is_busy(*module.weight.shape[:2]):
            module.packed = pack_both_ways(module)  # type: ignore[assignment]
            module.__class__ = LocalConv2d


def is_busy(outputs: int, inputs: int) -> bool:
    """Whether a convolution has so many channels that to look for zeros in its gradient pays."""
    return outputs * inputs >= BUSY * (outputs + inputs)


class LocalConv2d(nn.Conv2d):
    """``nn.Conv2d`` for frozen weights, with a local backward pass.

    Attributes:
        packed: large kernels as :mod:`core.imaging.packed` has them, for what is not local; None for others.
    """

    packed: tuple[PackedKernel, PackedKernel] | None

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve (n, c, h, w)."""
        frozen = not (self.weight.requires_grad or (self.bias is not None and self.bias.requires_grad))
        if torch.is_grad_enabled() and input.requires_grad and frozen and input.ndim == 4:
            options = (self.stride, self.padding, self.dilation, self.groups)
            return _Convolution.apply(input, self.weight, self.bias, options, self.packed)
        return self.packed[0].convolve(input, self.bias) if self.packed and frozen else super().forward(input)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        options: tuple[Any, ...],
        packed: tuple[PackedKernel, PackedKernel] | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.options, ctx.packed = input.shape, options, packed
        return packed[0].convolve(input, bias) if packed else torch.conv2d(input, weight, bias, *options)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        turned = ctx.packed[1] if ctx.packed else None
        stride, padding, dilation, groups = ctx.options
        found = input_gradient(ctx.size, weight, gradient, stride, padding, dilation, groups, packed=turned)
        return found, None, None, None, None


def input_gradient(
    size: torch.Size,
    weight: torch.Tensor,
    gradient: torch.Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    box: tuple[int, int, int, int] | None = None,
    packed: PackedKernel | None = None,
) -> torch.Tensor:
    """A convolution's gradient by its input, out of that by its output, computed inside the latter's box alone.

    Args:
        size: of the input, (n, c, h, w).
        weight: (k, c / groups, kernel height, kernel width).
        gradient: by the output, (n, k, h', w').
        stride: of the convolution, as (vertical, horizontal).
        padding: of the convolution.
        dilation: of the convolution.
        groups: of the convolution.
        box: :func:`gradient_box` of the gradient, where it is known.
        packed: the turned kernels, for a gradient that is not local.
    """
    box = box or gradient_box(gradient)
    if box is None:
        return zeros_like_gradient(size, gradient)
    if box == whole_box(gradient):
        if packed:
            return packed.convolve(gradient)
        return conv2d_input(size, weight, gradient, stride, padding, dilation, groups)
    top, bottom, left, right = box
    part = gradient[..., top:bottom, left:right].contiguous(memory_format=torch.channels_last)
    spans, inside, window = [], [], list(size[:2])
    for axis, (first, last) in enumerate(((top, bottom), (left, right))):
        reach = dilation[axis] * (weight.shape[2 + axis] - 1) + 1
        begin = first * stride[axis] - padding[axis]
        end = (last - 1) * stride[axis] - padding[axis] + reach
        start = min(max(begin, 0), size[2 + axis])
        stop = max(min(end, size[2 + axis]), start)  # none where the box sees the padding alone
        window.append(end - begin)
        spans.append(slice(start, stop))
        inside.append(slice(start - begin, stop - begin))
    found = conv2d_input(window, weight, part, stride, 0, dilation, groups)
    whole = zeros_like_gradient(size, gradient)
    whole[..., spans[0], spans[1]] = found[..., inside[0], inside[1]]
    return whole


def gradient_box(gradient: torch.Tensor) -> tuple[int, int, int, int] | None:
    """:func:`nonzero_box` of a gradient, or :func:`whole_box` where the box is so wide that cutting does not pay."""
    if _is_wide(gradient):
        return whole_box(gradient)
    box = nonzero_box(gradient)
    if box is None:
        return None
    top, bottom, left, right = box
    height, width = gradient.shape[-2:]
    return whole_box(gradient) if (bottom - top) * (right - left) > WORTH * height * width else box


def whole_box(values: torch.Tensor) -> tuple[int, int, int, int]:
    """The box (top, bottom, left, right), ends excluded, of all cells of (..., h, w)."""
    return 0, values.shape[-2], 0, values.shape[-1]


def _is_wide(values: torch.Tensor) -> bool:
    """Whether four lines alone show that the box is too wide to pay, which they do for most gradients of that kind."""
    height, width = values.shape[-2:]
    margin = (1 - WORTH**0.5) / 2
    row, column = int(margin * height), int(margin * width)
    lines = (values[..., row, :], values[..., -1 - row, :], values[..., column], values[..., -1 - column])
    return all(bool((line != 0).any()) for line in lines)


def nonzero_box(values: torch.Tensor) -> tuple[int, int, int, int] | None:
    """Box (top, bottom, left, right), ends excluded, of cells of (n, c, h, w) that are not all zero; NaN counts."""
    height, width = values.shape[-2:]
    last = values.permute(0, 2, 3, 1)  # how channels-last values lie in memory: the extremes of whole lines are quick
    rows = _nonzero(last.reshape(len(last) * height, -1), 1).reshape(-1, height).any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    lines = last[:, top:bottom].reshape(len(last) * (bottom - top), -1)
    columns = _nonzero(lines, 0).reshape(width, -1).any(1).nonzero()[:, 0]
    return top, bottom, int(columns[0]), int(columns[-1]) + 1


def _nonzero(values: torch.Tensor, axis: int) -> torch.Tensor:
    return (values.amax(axis) != 0) | (values.amin(axis) != 0)


def zeros_like_gradient(size: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """Zeros (n, c, h, w) of a gradient's type, channels last."""
    return torch.empty(tuple(size), dtype=like.dtype, device=like.device, memory_format=torch.channels_last).zero_()
