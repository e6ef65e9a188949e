"""Make torchvision importable beside a CPU build of torch.

PyPI carries no CPU build of torchvision. Beside a CPU torch its compiled library does not load, and its
import then fails because two operators have no schema ("operator torchvision::nms does not exist"), which
takes transformers, timm and segmentation_models_pytorch down with it. Declaring the two schemas is enough:
nothing here calls the operators. Import this module before any of those libraries.
"""

import importlib
import sys

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_library: torch.library.Library | None = None  # dropping it would undo the declarations


def ensure_torchvision() -> str:
    """Import torchvision; return ``"native"``, or ``"declared"`` where the schemas had to be declared.

    Raises whatever torchvision raises for any other reason than the missing operators.
    """
    global _library
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            _library.define(operator + _SIGNATURE)
        importlib.import_module("torchvision")
    return "declared" if _library is not None else "native"


STATE = ensure_torchvision()
