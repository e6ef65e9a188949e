"""Writing an explanation: raw maps, mask, overlays, figure and manifest; to a folder or as one zip.

A folder is filled file by file under temporary names and the manifest comes last, so that a folder with a manifest
is whole, and an interrupted run leaves nothing that looks finished.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.errors import InputError
from core.files import write_atomic
from core.imaging.cams import CamResult
from core.imaging.display import DisplayOptions, display_pair
from core.imaging.figures import draw_figure, image_region
from core.imaging.overlay import overlay
from core.imaging.provenance import empty_manifest, manifest
from core.imaging.regions import EmptyRegionError
from core.imaging.segmenters import Segmentation, Segmenter
from core.safety import EXPORT_NOTICE


def explanation_files(
    segmenter: Segmenter,
    image: Any,
    result: CamResult,
    layer: str,
    options: DisplayOptions | None = None,
    *,
    figures: tuple[str, ...] = (),
    evidence: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Make the files of an explanation.

    Args:
        segmenter: what was explained.
        image: the MedicalImage.
        result: its maps.
        layer: the layer that the overlays and the figure are of.
        options: how maps are drawn; raw maps do not depend on it.
        figures: formats of the figure to make besides: png, svg, pdf.
        evidence: measurements for the manifest, by name.
        extra: further entries for the manifest.

    Returns:
        Name -> bytes; the manifest is the last.
    """
    options = options or DisplayOptions()
    region = image_region(result)
    shown = display_pair(result.maps[layer], result.geometry, options)
    display = np.asarray(image.display)
    files = {"maps.npz": maps_npz(result), "mask.png": _png(result.segmentation.mask)}
    for method, item in shown.items():
        files[f"overlay_{method}.png"] = _png(overlay(display, item, options, region))
    for kind in figures:
        files[f"figure.{kind}"] = draw_figure(segmenter, image, result, layer, options, kind)  # type: ignore[arg-type]
    described = manifest(segmenter, image, result, options, dict(shown), layer, dict(evidence or {}))
    return _with_manifest(files, described, extra)


def empty_files(
    segmenter: Segmenter,
    image: Any,
    segmentation: Segmentation,
    empty: EmptyRegionError,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The files of an image in which nothing is to be explained: the mask and the manifest, as name -> bytes."""
    files = {"mask.png": _png(segmentation.mask)}
    return _with_manifest(files, empty_manifest(segmenter, image, segmentation, empty), extra)


def _with_manifest(
    files: dict[str, bytes], described: dict[str, Any], extra: Mapping[str, Any] | None
) -> dict[str, bytes]:
    described = described | {"files": [*files, "manifest.json"]} | dict(extra or {})
    return files | {"manifest.json": (json.dumps(described, indent=2, default=_plain) + "\n").encode()}


def maps_npz(result: CamResult) -> bytes:
    """All raw maps as NPZ: ``<layer>/seg_grad`` and ``<layer>/seg_hires_grad``."""
    arrays: dict[str, Any] = {}
    for name, maps in result.maps.items():
        arrays[f"{name}/seg_grad"] = maps.seg_grad
        arrays[f"{name}/seg_hires_grad"] = maps.seg_hires_grad
        for window, values in maps.windowed.items():
            arrays[f"{name}/seg_xres_{window}"] = values
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder; each appears whole or not at all, in the given order.

    What an earlier manifest lists and is not written again goes: an old figure would be taken for the new run's.

    Raises:
        InputError: the folder cannot be written.
    """
    made: list[Path] = []
    created = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _listed(folder) - files.keys():
            (folder / name).unlink(missing_ok=True)
        (folder / "manifest.json").unlink(missing_ok=True)  # what is there is no longer whole from here on
        for name, data in files.items():
            write_atomic(folder / name, data)
            made.append(folder / name)
    except BaseException as error:
        for path in made:
            path.unlink(missing_ok=True)
        if created and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        if isinstance(error, OSError):
            raise InputError(
                f"the folder {folder} cannot be written ({error.strerror})", "choose another output folder"
            ) from error
        raise


def _listed(folder: Path) -> set[str]:
    """The files in a folder that its manifest lists; none where there is no manifest of ours."""
    try:
        described = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    names = described.get("files") if isinstance(described, dict) else None
    # a name with a folder in it is none of ours
    return {
        name for name in names or () if isinstance(name, str) and name == Path(name).name and (folder / name).is_file()
    }


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """One zip of the files; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_STORED if name.endswith((".png", ".npz")) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    """A PNG with the notice in its text; the pixels stay free of it."""
    notice = PngInfo()
    notice.add_text("Description", EXPORT_NOTICE)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=notice)
    return buffer.getvalue()


def _plain(value: object) -> object:
    """Numbers of numpy as JSON numbers."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
