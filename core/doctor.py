"""What this installation has, what it lacks and how to get it: for ``python -m core doctor`` and the Status page."""

import importlib.metadata
import os
import platform
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import ChartlightError
from core.exposure import refuse_open_door, require_provider
from core.privacy import load_key
from core.settings import PROJECT_ROOT, Settings, get_settings
from core.wording import counted

GOOD, LACKING, WRONG = "ready", "not here", "wrong"
PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "segmentation-models-pytorch",
    "streamlit",
    "polars",
    "scikit-learn",
    "plotly",
)


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        area: machine, packages, data, encoders, heads, segmenters, cache or access.
        name: what was looked at.
        state: ``ready``, ``not here`` (optional or still to be made) or ``wrong`` (there, but it does not work).
        detail: what was found.
        fix: how to get or mend it; empty where nothing is to do.
    """

    area: str
    name: str
    state: str
    detail: str
    fix: str = ""


def check_all(settings: Settings | None = None) -> list[Check]:
    """Look at everything. One failing look is a finding, never the end of the others."""
    settings = settings or get_settings()
    looks: dict[str, Callable[[Settings], Iterator[Check]]] = {
        "machine": _machine,
        "packages": _packages,
        "data": _datasets,
        "encoders": _encoders,
        "heads": _heads,
        "segmenters": _segmenters,
        "cache": _cache,
        "access": _access,
    }
    found: list[Check] = []
    for area, look in looks.items():
        try:
            found += look(settings)
        except ChartlightError as error:
            found.append(Check(area, area, WRONG, error.what, error.fix))
        except Exception as error:
            fix = "reinstall with `make run`; if that does not help, report this line"
            found.append(Check(area, area, WRONG, f"{type(error).__name__}: {error}", fix))
    return found


def _machine(settings: Settings) -> Iterator[Check]:
    yield Check("machine", "Python", GOOD, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Check("machine", "Processor", GOOD, f"{_usable_cores()} cores, {_memory_gb():.0f} GB memory")
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield Check("machine", "Accelerator", GOOD, names)
    elif torch.backends.mps.is_available():
        yield Check("machine", "Accelerator", GOOD, "Apple GPU (mps)")
    else:
        detail = "none: the default encoder and the segmenters run on the CPU"
        fix = "for encoders of 0.6B parameters and more use a machine with an NVIDIA GPU, or an embeddings server"
        yield Check("machine", "Accelerator", LACKING, detail, fix)
    yield Check("machine", "Device chosen", GOOD, settings.device)


def _packages(settings: Settings) -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check("packages", name, GOOD, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check("packages", name, WRONG, "not installed", "pip install -r requirements.txt")
    from core.torchvision_ops import STATE

    detail = "its own" if STATE == "native" else "declared here, because torch is a CPU build (nothing calls them)"
    yield Check("packages", "torchvision operators", GOOD, detail)


def _datasets(settings: Settings) -> Iterator[Check]:
    from core.ehr.store import open_dataset

    for path in settings.dataset_paths:
        if not path.is_dir():
            demo = path == settings.demo_path
            fix = "python -m core demo " + str(path) if demo else "correct CHARTLIGHT_DATASETS"
            yield Check("data", path.name, LACKING if demo else WRONG, "no such folder", fix)
            continue
        try:
            dataset = open_dataset(path)
            dataset.splits()
            for task in dataset.tasks():  # pages read them all: one that is damaged stops them
                dataset.labels(task)
            detail = ", ".join(
                (
                    counted(dataset.n_subjects, "subject"),
                    counted(dataset.n_events, "event"),
                    counted(len(dataset.tasks()), "task"),
                )
            )
            yield Check("data", path.name, GOOD, detail + (", synthetic" if dataset.synthetic else ""))
        except ChartlightError as error:
            yield Check("data", path.name, WRONG, error.what, error.fix)
    yield from _absent("data", settings, "concepts", "features", "results")


def _absent(area: str, settings: Settings, *names: str) -> Iterator[Check]:
    """A finding for each of these settings that names a path with nothing there."""
    for name in names:
        path = getattr(settings, name)
        if path is not None and not path.exists():
            setting = f"CHARTLIGHT_{name.upper()}"
            yield Check(area, setting, WRONG, f"there is no {_short(path)}", f"correct {setting}, or leave it out")


def _encoders(settings: Settings) -> Iterator[Check]:
    from core.embedding.registry import encoder_specs
    from core.embedding.weights import what_is_missing

    yield from _absent("encoders", settings, "weights")
    for name, spec in encoder_specs().items():
        size = f"{spec.dimension} dimensions, " if spec.dimension else ""
        detail = f"{size}{spec.licence}{', chosen' if name == settings.encoder else ''}"
        missing = what_is_missing(spec)
        if missing is None:
            yield Check("encoders", name, GOOD, detail)
        else:
            here = "no server configured" if spec.remote else "weights not on this machine"
            yield Check("encoders", name, LACKING, f"{here}, {detail}", missing.fix)


def _heads(settings: Settings) -> Iterator[Check]:
    from core.risk.heads import load_heads

    folders = sorted(path for path in settings.heads.glob("*") if path.is_dir()) if settings.heads.is_dir() else []
    if not folders:
        yield Check("heads", "risk heads", LACKING, f"none in {_short(settings.heads)}", "make demo-heads")
    for folder in folders:
        try:
            yield Check("heads", folder.name, GOOD, f"{len(load_heads(folder))} heads")
        except ChartlightError as error:
            yield Check("heads", folder.name, WRONG, error.what, error.fix)


def _segmenters(settings: Settings) -> Iterator[Check]:
    from core.imaging.segmenters import list_segmenters

    yield from _absent("segmenters", settings, "models")
    found = list(list_segmenters())
    if not found:
        fix = "python -m core train-segmenter NAME --data DIR --out assets/models/NAME, or set CHARTLIGHT_MODELS"
        yield Check("segmenters", "segmenters", LACKING, "none found", fix)
    for item in found:
        yield Check("segmenters", str(getattr(item, "name", item)), GOOD, "found")


def _cache(settings: Settings) -> Iterator[Check]:
    from core.embedding.cache import look_at, way_out

    path = settings.cache_path
    if not path.exists():
        yield Check("cache", "embedding cache", LACKING, f"{_short(path)} is made with the first embedding")
        return
    size = sum(file.stat().st_size for file in path.parent.glob(path.name + "*")) / 1e6
    try:
        look_at(path)
        yield Check("cache", "embedding cache", GOOD, f"{size:,.1f} MB of at most {settings.cache_gb:g} GB")
    except sqlite3.Error as error:
        yield Check("cache", "embedding cache", WRONG, f"{_short(path)}: {error}", way_out(error))


def _access(settings: Settings) -> Iterator[Check]:
    yield Check("access", "Address", GOOD, f"{settings.address} port {settings.port}")
    try:
        refuse_open_door(settings.address, settings)
        if settings.sign_in:
            require_provider()
        detail = "on, through OpenID Connect" if settings.sign_in else "off: only this machine can reach the dashboard"
        yield Check("access", "Sign-in", GOOD, detail)
    except ChartlightError as error:
        yield Check("access", "Sign-in", WRONG, error.what, error.fix)
    try:
        if settings.id_key or (settings.home / "id.key").exists():  # else it is made when it is first needed
            load_key(settings)
            yield Check("access", "Id key", GOOD, "pseudonyms are made with it")
    except ChartlightError as error:
        yield Check("access", "Id key", WRONG, error.what, error.fix)
    for name, path, setting in (
        ("Home folder", settings.home, "CHARTLIGHT_HOME"),
        ("Audit log", settings.audit_path, "CHARTLIGHT_AUDIT_LOG"),
    ):
        if _writable(path):
            yield Check("access", name, GOOD, _short(path))
        else:
            fix = f"give it to the user that serves, or name another place in {setting}"
            yield Check("access", name, WRONG, f"{_short(path)} cannot be written", fix)


def _writable(path: Path) -> bool:
    """Return whether this user may write a file or folder, or make it where it is not there yet."""
    there = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))
    return os.access(there, os.W_OK | os.X_OK if there.is_dir() else os.W_OK)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gb() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (ValueError, OSError, AttributeError):
        return 0.0


def _short(path: Path) -> str:
    """Return ``path`` relative to the project where it lies in it."""
    return str(path.relative_to(PROJECT_ROOT)) if path.is_relative_to(PROJECT_ROOT) else str(path)
