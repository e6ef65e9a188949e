"""What a reader hands on, and what a user may choose."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from core.errors import InputError

Axis = Literal["sagittal", "coronal", "axial"]
AXES: tuple[Axis, ...] = ("sagittal", "coronal", "axial")
Window = str | tuple[float, float] | None
CT_WINDOWS = {
    "lung": (-600.0, 1500.0),
    "mediastinum": (50.0, 350.0),
    "abdomen": (40.0, 400.0),
    "brain": (40.0, 80.0),
    "bone": (400.0, 1800.0),
}
"""Centre and width in Hounsfield units, as they are in common use."""


@dataclass(frozen=True)
class Choices:
    """What to take from a file and how to show it.

    Attributes:
        frame: page of a TIFF, frame of a DICOM file (from 0).
        axis: of a NIfTI volume: sagittal, coronal or axial; None picks the one with the most slices of full detail.
        slice: index along the axis (from 0); None is the middle.
        volume: index of the volume in a 4-D NIfTI file (from 0).
        window: intensity for the eye. None: the file's first preset, else ``percentile``. ``full``: lowest to highest
            value. ``percentile``: 0.5th to 99.5th. ``preset N``: the file's Nth (from 0, see ``Available.windows``).
            A name of ``CT_WINDOWS``. (centre, width): in the file's own units. It never changes
            ``MedicalImage.pixels``.
        indices: of a picture with a palette take each pixel's index, as a mask has them, and not its colour.
        name: the file's name, used only to say that contents and name disagree; it is not kept.
    """

    frame: int = 0
    axis: Axis | None = None
    slice: int | None = None
    volume: int = 0
    window: Window = None
    indices: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        if self.axis is not None and self.axis not in AXES:
            raise InputError(f"there is no axis {self.axis!r}", f"choose one of {', '.join(AXES)}")
        for what in ("frame", "volume", "slice"):
            value = getattr(self, what)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise InputError(f"{what} is {value!r}", "give a whole number")
        window = self.window
        if isinstance(window, str):
            if window in CT_WINDOWS:
                object.__setattr__(self, "window", CT_WINDOWS[window])
            elif window not in ("full", "percentile") and not window.removeprefix("preset ").isdecimal():
                raise InputError(
                    f"there is no window {window!r}",
                    f"choose full, percentile, 'preset N', {', '.join(CT_WINDOWS)} or two numbers",
                )
        elif window is not None and not (len(window) == 2 and np.isfinite(window).all() and window[1] > 0):
            raise InputError(f"the window {window!r} is none", "give a centre and a width above 0")


@dataclass(frozen=True)
class Available:
    """What the file offers to choose from: frames, slices by axis, volumes, names of window presets."""

    frames: int = 1
    slices: dict[Axis, int] = field(default_factory=dict)
    volumes: int = 1
    windows: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """One picture, ready for a segmenter and for the eye.

    Attributes:
        pixels: float32 (h, w) or (h, w, 3): the values for the model, in the file's units after its modality
            transform, always with high values bright (MONOCHROME1 is turned round). Finite.
        display: uint8 (h, w) or (h, w, 3): the values for the eye.
        sha256: of the uploaded bytes; the only name an upload has.
        format: PNG, JPEG, TIFF, DICOM or NIfTI.
        spacing: millimetres between rows and between columns, or None where the file does not say.
        notes: what was done to the values and what the viewer should know, in plain sentences.
        chosen: frame, axis, slice, volume and window that were used, for the manifest.
        available: what else could be chosen.
        modality: DICOM's code (DX, CT, US ...), or None.
        burned_in: DICOM says that text (perhaps a name) is part of the picture; None where it does not say.
    """

    pixels: np.ndarray
    display: np.ndarray
    sha256: str
    format: str
    spacing: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    chosen: dict[str, object] = field(default_factory=dict)
    available: Available = field(default_factory=Available)
    modality: str | None = None
    burned_in: bool | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def grey(self) -> np.ndarray:
        """Display uint8 (h, w): luminance where the picture has colour."""
        if self.display.ndim == 2:
            return self.display
        return (self.display @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)


def pick(what: str, index: int, count: int) -> int:
    """The index, if there is one.

    Raises:
        InputError: it is outside of 0..count-1.
    """
    if not 0 <= index < count:
        raise InputError(f"there is no {what} {index}", f"choose 0 to {count - 1}")
    return index
