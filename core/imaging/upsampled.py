"""U-Net decoder blocks that never make the upsampled map: upsampling and convolution in one, at the low resolution.

Doubling a map to the nearest neighbour and convolving it with a 3 x 3 kernel w is one transposed convolution of stride
2 with the 4 x 4 kernel K, K[o] = sum of w[o - a] over a in {0, 1} on each axis: 16 products for each cell and pair of
channels where there were 36, and no map of four times the size. The gradient is the convolution of stride 2 with K. A
skip connection that the block appends is convolved with its own part of w, and the two are added. Results differ by
the order of sums alone.
"""

from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

import core.torchvision_ops  # noqa: F401  (before segmentation_models_pytorch)
from core.imaging.local_gradients import gradient_box, input_gradient, is_busy, whole_box, zeros_like_gradient
from core.imaging.packed import PackedKernel, can_pack, pack

from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock  # isort: skip
from segmentation_models_pytorch.decoders.unetplusplus.decoder import DecoderBlock as UnetPlusPlusBlock  # isort: skip

Packed: TypeAlias = tuple[PackedKernel, PackedKernel] | None


def merge_upsampling(model: nn.Module) -> None:
    """Make the decoder blocks of a frozen U-Net or U-Net++ merged ones, in place; their kernels must not change after.

    Blocks that upsample in another way than to the nearest neighbour, or weigh the joined channels before the
    convolution (attention), are left as they are; so is every other architecture.
    """
    merged: dict[type, type] = {UnetDecoderBlock: MergedUnetBlock, UnetPlusPlusBlock: MergedUnetPlusPlusBlock}
    for module in model.modules():
        # a subclass computes in a way of its own
        if type(module) in merged and _can_merge(module):
            module.__class__ = merged[type(module)]


def _can_merge(block: Any) -> bool:
    if block.interpolation_mode != "nearest" or block.conv1 is None:
        return False
    return isinstance(block.attention1.attention, nn.Identity)


class MergedUnetBlock(UnetDecoderBlock):  # type: ignore[misc]  # no stubs
    """A decoder block of U-Net."""

    def forward(
        self, feature_map: torch.Tensor, target_height: int, target_width: int, skip_connection: Any = None
    ) -> torch.Tensor:
        """Maps (n, c, h, w) and a skip connection of the target's size to that size."""
        if (target_height, target_width) != (2 * feature_map.shape[-2], 2 * feature_map.shape[-1]):
            return super().forward(feature_map, target_height, target_width, skip_connection)
        return _run(self, feature_map, skip_connection)


class MergedUnetPlusPlusBlock(UnetPlusPlusBlock):  # type: ignore[misc]  # no stubs
    """A decoder block of U-Net++."""

    def forward(self, x: torch.Tensor, skip: Any = None) -> torch.Tensor:
        """Maps (n, c, h, w) and a skip connection of twice that size to twice that size."""
        return _run(self, x, skip)


def _run(block: Any, low: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
    if skip is not None and skip.shape[1] == 0:  # encoders without a feature at half resolution give an empty one
        skip = None
    convolution, *after = block.conv1
    if not hasattr(block, "kernels"):
        with torch.inference_mode(False), torch.no_grad():  # or they could take no part in a graph
            block.kernels = upsampled_kernels(convolution.weight, low.shape[1])
            block.packed = pack_upsampled(block.kernels[0])
    kernel, part = block.kernels
    joined = upsampled_convolution(low, skip, kernel, part, convolution.bias, block.packed)
    for module in (*after, block.conv2, block.attention2):
        joined = module(joined)
    return joined


def upsampled_kernels(weight: torch.Tensor, low_channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The kernels of a merged block.

    Args:
        weight: w of the convolution over the joined maps, (k, low_channels + skip channels, 3, 3).
        low_channels: how many of the channels are the upsampled ones; they come first.

    Returns:
        K (low_channels, k, 4, 4), as a transposed convolution takes it, and the skip connection's part of w.
    """
    upper = weight[:, :low_channels].transpose(0, 1).flip(2, 3)
    kernel = sum(functional.pad(upper, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1))
    assert isinstance(kernel, torch.Tensor)
    part = weight[:, low_channels:]
    return (
        kernel.contiguous(memory_format=torch.channels_last),
        part.contiguous(memory_format=torch.channels_last),
    )


def pack_upsampled(kernel: torch.Tensor) -> Packed:
    """K for the transposed convolution and for its gradient, in oneDNN's order; None where that is of no use."""
    if not can_pack(kernel):
        return None
    return pack(kernel, (1, 1), (2, 2), transposed=True), pack(kernel, (1, 1), (2, 2))


def upsampled_convolution(
    low: torch.Tensor,
    skip: torch.Tensor | None,
    kernel: torch.Tensor,
    part: torch.Tensor,
    bias: torch.Tensor | None = None,
    packed: Packed = None,
) -> torch.Tensor:
    """conv2d(cat(nearest(low), skip), w, bias, padding=1) out of :func:`upsampled_kernels`.

    Args:
        low: (n, c, h, w).
        skip: (n, skip channels, 2 h, 2 w), or None.
        kernel: K.
        part: the skip connection's part of w.
        bias: (k,).
        packed: :func:`pack_upsampled` of K.
    """
    needed = low.requires_grad or (skip is not None and skip.requires_grad)
    if torch.is_grad_enabled() and needed:
        found: torch.Tensor = _UpsampledConvolution.apply(low, skip, kernel, part, bias, packed)
        return found
    return _convolve(low, skip, kernel, part, bias, packed)


def _convolve(
    low: torch.Tensor,
    skip: torch.Tensor | None,
    kernel: torch.Tensor,
    part: torch.Tensor,
    bias: torch.Tensor | None,
    packed: Packed,
) -> torch.Tensor:
    if packed:
        upper = packed[0].convolve_transposed(low, bias)
    else:
        upper = functional.conv_transpose2d(low, kernel, bias, stride=2, padding=1)
    return upper if skip is None else upper.add_(torch.conv2d(skip, part, padding=1))


class _UpsampledConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        low: torch.Tensor,
        skip: torch.Tensor | None,
        kernel: torch.Tensor,
        part: torch.Tensor,
        bias: torch.Tensor | None,
        packed: Packed,
    ) -> torch.Tensor:
        ctx.save_for_backward(kernel, part)
        ctx.skip_size, ctx.packed = None if skip is None else skip.shape, packed
        return _convolve(low, skip, kernel, part, bias, packed)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kernel, part = ctx.saved_tensors
        box = gradient_box(gradient) if is_busy(*kernel.shape[:2]) else whole_box(gradient)  # one look for both
        by_low = by_skip = None
        if ctx.needs_input_grad[0]:
            by_low = low_gradient(kernel, gradient, box, ctx.packed[1] if ctx.packed else None)
        if ctx.needs_input_grad[1]:
            by_skip = input_gradient(ctx.skip_size, part, gradient, (1, 1), (1, 1), (1, 1), 1, box)
        return by_low, by_skip, None, None, None, None


def low_gradient(
    kernel: torch.Tensor,
    gradient: torch.Tensor,
    box: tuple[int, int, int, int] | None = None,
    packed: PackedKernel | None = None,
) -> torch.Tensor:
    """The gradient by the low map, (n, c, h, w), out of that by the output, (n, k, 2 h, 2 w), inside its box alone.

    Args:
        kernel: K.
        gradient: by the output.
        box: :func:`gradient_box` of the gradient, where it is known.
        packed: K in oneDNN's order, for a gradient that is not local.
    """
    height, width = gradient.shape[-2:]
    box = box or gradient_box(gradient)
    if box == whole_box(gradient):
        return packed.convolve(gradient) if packed else torch.conv2d(gradient, kernel, stride=2, padding=1)
    whole = zeros_like_gradient((len(gradient), len(kernel), height // 2, width // 2), gradient)
    if box is None:
        return whole
    (above, below, upper, lower), (before, behind, left, right) = (
        _reach(first, last, size) for first, last, size in ((*box[:2], height), (*box[2:], width))
    )
    part = functional.pad(
        gradient[..., max(above, 0) : below, max(before, 0) : behind],
        (max(-before, 0), max(behind - width, 0), max(-above, 0), max(below - height, 0)),
    )
    whole[..., upper:lower, left:right] = torch.conv2d(
        part.contiguous(memory_format=torch.channels_last), kernel, stride=2
    )
    return whole


def _reach(first: int, last: int, size: int) -> tuple[int, int, int, int]:
    """Along one axis, for values first to last (excluded) of ``size``: what to read, and the cells that come of it."""
    start, stop = max((first - 1) // 2, 0), min(last // 2 + 1, size // 2)
    return 2 * start - 1, 2 * stop + 1, start, stop
