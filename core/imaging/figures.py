"""A figure for a paper: image, mask and both maps, with colour bar, scale bar and caption (PNG, SVG or PDF)."""

import io
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from core.errors import InputError
from core.imaging.cams import METHODS, CamResult
from core.imaging.display import DisplayOptions, display_pair
from core.imaging.overlay import SMALL, grey, overlay
from core.imaging.segmenters import Segmenter
from core.imaging.views import view_around
from core.safety import EXPORT_NOTICE
from core.wording import counted

FORMATS = ("png", "svg", "pdf")
matplotlib.rcParams["svg.hashsalt"] = "chartlight"  # or an SVG's ids are random


def image_region(result: CamResult) -> np.ndarray:
    """M on the image's pixels, boolean (h, w)."""
    import torch

    return result.geometry.to_image(torch.from_numpy(result.mask).float(), "nearest").numpy() > 0.5


def caption(segmenter: Segmenter, result: CamResult, layer: str, options: DisplayOptions) -> str:
    """One sentence on what a figure shows, true for its options."""
    what = "Signed evidence" if options.signed else "Positive evidence (after ReLU)"
    scale = "one scale" if options.scale == "shared" else "each map on its own scale"
    return (
        f"{what} for class {result.class_index} ({segmenter.classes[result.class_index]}) over the region "
        f"{result.region} ({counted(result.n_pixels, 'pixel')}, S = {result.score:.4g}) at {layer} of "
        f"{segmenter.name}; {scale}, "
        f"{'interpolated' if options.smooth else 'cells as they are'}"
        + (f"; the part around the region, {options.zoom:g} times as large." if options.zoom > 1 else ".")
    )


def draw_figure(
    segmenter: Segmenter,
    image: Any,
    result: CamResult,
    layer: str,
    options: DisplayOptions,
    file_format: Literal["png", "svg", "pdf"] = "png",
    dpi: int = 300,
) -> bytes:
    """Draw image, Seg-Grad and Seg-HiRes side by side.

    Args:
        segmenter: what was explained.
        image: the MedicalImage.
        result: its maps.
        layer: whose maps are drawn.
        options: how they are drawn.
        file_format: png, svg or pdf.
        dpi: of the PNG.

    Returns:
        The file's bytes.
    """
    if file_format not in FORMATS:
        raise InputError(f"there is no figure format {file_format!r}", f"choose one of {', '.join(FORMATS)}")
    display = np.asarray(image.display)
    region = image_region(result)
    shown = display_pair(result.maps[layer], result.geometry, options)
    view = view_around(region, options.zoom)
    height, width = view.size
    spacing = getattr(image, "spacing", None)
    aspect = spacing[0] / spacing[1] if spacing else 1.0
    panel = 2.3
    ratio = min(2.0, max(0.4, aspect * height / width))
    text = _wrap(caption(segmenter, result, layer, options)) + "\n" + EXPORT_NOTICE
    figure = Figure(figsize=(3 * panel + 0.9, panel * ratio + 0.75), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    axes[0].imshow(grey(view.crop(display)), cmap="gray", vmin=0, vmax=255, aspect=aspect)
    _outline(axes[0], view.crop(region))
    axes[0].set_title("Image and region M", fontsize=8)
    for axis, (method, item) in zip(axes[1:], shown.items(), strict=True):
        axis.imshow(overlay(view.crop(display), item.crop(view), options), aspect=aspect)
        if options.contour:
            _outline(axis, view.crop(region))
        axis.set_title(METHODS[method] + (" (nothing positive)" if item.empty else ""), fontsize=8)
    for axis in axes:
        axis.set_axis_off()
    _scale_bar(axes[0], width, spacing)
    low = -1.0 if options.signed else 0.0
    mappable = _mappable(options, low)
    bar = figure.colorbar(mappable, ax=axes.tolist(), fraction=0.03, pad=0.01, aspect=30)
    limits = dict.fromkeys(f"{item.limit:.3g}" for item in shown.values())  # in the order of the maps
    bar.set_label(f"share of the limit ({' and '.join(limits)})", fontsize=6)
    bar.ax.tick_params(labelsize=6)
    figure.supxlabel(text, fontsize=5.5, x=0.01, ha="left")
    buffer = io.BytesIO()
    # no date or software name: the same explanation gives the same bytes
    metadata = {
        "png": {"Software": None, "Description": EXPORT_NOTICE},
        "svg": {"Date": None, "Description": EXPORT_NOTICE},
        "pdf": {"CreationDate": None, "Subject": EXPORT_NOTICE},
    }[file_format]
    figure.savefig(buffer, format=file_format, bbox_inches="tight", metadata=metadata)
    return buffer.getvalue()


def _outline(axis: Any, region: np.ndarray) -> None:
    """A fine line at any size, light with a dark edge: it shows on any background.

    A region that is too small to see, such as a pixel, gets a ring around it.
    """
    if not region.any() or region.all():
        return
    rows, columns = (np.flatnonzero(region.any(axis=1 - along)) for along in (0, 1))
    side = min(region.shape)
    if max(np.ptp(rows), np.ptp(columns)) + 1 < SMALL * side:
        middle = ((columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2)
        line = axis.add_patch(Circle(middle, 1.5 * SMALL * side, fill=False, edgecolor="#ffffff", linewidth=0.7))
    else:
        line = axis.contour(region, levels=[0.5], colors=["#ffffff"], linewidths=0.7)
    line.set_path_effects([withStroke(linewidth=1.5, foreground="black")])


def _mappable(options: DisplayOptions, low: float) -> Any:
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(Normalize(low, 1.0), options.palette)


def _scale_bar(axis: Any, width: int, spacing: tuple[float, float] | None) -> None:
    """A bar of 1, 2 or 5 times a power of ten millimetres; nothing where the spacing is not known."""
    if not spacing or spacing[1] <= 0:
        return
    target = width * spacing[1] / 4
    power = 10 ** np.floor(np.log10(target))
    length = power * max(factor for factor in (1, 2, 5) if factor * power <= target)
    ends = [width * 0.05, width * 0.05 + length / spacing[1]]
    place = {"color": "white", "transform": _blend(axis)}
    (line,) = axis.plot(ends, [0.95, 0.95], linewidth=2, **place)
    line.set_path_effects([withStroke(linewidth=3, foreground="black")])
    text = axis.text(width * 0.05, 0.92, f"{length:g} mm", fontsize=6, va="bottom", **place)
    text.set_path_effects([withStroke(linewidth=1.5, foreground="black")])


def _blend(axis: Any) -> Any:
    """Measure x in pixels, y as a share of the axis from its top."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    return blended_transform_factory(axis.transData, Affine2D().scale(1, -1).translate(0, 1) + axis.transAxes)


def _wrap(text: str, width: int = 190) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
