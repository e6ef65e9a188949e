"""The manifest: what an explanation was made of, so that another can make it again.

It names files by hash, never by name, and holds nothing of a DICOM header.
"""

import sys
from functools import lru_cache
from typing import Any

from core.imaging.agreement import agreement
from core.imaging.cams import METHODS, CamResult
from core.imaging.display import DisplayedMap, DisplayOptions
from core.imaging.regions import EmptyRegionError, Region
from core.imaging.segmenters import Segmentation, Segmenter
from core.safety import EXPORT_NOTICE
from core.versions import versions as package_versions

SCHEMA_VERSION = 1
_PACKAGES = ("torch", "segmentation-models-pytorch", "timm", "numpy", "scipy", "pillow", "pydicom", "nibabel")


METHOD_FORMULAS = {
    "seg_grad": "sum_k mean_u(dS/dA^k_u) A^k (Seg-Grad CAM), raw and signed",
    "seg_hires_grad": "sum_k dS/dA^k (.) A^k (Seg-HiRes-Grad CAM), raw and signed",
    "score": "S = sum of the class's logits over the region M, M constant",
}


@lru_cache
def versions() -> dict[str, str]:
    """Versions of Chartlight, Python and the packages that make maps."""
    return package_versions(_PACKAGES)


def shared_entries(
    segmenter: Segmenter,
    region: Region,
    class_index: int,
    score: float | None,
    n_pixels: int,
    mean_probability: float | None,
) -> dict[str, Any]:
    """What the manifests of an image's explanation, of a volume's and of an empty region all state."""
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": EXPORT_NOTICE,
        "score": score,
        "n_pixels": n_pixels,
        "mean_logit": None if score is None else score / n_pixels,
        "mean_probability": mean_probability,
        "class_index": class_index,
        "class_name": segmenter.classes[class_index],
        "region": region.describe(),
        "methods": METHOD_FORMULAS,
        "segmenter": {
            "name": segmenter.name,
            "architecture": segmenter.architecture,
            "weights_sha256": segmenter.weights_sha256,
            "classes": list(segmenter.classes),
            "preprocessing": segmenter.preprocessing.to_card(),
            "device": str(segmenter.device),
            "notes": list(segmenter.notes),
        },
        "versions": versions(),
        "platform": sys.platform,
    }


def manifest(
    segmenter: Segmenter,
    image: Any,
    result: CamResult,
    options: DisplayOptions,
    shown: dict[str, DisplayedMap] | None = None,
    shown_layer: str | None = None,
    evidence: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe an explanation as JSON-able data.

    Args:
        segmenter: what was explained.
        image: the MedicalImage.
        result: the maps.
        options: how they are shown.
        shown: field of LayerMaps -> the displayed map, with its steps.
        shown_layer: the layer that the overlays and the numbers on how the two maps agree are of.
        evidence: further measurements (``describe()`` of each), by name.
    """
    described = shared_entries(
        segmenter, result.region, result.class_index, result.score, result.n_pixels, result.mean_probability
    )
    described |= _image_entries(segmenter, image, result.segmentation)
    described |= {
        "layers": {
            name: {
                "size": list(maps.seg_hires_grad.shape),
                "channels": segmenter.layers[name][0],
                "stride": segmenter.layers[name][1],
                "seg_grad_range": [float(maps.seg_grad.min()), float(maps.seg_grad.max())],
                "seg_hires_grad_range": [float(maps.seg_hires_grad.min()), float(maps.seg_hires_grad.max())],
            }
            for name, maps in result.maps.items()
        },
        "display": {"layer": shown_layer, **options.describe()},
        "notes": list(result.notes),
    }
    if result.shares is not None:
        described["shares_of_score"] = {
            "direct": dict(result.shares.skips),
            "bias": result.shares.bias,
            "through": dict(result.shares.through),
        }
    if shown_layer is not None:
        described["agreement"] = agreement(result.maps[shown_layer], result.mask, result.geometry).describe()
    if shown:
        described["display"]["maps"] = {
            method: {"steps": list(item.steps), "limit": item.limit, "name": METHODS[method]}
            for method, item in shown.items()
        }
    if evidence:
        described["evidence"] = evidence
    return described


def empty_manifest(
    segmenter: Segmenter, image: Any, segmentation: Segmentation, empty: EmptyRegionError
) -> dict[str, Any]:
    """Describe the segmentation of an image in which no pixel is in the region; there is no S and no map."""
    entries = shared_entries(segmenter, empty.region, empty.class_index, None, 0, None)
    return entries | _image_entries(segmenter, image, segmentation) | {"remark": empty_remark(empty)}


def empty_remark(empty: EmptyRegionError) -> str:
    """What a manifest says of a region without a pixel."""
    return f"There is nothing to explain: {empty.what}."


def _image_entries(segmenter: Segmenter, image: Any, segmentation: Segmentation) -> dict[str, Any]:
    geometry = segmentation.geometry
    height, width = geometry.image_size
    areas = segmentation.areas(len(segmenter.classes))
    return {
        "image": {
            "sha256": getattr(image, "sha256", None),
            "format": getattr(image, "format", None),
            "size": [height, width],
            "spacing_mm": list(image.spacing) if getattr(image, "spacing", None) else None,
            "chosen": dict(getattr(image, "chosen", {}) or {}),
            "notes": list(getattr(image, "notes", ())),
        },
        "grid": {
            "size": list(geometry.grid_size),
            "content_size": list(geometry.content_size),
            "offset": list(geometry.offset),
            "note": "maps cover the whole grid (padding included); score and n_pixels count its content",
        },
        "class_areas_pixels": dict(zip(segmenter.classes, areas, strict=True)),
    }
