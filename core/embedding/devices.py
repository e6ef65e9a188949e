"""Which device encoders run on, told without importing torch where that is not needed."""

from importlib.metadata import version

from core.settings import get_settings


def device_of(setting: str | None = None) -> str:
    """The device that a setting means: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Args:
        setting: a torch device or ``auto``; CHARTLIGHT_DEVICE where none is given.
    """
    setting = setting or get_settings().device
    if setting != "auto":
        return setting
    if "+cpu" in version("torch"):  # spares the import, a second of every start
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
