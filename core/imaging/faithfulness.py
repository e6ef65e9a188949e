"""Deletion and insertion: whether the network depends on the pixels that a map points to.

Pixels of the network's input are ranked by a map. Deletion replaces the highest ranked first, insertion puts them
back first on the baseline image; after each step the class's mean logit and probability over M are measured. M stays
what it was. A faithful map makes deletion fall and insertion rise quickly. Two controls belong to the answer: a
random order, and the mask itself (inside of M first), which is a strong order that knows nothing of the network.
The padding around the image is made anew of the changed pixels: a deleted pixel is not left in its mirror image.

At layers near the output Seg-HiRes is almost the mask, and wins deletion measured on M by construction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from core.errors import InputError
from core.imaging.architectures import first_output
from core.imaging.baselines import BASELINES, NoisyLinearImputer, constant_baseline
from core.imaging.cams import METHODS, CamResult
from core.imaging.preprocess import Geometry, pad_to
from core.imaging.segmenters import Segmenter, class_logits, pixels_of
from core.progress import Progress, silent

CONTROLS = {"random": "random order (control)", "mask": "mask order (control)"}
BATCH_PIXELS = 4 * 256 * 256
"""Pixels of the perturbed images that are in memory at once."""


@dataclass(frozen=True)
class Curve:
    """One order's curve; all lists have steps + 1 entries.

    Attributes:
        order: ``seg_grad``, ``seg_hires_grad``, ``random`` or ``mask``.
        kind: ``deletion`` or ``insertion``.
        logit: mean logit of the class over M.
        probability: mean probability over M.
        area: area under the probability curve by trapezoids, 0..1. Small is good for deletion, large for insertion.
        logit_area: area under the logit curve, rescaled so that the image is 1 and the baseline image is 0.
    """

    order: str
    kind: str
    logit: tuple[float, ...]
    probability: tuple[float, ...]
    area: float
    logit_area: float | None


@dataclass(frozen=True)
class Faithfulness:
    """Deletion and insertion of one layer's maps, with controls.

    Attributes:
        layer: whose maps rank the pixels.
        baseline: what replaces pixels, see :data:`core.imaging.baselines.BASELINES`.
        fractions: of pixels deleted or inserted, from 0 to 1.
        curves: four orders times two kinds.
        n_images: how many images went through the network.
        seed: of the random order and the imputation's noise.
    """

    layer: str
    baseline: str
    fractions: tuple[float, ...]
    curves: tuple[Curve, ...]
    n_images: int
    seed: int
    notes: tuple[str, ...] = field(default=())

    def curve(self, order: str, kind: str) -> Curve:
        """The curve of an order and kind."""
        return next(curve for curve in self.curves if curve.order == order and curve.kind == kind)

    def describe(self) -> dict[str, Any]:
        """The curves as a manifest states them."""
        return asdict(self)


def deletion_insertion(
    segmenter: Segmenter,
    image: Any,
    result: CamResult,
    layer: str,
    *,
    steps: int = 20,
    baseline: str = "mean",
    seed: int = 0,
    progress: Progress | None = None,
) -> Faithfulness:
    """Measure how S's mean falls and rises as pixels go and come in the order of each map.

    Args:
        segmenter: the segmenter that ``result`` is of.
        image: the same image (MedicalImage or pixels).
        result: maps and region.
        layer: which layer's maps rank the pixels.
        steps: number of equal steps from none to all pixels.
        baseline: see :data:`core.imaging.baselines.BASELINES`.
        seed: of the random order and the imputation's noise.
        progress: called after each batch of images; whatever it raises ends the work (that is how to cancel).

    Raises:
        InputError: unknown layer or baseline, or no steps.
    """
    if layer not in result.maps:
        raise InputError(f"there are no maps of the layer {layer!r}", f"choose one of {', '.join(result.maps)}")
    if not 2 <= steps <= 200:
        raise InputError(f"{steps} steps are not possible", "give a number of steps from 2 to 200")
    tensor, geometry = segmenter.prepare(pixels_of(image))
    if geometry != result.geometry:
        raise InputError("the maps are of another image", "explain this image first")
    orders = pixel_orders(result, layer, seed)
    fractions = np.linspace(0, 1, steps + 1)
    n_pixels = next(iter(orders.values())).size
    counts = np.rint(fractions * n_pixels).astype(int)
    plan: list[tuple[str, str, int]] = []  # images to run: what is kept, by (order, kind, step)
    for order in orders:
        # the ends are the image itself and the baseline image, the same for all: they are run once
        plan += [(order, kind, step) for kind in ("deletion", "insertion") for step in range(1, steps)]
    perturbation = Perturbation(tensor[0], geometry, baseline, seed)
    jobs: list[tuple[np.ndarray, int, bool]] = [(orders["random"], 0, True), (orders["random"], n_pixels, True)]
    jobs += [(orders[order], int(counts[step]), kind == "deletion") for order, kind, step in plan]
    logits, probabilities = _measure(segmenter, perturbation, jobs, result, progress or silent)
    curves = []
    for order in orders:
        for kind in ("deletion", "insertion"):
            ends = (0, 1) if kind == "deletion" else (1, 0)
            inner = [index + 2 for index, (o, k, _) in enumerate(plan) if o == order and k == kind]
            indices = [ends[0], *inner, ends[1]]
            curves.append(
                _curve(order, kind, logits[indices], probabilities[indices], fractions, logits[0], logits[1])
            )
    notes = (
        "The order `mask` knows the region and nothing of the network: a map should do better to mean something.",
    )
    return Faithfulness(layer, baseline, tuple(fractions.tolist()), tuple(curves), len(jobs), seed, notes)


def pixel_orders(result: CamResult, layer: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Ranks of the image's pixels on the network's grid, best first, by each map and each control.

    Returns:
        Order's name -> indices into the flattened content (rows x columns without padding). Maps are interpolated
        linearly to the grid, without a ReLU: negative evidence ranks last. Ties fall at random, the same for all.
    """
    geometry = result.geometry
    random = np.random.default_rng(seed)
    height, width = geometry.content_size
    shuffled = random.permutation(height * width)
    orders = {}
    maps = result.maps[layer]
    for method in METHODS:
        raw = torch.from_numpy(np.ascontiguousarray(getattr(maps, method)))[None, None].float()
        grid = functional.interpolate(raw, size=geometry.grid_size, mode="bilinear", align_corners=False)[0, 0]
        orders[method] = _best_first(geometry.crop(grid).numpy(), shuffled)
    orders["random"] = random.permutation(height * width)
    mask = result.mask[geometry.content]
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    distance = np.zeros_like(depth) if mask.all() else ndimage.distance_transform_edt(~mask)
    orders["mask"] = _best_first(np.where(mask, depth, -distance), shuffled)
    return orders


def _best_first(values: np.ndarray, tie_break: np.ndarray) -> np.ndarray:
    ranked = np.argsort(-values.ravel()[tie_break], kind="stable")
    return tie_break[ranked]


class Perturbation:
    """Makes perturbed inputs out of one input (c, H, W): the first pixels of an order are deleted, or alone kept."""

    def __init__(self, image: torch.Tensor, geometry: Geometry, baseline: str, seed: int):
        if baseline not in BASELINES:
            raise InputError(f"there is no baseline {baseline!r}", f"choose one of {', '.join(BASELINES)}")
        self.geometry = geometry
        self.inside = geometry.crop(image)
        self.imputer = NoisyLinearImputer(self.inside, seed=seed) if baseline == "noisy_linear" else None
        self.replacement = None if self.imputer else constant_baseline(self.inside, baseline)

    def __call__(self, order: np.ndarray, count: int, deletion: bool) -> torch.Tensor:
        """The input with the first ``count`` pixels of the order deleted, or all others (insertion)."""
        size = self.geometry.content_size
        chosen = np.zeros(size[0] * size[1], bool)
        chosen[order[:count]] = True
        deleted = (chosen if deletion else ~chosen).reshape(size)
        if self.imputer is not None:
            filled = torch.from_numpy(self.imputer(deleted)).to(self.inside) if deleted.any() else self.inside
        else:
            assert self.replacement is not None
            filled = torch.where(torch.from_numpy(deleted).to(self.inside.device), self.replacement, self.inside)
        return pad_to(filled, self.geometry)


def _measure(
    segmenter: Segmenter,
    perturbation: Perturbation,
    jobs: Sequence[tuple[np.ndarray, int, bool]],
    result: CamResult,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean logit and mean probability over M for each job."""
    height, width = result.geometry.grid_size
    size = max(1, BATCH_PIXELS // (height * width))
    inside = torch.from_numpy(result.mask).to(segmenter.device)
    logits, probabilities = [], []
    progress(0, len(jobs), "images")
    for start in range(0, len(jobs), size):
        batch = torch.stack([perturbation(*job) for job in jobs[start : start + size]])
        for output in _outputs(segmenter, batch, inside):
            wanted = class_logits(output[..., None], result.class_index)[..., 0]
            logits.append(float(wanted.double().mean()))
            probabilities.append(float(_probability(output, result.class_index).double().mean()))
        progress(min(start + size, len(jobs)), len(jobs), "images")
    return np.array(logits), np.array(probabilities)


def _outputs(segmenter: Segmenter, batch: torch.Tensor, inside: torch.Tensor) -> list[torch.Tensor]:
    """The logits (C, |M|) over M of each image of a batch; the network is locked for this batch alone."""
    height, width = inside.shape
    if len(segmenter.tiles((height, width))) > 1:
        return [segmenter.logits(image[None])[0][:, inside] for image in batch]
    with segmenter.lock, torch.inference_mode():
        outputs = first_output(segmenter.network(batch.contiguous(memory_format=torch.channels_last)))
        return [output[:, inside] for output in outputs]


def _probability(logits: torch.Tensor, class_index: int) -> torch.Tensor:
    if logits.shape[0] == 1:
        return torch.sigmoid(logits[0] if class_index == 1 else -logits[0])
    return logits.softmax(dim=0)[class_index]


def _curve(
    order: str,
    kind: str,
    logits: np.ndarray,
    probabilities: np.ndarray,
    fractions: np.ndarray,
    image: float,
    baseline: float,
) -> Curve:
    span = image - baseline
    scaled = float(np.trapezoid((logits - baseline) / span, fractions)) if abs(span) > 1e-12 else None
    return Curve(
        order=order,
        kind=kind,
        logit=tuple(logits.tolist()),
        probability=tuple(probabilities.tolist()),
        area=float(np.trapezoid(probabilities, fractions)),
        logit_area=scaled,
    )


def table(evidence: Faithfulness) -> list[Mapping[str, Any]]:
    """Areas by order, as rows for a table."""
    names = {**METHODS, **CONTROLS}
    return [
        {
            "order": names[order],
            "deletion": evidence.curve(order, "deletion").area,
            "insertion": evidence.curve(order, "insertion").area,
        }
        for order in names
    ]
