"""Where the image comes from: a drawn sample or an upload, with the choices that the file offers."""

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image

from core.errors import InputError
from core.imaging.ground_truth import place_of, read_ground_truth
from core.imaging.phantoms import KINDS, draw_phantom
from core.imaging.readers import MedicalImage, read_image
from core.settings import get_settings
from pages.shared import url
from pages.shared.imaging import segmenter, uploads, windows

TYPES = ["png", "jpg", "jpeg", "tif", "tiff", "dcm", "dicom", "ima", "nii", "gz"]

_WITHOUT = "_upload-is-missing"
_OUTLASTING = (
    *("im-model-", "im-class-", "im-region", "im-decision", "im-scale", "im-signed", "im-smooth", "im-contour"),
    *("im-palette-", "im-opacity", "im-percentile", "im-grid-", "im-baseline", "im-steps", "im-figures"),
)
"""How the keys of controls begin that another image leaves as they are."""


@dataclass(frozen=True, eq=False)
class Source:
    """The chosen image.

    Attributes:
        image: as read.
        key: names the image and what was chosen of it, for cache keys.
        label: what it is, in words.
        drawn: it is a drawing of ours.
        model: the segmenter that a drawing is made for.
        truth: ground truth (h, w), raw bytes for an upload (read once the number of classes is known).
    """

    image: MedicalImage
    key: tuple
    label: str
    drawn: bool
    model: str | None = None
    truth: np.ndarray | bytes | None = None

    def ground_truth(self, n_classes: int) -> np.ndarray | None:
        """Return the ground truth as class indices, of a volume the image's slice."""
        if isinstance(self.truth, bytes):
            place = place_of(self.image)
            return _truth(self.truth_key(), n_classes, tuple(place.items()), _data=self.truth)
        return self.truth if self.truth is None or int(self.truth.max()) < n_classes else None

    def truth_key(self) -> str:
        """Name the ground truth for cache keys."""
        if self.truth is None:
            return ""
        return hashlib.sha256(self.truth if isinstance(self.truth, bytes) else self.truth.tobytes()).hexdigest()


def choose(models: list[str]) -> Source | None:
    """Draw the choice; return the image, or None while nothing is uploaded.

    Raises:
        InputError: the upload cannot be read.
    """
    kind = url.choice("Image", {"sample": "Drawn sample", "upload": "Upload"}, "sample", "source", width="stretch")
    return _sample(models) if kind == "sample" else _upload()


def _sample(models: list[str]) -> Source:
    # drawings whose segmenter is here come first
    kinds = sorted(KINDS, key=lambda name: KINDS[name].model not in models)
    name = st.selectbox(
        "Sample", kinds, format_func=lambda kind: KINDS[kind].title, key="im-sample", persist_state="session"
    )
    seed = st.number_input(
        "Number", 0, 9999, 3, key="im-seed", help="Another number, another drawing.", persist_state="session"
    )
    image, truth = _drawn(name, int(seed))
    return Source(
        image,
        key=(image.sha256,),
        label=f"{KINDS[name].title}, drawn (number {seed}): no person's image",
        drawn=True,
        model=KINDS[name].model,
        truth=truth,
    )


@st.cache_data(show_spinner="Drawing the sample …", max_entries=32)
def _drawn(kind: str, seed: int) -> tuple[MedicalImage, np.ndarray]:
    phantom = draw_phantom(kind, seed)
    file = io.BytesIO()
    Image.fromarray(phantom.image).save(file, "PNG", compress_level=1)  # only to be read again
    return read_image(file.getvalue()), phantom.mask


def _upload() -> Source | None:
    uploaded = uploads.choose(
        "PNG, JPEG, TIFF, DICOM or NIfTI",
        "im-upload",
        type=TYPES,
        max_upload_size=get_settings().upload_mb,
        help="It stays in memory and goes with the session. No identifier of a DICOM file is read or shown.",
    )
    if uploaded is None:
        st.session_state[_WITHOUT] = True
        return None
    if st.session_state.pop(_WITHOUT, False):
        _restate()
    data = uploaded.getvalue()
    name = uploaded.name.rpartition(".")[2]
    image = _read(hashlib.sha256(data).hexdigest(), (), name, _data=data)
    choices = _choices(image)
    if choices:
        image = _read(image.sha256, tuple(sorted(choices.items())), name, _data=data)
    with st.popover(
        "Ground truth", icon=":material/rule:", help="A mask image, to explain what the segmenter missed."
    ):
        truth = uploads.choose(
            "Mask image with class indices", "im-gt", image.sha256[:12], type=["png", "tif", "tiff", "nii", "gz"]
        )
    if image.burned_in:
        st.markdown(":material/warning: The file says that text is part of this picture: it may hold a name.")
    return Source(
        image,
        # not the window: it is for the eye alone, and no map is made again for it
        key=(image.sha256, *sorted((key, str(value)) for key, value in image.chosen.items() if key != "window")),
        label=f"Upload {image.sha256[:8]}, {image.format}",
        drawn=False,
        truth=truth.getvalue() if truth is not None else None,
    )


def _restate() -> None:
    """Send the choices that outlast an image to the browser again.

    A file that replaces another takes the controls away for one run, so short that the browser still reports them in
    the next: Streamlit then believes that it shows their values, while it has drawn them anew at their defaults.
    """
    for key in list(st.session_state):
        if str(key).startswith(_OUTLASTING):
            st.session_state[key] = st.session_state[key]


# an upload's pixels belong to its session: Streamlit drops these caches when it ends
@st.cache_data(show_spinner="Reading the image …", max_entries=8, scope="session")
def _read(sha256: str, choices: tuple, extension: str, _data: bytes) -> MedicalImage:
    return read_image(_data, **dict(choices), name=f"upload.{extension}")


@st.cache_data(show_spinner=False, max_entries=8, scope="session")
def _truth(sha256: str, n_classes: int, place: tuple, _data: bytes) -> np.ndarray:
    return read_ground_truth(_data, n_classes, **dict(place))


def _choices(image: MedicalImage) -> dict[str, object]:
    """Draw what this file offers to choose; return what differs from the default."""
    offered, chosen, of = image.available, {}, image.sha256[:12]
    if offered.frames > 1:
        chosen["frame"] = st.slider("Frame", 0, offered.frames - 1, 0, key=f"im-frame-{of}", persist_state="session")
    if offered.volumes > 1:
        chosen["volume"] = st.slider(
            "Volume", 0, offered.volumes - 1, 0, key=f"im-volume-{of}", persist_state="session"
        )
    if offered.slices:
        axes = list(offered.slices)
        view = segmenter.view(image)
        start = view or image.chosen["axis"]
        # another segmenter, another axis to begin with
        axis = st.selectbox(
            "Axis",
            axes,
            axes.index(start),
            format_func=str.capitalize,
            key=f"im-axis-{view}-{of}",
            persist_state="session",
        )
        count = offered.slices[axis]
        chosen["axis"] = axis
        if count > 1:
            chosen["slice"] = st.slider(
                "Slice", 0, count - 1, count // 2, key=f"im-slice-{axis}-{of}", persist_state="session"
            )
    window = windows.choose(image)
    return chosen | ({"window": window} if window else {})


def require_size(image: MedicalImage) -> None:
    """Refuse images that a page cannot show in reasonable time.

    Raises:
        InputError: it has more than 36 million pixels.
    """
    if image.size[0] * image.size[1] > 36_000_000:
        raise InputError("the image is too large for the page", "use `python -m core explain`, or scale it down")
