"""What is explained: image, segmenter, class and region, and the maps, from the kept results or the queue."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from core.imaging.cams import CamResult, explain
from core.imaging.display import DisplayedMap, DisplayOptions
from core.imaging.figures import image_region
from core.imaging.overlay import overlay
from core.imaging.regions import EmptyRegionError, Region
from core.imaging.segmenters import Segmentation, Segmenter, segment
from core.imaging.views import view_around
from pages.shared import audit
from pages.shared.imaging import pictures, results
from pages.shared.imaging import region as regions
from pages.shared.imaging import segmenter as segmenters
from pages.shared.imaging.source import Source, require_size


@dataclass(frozen=True, eq=False)
class Case:
    """The explained case; ``key`` names it for cache keys."""

    source: Source
    segmenter: Segmenter
    class_index: int
    region: Region
    result: CamResult
    key: tuple

    @property
    def class_name(self) -> str:
        """The explained class's name."""
        return self.segmenter.classes[self.class_index]

    @cached_property
    def outline(self) -> np.ndarray:
        """M on the image's pixels, boolean (h, w)."""
        return image_region(self.result)

    def draw_map(self, item: DisplayedMap, chosen: DisplayOptions, alt: str, side: int = pictures.SIDE) -> None:
        """Draw a map over the image, in the window that the options ask for, with M's outline if they do."""
        view, image = view_around(self.outline, chosen.zoom), self.source.image
        picture = overlay(view.crop(image.display), item.crop(view), chosen)
        pictures.show(picture, alt, image.spacing, side, self.outline if chosen.contour else None, view)


def choose(source: Source) -> Case | None:
    """Draw the choice of segmenter, class and region; return the explained case.

    Raises:
        InputError, MissingError: shown by the page.
    """
    require_size(source.image)
    segmenter = segmenters.choose(source.image, source.model)
    with_pixels = segmented(source, segmenter)
    names = list(segmenter.classes)
    class_index = st.selectbox(
        "Class",
        range(len(names)),
        index=min(1, len(names) - 1),
        format_func=lambda index: f"{index} · {names[index]}",
        key=f"im-class-{segmenter.name}",
        persist_state="session",
    )
    region = regions.choose(source, with_pixels.mask, class_index, len(names))
    key = _key(source, segmenter, class_index, region)

    def work(progress) -> CamResult:
        progress(0, 1, "")
        return explain(segmenter, source.image, region, class_index)

    result = results.computed(("maps", *key), "Explaining the segmentation", work, source.drawn)
    audit.record("explain_image", image_sha256=source.image.sha256, model=segmenter.name, page="imaging")
    return Case(source, segmenter, class_index, region, result, key)


def segmented(source: Source, segmenter: Segmenter) -> Segmentation:
    """Return the image's segmentation, from the kept results or the queue.

    Where the region that will be explained does not depend on the mask's place, the same forward pass and the same
    turn in the queue explain it: :func:`choose` then finds the maps among the kept results.
    """
    kept, class_index = results.kept(source.drawn), _class_so_far(segmenter)
    region = Region(kind) if (kind := regions.kind_so_far()) in ("mask", "image", "uncertain") else None

    def work(progress) -> Segmentation:
        progress(0, 1, "")
        if region is None:
            return segment(segmenter, source.image)
        try:
            result = explain(segmenter, source.image, region, class_index)
        except EmptyRegionError:  # there is nothing of this class: the page says so once it asks for the maps
            return segment(segmenter, source.image)
        kept.put(("maps", *_key(source, segmenter, class_index, region)), result)
        return result.segmentation

    key = ("segmentation", source.key, *_model_key(segmenter))
    found = results.computed(key, "Segmenting the image", work, source.drawn)
    audit.record("segment", image_sha256=source.image.sha256, model=segmenter.name, page="imaging")
    return found


def _class_so_far(segmenter: Segmenter) -> int:
    """The class that :func:`choose` will show: the session's choice, else the first that is not the background."""
    last = len(segmenter.classes) - 1
    chosen = st.session_state.get(f"im-class-{segmenter.name}")
    return chosen if isinstance(chosen, int) and 0 <= chosen <= last else min(1, last)


def _model_key(segmenter: Segmenter) -> tuple:
    """All of a segmenter that its results depend on: its card may be mended while the app runs."""
    return (segmenter.name, segmenter.weights_sha256, segmenter.preprocessing, segmenter.classes)


def _key(source: Source, segmenter: Segmenter, class_index: int, region: Region) -> tuple:
    truth = source.truth_key() if region.kind.startswith("false_") else ""
    return (source.key, *_model_key(segmenter), class_index, str(region), truth)
