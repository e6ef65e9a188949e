"""Seg-Grad CAM, Seg-HiRes-Grad CAM and the windowed family between them, of all layers from one backward pass.

S is the sum of the logits of class c over the region M, a constant set of output pixels; A the activation of a
layer (K channels on h x w cells) and G = dS/dA. The raw maps, before any display step:

- Seg-Grad CAM (Vinogradova, Dibrov, Myers 2020):  sum_k mean_u(G^k_u) A^k
- Seg-HiRes-Grad CAM (Rheude et al. 2024, after Draelos and Carin's HiResCAM):  sum_k G^k (.) A^k
- Seg-XRes CAM, window p (Hasany, Petitjean, Meriaudeau 2023):  sum_k up(pool_p(G^k)) (.) A^k,
  which is Seg-HiRes for p = 1 and Seg-Grad for a window that covers the map.

One forward pass keeps the activations of all asked layers, one ``torch.autograd.grad`` gives all G. Nothing of the
network changes: no ``.grad`` is written, the mode and every ``requires_grad`` stay, hooks go whatever happens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from core.errors import InputError
from core.imaging.architectures import first_output
from core.imaging.preprocess import Geometry
from core.imaging.probability import mean_probability
from core.imaging.regions import Region, region_mask
from core.imaging.segmenters import Segmentation, Segmenter, class_logits, pixels_of, segmentation_of
from core.imaging.windows import windowed_map

METHODS = {"seg_grad": "Seg-Grad CAM", "seg_hires_grad": "Seg-HiRes-Grad CAM"}
"""Field of :class:`LayerMaps` -> the method's name."""


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """Raw, signed maps (h, w) of one layer, at its own resolution over the whole input grid.

    Attributes:
        seg_grad: Seg-Grad CAM.
        seg_hires_grad: Seg-HiRes-Grad CAM; its sum is the layer's <dS/dA, A>.
        windowed: window p in cells -> Seg-XRes CAM, for the windows asked for.
    """

    seg_grad: np.ndarray
    seg_hires_grad: np.ndarray
    windowed: Mapping[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Shares:
    """How S splits over layers, exactly. Only for networks that are piecewise linear after the encoder's features.

    Attributes:
        skips: encoder layer -> share of S that reaches the decoder from it directly (its skip connection; for the
            deepest layer, the bottleneck). With ``bias`` they sum to 1.
        through: decoder layer -> share of S that passes through it.
        bias: share of the decoder's and head's biases.
    """

    skips: Mapping[str, float]
    through: Mapping[str, float]
    bias: float


@dataclass(frozen=True, eq=False)
class CamResult:
    """The maps of one region and class on one image.

    Attributes:
        maps: layer -> raw maps, in the order in which the network computes the layers.
        score: S, the sum of the class's logits over M.
        n_pixels: the number of pixels in M, on the network's output grid.
        mask: M, boolean (H, W) on the grid.
        region, class_index: what was asked.
        segmentation: logits and mask of the image from the same forward pass.
        mean_probability: mean probability of the class over M.
        shares: how S splits over layers, where that is exact.
        notes: remarks for the reader.
    """

    maps: Mapping[str, LayerMaps]
    score: float
    n_pixels: int
    mask: np.ndarray
    region: Region
    class_index: int
    segmentation: Segmentation
    mean_probability: float
    shares: Shares | None = None
    notes: tuple[str, ...] = ()

    @property
    def geometry(self) -> Geometry:
        """How the image lies on the network's grid."""
        return self.segmentation.geometry

    @property
    def mean_logit(self) -> float:
        """S / |M|."""
        return self.score / self.n_pixels


def explain(
    segmenter: Segmenter,
    image: Any,
    region: Region | None = None,
    class_index: int = 1,
    layers: Sequence[str] | None = None,
    windows: Sequence[int] = (),
) -> CamResult:
    """Explain one region of an image's segmentation at all layers, by both methods.

    Args:
        segmenter: the segmenter; it is locked meanwhile and left as it was.
        image: a MedicalImage, or raw pixels (h, w) or (h, w, 3).
        region: the set M; by default the class's mask.
        class_index: the class whose logits are summed.
        layers: module paths out of ``segmenter.layers``; by default all.
        windows: Seg-XRes windows in cells to compute besides.

    Raises:
        InputError: unknown class or layer, empty region, logits that are not finite or are probabilities.
    """
    return explain_regions(segmenter, image, [region or Region()], class_index, layers, windows)[0]


def explain_regions(
    segmenter: Segmenter,
    image: Any,
    regions: Sequence[Region],
    class_index: int = 1,
    layers: Sequence[str] | None = None,
    windows: Sequence[int] = (),
) -> list[CamResult]:
    """Explain several regions of one image; the forward pass is shared. See :func:`explain`."""
    segmenter.check_class(class_index)
    names = check_layers(segmenter, layers)
    if segmenter.model.training:  # what is run is a copy of it as it was before
        raise InputError("the network is in training mode", "call model.eval() first")
    tensor, geometry = segmenter.prepare(pixels_of(image))
    if len(segmenter.tiles(geometry.grid_size)) > 1:
        from core.imaging.tiled_cams import explain_tiled

        return [
            explain_tiled(segmenter, tensor, geometry, region, class_index, names, windows, share=layers is None)
            for region in regions
        ]
    with segmenter.lock, captured(segmenter.network, names) as capture:
        logits = capture.run(tensor)
        segmentation = segmentation_of(logits.detach()[0], geometry)
        masks = [region_mask(region, segmentation.logits, class_index, geometry) for region in regions]
        scores = class_logits(logits, class_index)[0]
        computed = [
            capture.maps(scores, mask, windows, keep_graph=index + 1 < len(masks)) for index, mask in enumerate(masks)
        ]
        activations = capture.shapes
    results = []
    for region, mask, (score, maps, parts) in zip(regions, masks, computed, strict=True):
        results.append(
            CamResult(
                maps=maps,
                score=score,
                n_pixels=int(mask.sum()),
                mask=mask,
                region=region,
                class_index=class_index,
                segmentation=segmentation,
                mean_probability=mean_probability(segmentation.logits, mask, class_index),
                shares=shares_of(segmenter, score, maps, parts) if layers is None else None,
                notes=_remarks(segmentation.logits, score, activations),
            )
        )
    return results


def maps_of_mask(
    model: nn.Module,
    tensor: torch.Tensor,
    mask: np.ndarray,
    class_index: int,
    layers: Sequence[str],
    windows: Sequence[int] = (),
    *,
    checked: bool = True,
) -> tuple[float, dict[str, LayerMaps]]:
    """S and the maps of a network's layers for a region given as a mask: what :func:`explain` stands on.

    Args:
        model: a network in evaluation mode that gives logits; the caller holds its lock.
        tensor: input (1, c, H, W).
        mask: M, boolean (H, W).
        class_index: the class; 0 or 1 for one channel.
        layers: module paths of block outputs.
        windows: Seg-XRes windows in cells.
        checked: refuse outputs that are not finite or are probabilities.
    """
    with captured(model, layers) as capture:
        logits = capture.run(tensor, checked=checked)
        capture.inputs.clear()
        score, maps, _ = capture.maps(class_logits(logits, class_index)[0], mask, windows)
    return score, maps


def check_layers(segmenter: Segmenter, layers: Sequence[str] | None) -> list[str]:
    """Layers in the network's order, all for None; an unknown one is an InputError that lists them."""
    if layers is None:
        return list(segmenter.layers)
    if unknown := [name for name in layers if name not in segmenter.layers]:
        raise InputError(
            f"{segmenter.name} has no layer {unknown[0]!r} that maps can be taken from",
            f"choose from {', '.join(segmenter.layers)}",
        )
    if not layers:
        raise InputError("no layer is chosen", f"choose from {', '.join(segmenter.layers)}")
    return [name for name in segmenter.layers if name in set(layers)]


def seg_grad_map(activation: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """sum_k w_k A^k for A (K, h, w) and w (K,)."""
    return torch.tensordot(weights, activation, dims=1)


def seg_hires_map(activation: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """sum_k G^k (.) A^k for A and G (K, h, w)."""
    return (activation * gradient).sum(dim=0)


class Capture:
    """Keeps the outputs of named modules while the network runs, with a graph that starts no earlier than they do."""

    def __init__(self, model: nn.Module, names: Sequence[str]):
        self.model = model
        self.names = list(names)
        self.activations: dict[str, torch.Tensor] = {}
        self.versions: dict[str, int] = {}
        self.inputs: dict[str, torch.Tensor] = {}
        self.handles: list[Any] = []

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each kept activation."""
        return {name: tuple(activation.shape) for name, activation in self.activations.items()}

    def keep(self, name: str) -> Callable[..., torch.Tensor]:
        """A forward hook that stores the module's output as ``name``."""

        def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            if not output.requires_grad:
                # the first layers on the way: nothing before them needs a gradient, so the graph starts here
                output = output.detach().requires_grad_()
            self.activations[name] = output
            self.versions[name] = output._version
            return output

        return hook

    def keep_inputs(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """A pre-hook of the decoder that gives each encoder feature a name of its own for this path alone."""
        if not inputs or not isinstance(inputs[0], list | tuple):
            return None
        features: list[Any] = list(inputs[0])
        for index, feature in enumerate(features):
            name = next((name for name, kept in self.activations.items() if kept is feature), None)
            if name is not None:
                # an alias, not view_as: a view of one image loses the channels-last strides and slows all that follows
                features[index] = self.inputs[name] = torch.ops.aten.alias(feature)
        return (features, *inputs[1:])

    def run(self, tensor: torch.Tensor, *, checked: bool = True) -> torch.Tensor:
        """Logits (1, C, H, W) of the input, with a graph back to the kept activations."""
        tensor = tensor.clone() if tensor.is_inference() else tensor
        with torch.autocast(tensor.device.type, enabled=False):  # half precision would show in the maps
            try:
                logits = first_output(self.model(tensor))
            except RuntimeError as error:
                if "in-place operation" not in str(error):
                    raise
                raise InputError(
                    "the output of a chosen layer is changed in place by the one after it",
                    "choose the output of a whole block",
                ) from error
        for name, activation in self.activations.items():
            if activation._version != self.versions[name]:
                raise InputError(
                    f"the output of the layer {name} is changed in place by the one after it",
                    "choose the output of a whole block",
                )
        if missing := [name for name in self.names if name not in self.activations]:
            raise InputError(f"the layer {missing[0]} takes no part in this network", "choose another layer")
        if logits.shape[-2:] != tensor.shape[-2:]:
            raise InputError(
                f"the network's output has the size {tuple(logits.shape[-2:])} for {tuple(tensor.shape[-2:])}",
                "use a network that gives a logit for each pixel of its input",
            )
        if not checked:
            return logits
        if not torch.isfinite(logits).all():
            raise InputError("the network gives logits that are not finite", "check the image's and weights' values")
        if looks_like_probabilities(logits):
            raise InputError(
                "the network gives probabilities (a softmax inside its forward pass), whose gradients vanish",
                "let the network return its logits",
            )
        return logits

    def gradients(
        self, scores: torch.Tensor, mask: np.ndarray, keep_graph: bool = False
    ) -> tuple[float, list[torch.Tensor | None], list[torch.Tensor | None]]:
        """S of an M, dS/dA of each kept layer, and dS/dF of each decoder input."""
        kept = [self.activations[name] for name in self.names]
        inputs = list(self.inputs.values())
        seed = torch.from_numpy(np.ascontiguousarray(mask)).to(scores)
        # the sum in double: S is reported, and float32 loses digits over 100,000 pixels
        score = float((scores.detach().double() * seed).sum())
        found = torch.autograd.grad(
            scores, [*kept, *inputs], grad_outputs=seed, retain_graph=keep_graph, allow_unused=True
        )
        return score, list(found[: len(kept)]), list(found[len(kept) :])

    def maps(
        self, scores: torch.Tensor, mask: np.ndarray, windows: Sequence[int] = (), keep_graph: bool = False
    ) -> tuple[float, dict[str, LayerMaps], dict[str, float]]:
        """S of an M, the maps by layer, and <dS/dF, F> of each decoder input by layer."""
        score, gradients, inputs = self.gradients(scores, mask, keep_graph)
        with torch.no_grad():
            maps = {
                name: _layer_maps(self.activations[name].detach()[0], gradient, windows)
                for name, gradient in zip(self.names, gradients, strict=True)
            }
        return score, maps, self.parts(inputs)

    def parts(self, gradients: Sequence[torch.Tensor | None]) -> dict[str, float]:
        """<dS/dF, F> of each decoder input by layer, out of the last that :meth:`gradients` gives."""
        return {
            name: 0.0 if gradient is None else float(seg_hires_map(feature.detach()[0], gradient[0]).double().sum())
            for (name, feature), gradient in zip(self.inputs.items(), gradients, strict=True)
        }


@contextmanager
def captured(model: nn.Module, names: Sequence[str]) -> Iterator[Capture]:
    """Hook the named modules, and the decoder's inputs, for the time of the block."""
    if model.training:
        raise InputError("the network is in training mode", "call model.eval() first")
    capture = Capture(model, names)
    try:
        for name in names:
            capture.handles.append(model.get_submodule(name).register_forward_hook(capture.keep(name)))
        if isinstance(decoder := getattr(model, "decoder", None), nn.Module):
            capture.handles.append(decoder.register_forward_pre_hook(capture.keep_inputs))
        # whatever mode the caller is in, the maps need a graph
        with torch.inference_mode(False), torch.enable_grad():
            yield capture
    finally:
        for handle in capture.handles:
            handle.remove()
        capture.activations.clear()
        capture.inputs.clear()


def looks_like_probabilities(logits: torch.Tensor) -> bool:
    """Whether an output (1, C, H, W) of several channels lies in 0..1 and sums to 1 in every pixel."""
    if logits.shape[1] < 2:
        return False
    values = logits.detach()
    inside = bool((values >= 0).all()) and bool((values <= 1 + 1e-6).all())
    return inside and bool(((values.sum(dim=1) - 1).abs() < 1e-3).all())


def _layer_maps(activation: torch.Tensor, gradient: torch.Tensor | None, windows: Sequence[int]) -> LayerMaps:
    if gradient is None:  # the layer does not lead to this output: its maps are zero, and say so
        zero = np.zeros(tuple(activation.shape[-2:]), np.float32)
        return LayerMaps(zero, zero.copy(), {window: zero.copy() for window in windows})
    gradient = gradient[0]
    return LayerMaps(
        seg_grad=seg_grad_map(activation, gradient.mean(dim=(1, 2))).cpu().numpy(),
        seg_hires_grad=seg_hires_map(activation, gradient).cpu().numpy(),
        windowed={window: windowed_map(activation, gradient, window).cpu().numpy() for window in windows},
    )


def shares_of(
    segmenter: Segmenter, score: float, maps: Mapping[str, LayerMaps], parts: Mapping[str, float]
) -> Shares | None:
    """How S splits over layers, out of their maps and the decoder inputs' <dS/dF, F>; None where that is not exact."""
    if not segmenter.piecewise_linear or score == 0 or not parts:
        return None
    through = {
        name: float(layer.seg_hires_grad.sum(dtype=np.float64)) / score
        for name, layer in maps.items()
        if name.startswith("decoder.")
    }
    skips = {name: part / score for name, part in parts.items()}
    return Shares(skips, through, 1.0 - sum(skips.values()))


def _remarks(logits: np.ndarray, score: float, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    remarks = []
    if logits.shape[0] == 1 and logits.min() >= 0 and logits.max() <= 1:
        remarks.append(
            "All outputs lie between 0 and 1: if the network ends in a sigmoid, its maps are not of logits."
        )
    if score == 0:
        remarks.append("The score S is zero: maps show how it would change, not what it is made of.")
    if any(1 in shape[-2:] for shape in shapes.values()):
        remarks.append("Some layers have a single cell, at which both methods are the same number.")
    return tuple(remarks)
