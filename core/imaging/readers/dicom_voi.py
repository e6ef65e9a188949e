"""DICOM's choices for the eye: VOI LUTs and windows (PS3.3 C.11.2)."""

import math
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_voi

from core.errors import InputError
from core.imaging.readers.display import Function, scale, show, window
from core.imaging.readers.image import Window

# Explanations are free text, in which anything may stand; only these words are shown.
_WORD_LIST = """NORMAL HARDER SOFTER HARD SOFT TISSUE BRAIN BONE LUNG LUNGS MEDIASTINUM ABDOMEN LIVER SPINE ANGIO
    DEFAULT USER WINDOW WINDOW1 WINDOW2 WINDOW3 ALGO1 ALGO2 ALGO3 HEART LINEAR FULL AUTO CONTRAST LOW HIGH"""
_WORDS = frozenset(_WORD_LIST.split())


@dataclass(frozen=True)
class Preset:
    """One way of showing that the file offers: the VOI LUT ``lut`` or a window."""

    name: str
    lut: int | None = None
    centre: float = 0.0
    width: float = 1.0
    function: Function = "LINEAR"


def list_presets(view: Dataset) -> list[Preset]:
    """VOI LUTs first, then windows, as the file orders them; windows that cannot be are left out."""
    presets = []
    for index, item in enumerate(view.get("VOILUTSequence") or []):
        presets.append(Preset(_named(f"VOI LUT {index + 1}", item.get("LUTExplanation")), lut=index))
    centres, widths = (_floats(view.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    explanations = view.get("WindowCenterWidthExplanation")
    words = list(explanations) if isinstance(explanations, MultiValue) else [explanations]
    function = str(view.get("VOILUTFunction") or "LINEAR")
    for index, (centre, width) in enumerate(zip(centres, widths)):
        if not (math.isfinite(centre) and math.isfinite(width)) or width <= 0 or (function == "LINEAR" and width < 1):
            continue
        name = _named(f"centre {centre:g}, width {width:g}", words[index] if index < len(words) else None)
        known: Function = function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"  # type: ignore[assignment]
        presets.append(Preset(name, None, centre, width, known))
    return presets


def show_grey(values: np.ndarray, view: Dataset, choice: Window) -> tuple[np.ndarray, str]:
    """Display uint8 of values after the modality transform, and what was applied.

    Raises:
        InputError: there is no such preset.
    """
    presets = list_presets(view)
    if choice is None and presets:
        choice = "preset 0"
    if not (isinstance(choice, str) and choice.startswith("preset")):
        return show(values, choice)
    index = int(choice.split()[1])
    if index >= len(presets):
        offered = f"choose preset 0 to {len(presets) - 1}" if presets else "choose full, percentile or two numbers"
        raise InputError(f"there is no window preset {index}", offered)
    preset = presets[index]
    if preset.lut is None:
        return window(values, preset.centre, preset.width, preset.function), f"with the file's window, {preset.name}"
    looked_up = apply_voi(np.rint(values).astype(np.int64), view, preset.lut)
    descriptor = view.VOILUTSequence[preset.lut].LUTDescriptor
    bits = int(descriptor[2]) if 8 <= int(descriptor[2]) <= 16 else 16
    return scale(looked_up, 0, 2**bits - 1), f"with the file's {preset.name}"


def _named(name: str, explanation: object) -> str:
    words = str(explanation or "").upper().replace("_", " ").split()
    return f"{name} ({' '.join(words).lower()})" if words and all(word in _WORDS for word in words) else name


def _floats(value: object) -> list[float]:
    if value is None or value == "":
        return []
    return [float(part) for part in value] if isinstance(value, MultiValue | list | tuple) else [float(value)]  # type: ignore[arg-type]
