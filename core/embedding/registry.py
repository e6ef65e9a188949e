"""The encoders that Chartlight knows: what each one is, where its weights come from and how its text is read.

The shipped entries are in ``encoders.toml`` beside this file; ``CHARTLIGHT_ENCODERS`` names a TOML file of the
same shape with a user's own (an entry of the same name replaces the shipped one).
"""

import re
import tomllib
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.settings import get_settings

SHIPPED = Path(__file__).with_name("encoders.toml")

ARCHITECTURES = ("bert", "modernbert", "qwen2", "qwen3", "llama", "server")
POOLINGS = ("mean", "text_mean", "last", "server")
ATTENTIONS = ("bidirectional", "causal", "server")
CHUNKINGS = ("none", "structure", "window")
DTYPES = ("float32", "bfloat16", "float16", "server")


@dataclass(frozen=True)
class EncoderSpec:
    """One encoder.

    Attributes:
        name: the name it is chosen by.
        source: ``package:MODULE/FOLDER`` (weights inside an installed package), ``hub:OWNER/NAME``, ``folder:PATH``
            or ``server`` (an OpenAI-compatible embeddings server).
        architecture: model family (``model_type`` of the weights' config.json).
        dimension: length of the vector; 0 for a server means "as the server answers".
        context: longest input in tokens that the model was built for.
        max_tokens: tokens of a record that are read, template included; later ones (the oldest visits) are cut.
            For chunked encoders the bound holds for the whole record, not for a chunk. Always 0 for a server, which
            cuts by itself.
        pooling: ``mean`` over all tokens, ``text_mean`` over the record's tokens without the instruction's, ``last``
            token.
        attention: ``bidirectional`` or ``causal``.
        template: the text given to the model, with ``{record}`` and, for encoders that take one, ``{instruction}``.
        chunking: ``none``; ``structure`` (chunks end at section and visit boundaries, see core.embedding.chunks);
            ``window`` (consecutive windows, the paper's ablation).
        chunk_tokens: tokens of a chunk, special tokens included.
        dtype: precision of weights and arithmetic on a GPU; the CPU always computes in float32.
        unit_norm: a server's vectors have length 1, which is checked.
        sha256: SHA-256 of ``model.safetensors`` that is required, or empty.
        config_sha256: hash of configuration and tokenizer (``Weights.config_sha256``) that is required, or empty.
        adapters: PEFT adapters merged into the weights in this order (hub names).
        parameters: number of weights; ``memory_gb`` follows from it.
        traps: what goes wrong with this model elsewhere, one sentence each.
        facts: where the card's facts come from, one line a source.
    """

    name: str
    title: str
    source: str
    architecture: str
    dimension: int
    pooling: str
    attention: str
    licence: str
    revision: str = "main"
    context: int = 512
    max_tokens: int = 4096
    template: str = "{record}"
    chunking: str = "none"
    chunk_tokens: int = 0
    dtype: str = "float32"
    parameters: int = 0
    unit_norm: bool = False
    sha256: str = ""
    config_sha256: str = ""
    adapters: tuple[str, ...] = ()
    url: str = ""
    traps: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def takes_instruction(self) -> bool:
        """Whether the task's instruction is part of the text, so that each task has its own embedding."""
        return "{instruction}" in self.template

    @property
    def memory_gb(self) -> float:
        """Memory of the weights in bfloat16, in GB (1e9 bytes); activations come on top."""
        return self.parameters * 2 / 1e9

    @property
    def reads_at_once(self) -> int:
        """Tokens of the longest input that the model itself gets; 0 where there is no bound here."""
        return self.max_tokens if self.chunking == "none" else self.chunk_tokens

    @property
    def remote(self) -> bool:
        """Whether a server computes the vectors."""
        return self.source == "server"

    def reading(self, tokens: int) -> "EncoderSpec":
        """The same encoder, reading at most ``tokens`` tokens of a record. A server: :class:`InputError`."""
        if self.remote:
            raise InputError(
                f"{self.name} is a server, which cuts texts by itself: {tokens} tokens cannot be asked of it",
                "set the longest input in the server, or choose a local encoder",
            )
        return replace(self, max_tokens=tokens)

    def chunked(self, tokens: int) -> "EncoderSpec":
        """The same encoder, reading windows of ``tokens`` tokens and averaging them (the paper's chunk ablation)."""
        if self.remote:
            raise InputError(f"{self.name} is a server, its texts are not cut into chunks", "choose a local encoder")
        if tokens < 16 or tokens > self.context:
            raise InputError(
                f"a chunk of {tokens} tokens does not suit {self.name}", f"choose between 16 and {self.context} tokens"
            )
        return replace(self, chunking="window", chunk_tokens=tokens)


def _check(spec: EncoderSpec, where: str) -> None:
    for key, value, allowed in (
        ("architecture", spec.architecture, ARCHITECTURES),
        ("pooling", spec.pooling, POOLINGS),
        ("attention", spec.attention, ATTENTIONS),
        ("chunking", spec.chunking, CHUNKINGS),
        ("dtype", spec.dtype, DTYPES),
    ):
        if value not in allowed:
            raise InputError(f"{where}: {key} is {value!r}", f"use one of {', '.join(allowed)}")
    if not _NAME.fullmatch(spec.name):
        raise InputError(
            f"{where}: the name {spec.name!r} is no folder name", "use letters, digits, dots, dashes and underscores"
        )
    if spec.remote != (spec.architecture == "server") or spec.remote != (spec.pooling == "server"):
        raise InputError(
            f"{where}: source, architecture and pooling do not agree",
            'give "server" for all three or for none of them',
        )
    if spec.remote and (spec.max_tokens or spec.chunking != "none"):
        raise InputError(
            f"{where}: max_tokens and chunking have no effect on a server, which cuts texts by itself",
            "leave them out and set the longest input in the server",
        )
    if spec.architecture in ("bert", "modernbert") and spec.attention != "bidirectional":
        raise InputError(f"{where}: a {spec.architecture} model attends in both directions", 'use "bidirectional"')
    for key, number in (("context", spec.context), ("max_tokens", spec.max_tokens), ("parameters", spec.parameters)):
        if number < 0:
            raise InputError(f"{where}: {key} is {number}", "give 0 or more")
    if spec.template.count("{record}") != 1 or spec.template.count("{instruction}") > 1:
        raise InputError(f"{where}: template must hold {{record}} once", 'for example "{record}"')
    if spec.source != "server" and spec.source.split(":")[0] not in ("package", "hub", "folder"):
        raise InputError(f"{where}: source is {spec.source!r}", "use hub:OWNER/NAME, folder:PATH or server")
    if not spec.remote and spec.dimension <= 0:
        raise InputError(f"{where}: dimension is {spec.dimension}", "give the length of the model's vectors")
    if spec.chunking != "none" and spec.chunk_tokens < 16:
        raise InputError(f"{where}: chunk_tokens is {spec.chunk_tokens}", "give 16 or more")
    if not spec.remote and not 16 <= spec.reads_at_once <= spec.context:
        raise InputError(
            f"{where}: it reads {spec.reads_at_once} tokens at once with a context of {spec.context}",
            "give max_tokens (or chunk_tokens) from 16 up to the context",
        )
    if spec.chunking == "structure" and spec.takes_instruction:
        raise InputError(f"{where}: structure chunks take no instruction", 'use chunking = "window"')


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
_KINDS: dict[Any, str] = {int: "a whole number", str: "a text", bool: "true or false"}


def _parse(key: str, entry: Any, where: str) -> EncoderSpec:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: [{key}] is not a table", "see docs/encoders.md for the keys")
    known = {field.name for field in fields(EncoderSpec)}
    if unknown := set(entry) - known:
        raise InputError(f"{where}: [{key}] has the unknown key {sorted(unknown)[0]!r}", "see docs/encoders.md")
    values = {"name": key, "title": key, **entry}
    for name, value in list(values.items()):
        expected = EncoderSpec.__dataclass_fields__[name].type
        if expected == tuple[str, ...]:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise InputError(f"{where}: [{key}] {name} is not a list of texts", "see docs/encoders.md")
            values[name] = tuple(value)
        elif type(value) is not expected:
            raise InputError(f"{where}: [{key}] {name} is {value!r}", f"give {_KINDS[expected]}")
    required = {"source", "architecture", "dimension", "pooling", "attention", "licence"}
    if missing := required - set(values):
        raise InputError(f"{where}: [{key}] lacks {', '.join(sorted(missing))}", "see docs/encoders.md")
    if values["source"] == "server":
        values = {"context": 0, "max_tokens": 0} | values
    elif values.get("chunking", "none") == "none":  # one bound stands for the other
        values = {"context": values.get("max_tokens", 512), "max_tokens": values.get("context", 512)} | values
    spec = EncoderSpec(**values)
    _check(spec, f"{where}: [{key}]")
    return spec


def read_specs(path: Path) -> dict[str, EncoderSpec]:
    """Read the encoder entries of a TOML file, by name. Raises InputError on anything that is not as documented."""
    try:
        status = path.stat()
        return dict(_read_specs(path, status.st_mtime_ns, status.st_size))
    except OSError as error:
        raise InputError(f"the encoder file {path} cannot be read", "check CHARTLIGHT_ENCODERS") from error


@lru_cache(maxsize=8)
def _read_specs(path: Path, changed: int, size: int) -> dict[str, EncoderSpec]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not valid TOML: {error}", "correct the file") from error
    specs = (_parse(key, entry, path.name) for key, entry in tables.items())
    return {spec.name: spec for spec in specs}


def encoder_specs() -> dict[str, EncoderSpec]:
    """All encoders by name: the shipped ones, then the user's own."""
    specs = read_specs(SHIPPED)
    own = get_settings().encoders
    return specs | read_specs(own) if own else specs


def get_spec(name: str | None = None) -> EncoderSpec:
    """The encoder of that name, or the default one of the settings."""
    name = name or get_settings().encoder
    specs = encoder_specs()
    if name not in specs:
        raise InputError(f"there is no encoder named {name!r}", f"choose one of {', '.join(specs)}")
    return specs[name]
