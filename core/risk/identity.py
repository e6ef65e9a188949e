"""What a feature vector was made with. A head may only score features of the very same making."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.embedding.registry import SHIPPED, read_specs
from core.errors import InputError


@dataclass(frozen=True)
class FeatureIdentity:
    """The making of a feature matrix, as far as a head depends on it.

    Attributes:
        encoder: registry name of the encoder ("minilm"), or of the features ("counts", "clmbr").
        revision: revision of the encoder; of a server, its model.
        profile: serialisation profile, "corrected" or "paper".
        strategy: serialisation strategy, "markdown" or "recent_codes".
        max_tokens: token limit of the encoder; 0 where features are no embeddings.
        chunking: how long records are cut into chunks, "" for encoders that take the record whole.
        instruction: "task" where every task has its own embedding, "none" where the record is embedded once for
            all tasks, "generic" or "empty" in the instruction ablations.
        dimension: length of a vector.
        weights_sha256: fingerprint of the encoder's weights, "" where a server keeps them or there are none.
        config_sha256: fingerprint of its configuration and tokenizer, "" as above.
        template: text that the record stands in, "" where features are no embeddings.
        pooling: how tokens become one vector, "" as above.
        attention: "bidirectional" or "causal", "" as above.
    """

    encoder: str
    revision: str
    profile: str
    strategy: str
    max_tokens: int
    chunking: str
    instruction: str
    dimension: int
    weights_sha256: str
    config_sha256: str
    template: str
    pooling: str
    attention: str

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "the card") -> "FeatureIdentity":
        """Read what :meth:`to_dict` wrote; :class:`InputError` names what is missing or has the wrong type.

        Cards of the first heads end with the dimension. The rest is known all the same where their encoder was the
        shipped one whose entry pins its files.
        """
        values = {**_pinned(values), **values}
        kwargs: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in values:
                raise InputError(f"{where} does not say the {field.name} of the features", "make the file again")
            kwargs[field.name] = int(values[field.name]) if field.type is int else str(values[field.name])
        return cls(**kwargs)


def _pinned(values: Mapping[str, Any]) -> dict[str, str]:
    """What a shipped entry of that name and revision pins by hashes; empty where there is none."""
    spec = read_specs(SHIPPED).get(str(values.get("encoder")))
    if spec is None or spec.revision != values.get("revision") or not (spec.sha256 and spec.config_sha256):
        return {}
    return {
        "weights_sha256": spec.sha256,
        "config_sha256": spec.config_sha256,
        "template": spec.template,
        "pooling": spec.pooling,
        "attention": spec.attention,
    }


def require_same(needed: FeatureIdentity, given: FeatureIdentity, head: str) -> None:
    """Raise :class:`InputError` unless the features were made as the head's training features were."""
    differences = [
        f"{name} is {_shown(name, have)} where the head needs {_shown(name, need)}"
        for name, need, have in (
            (field.name, getattr(needed, field.name), getattr(given, field.name)) for field in fields(FeatureIdentity)
        )
        if need != have
    ]
    if differences:
        raise InputError(
            f"the head {head} was trained on other features: {', '.join(differences)}",
            "use features made as its card says, or train heads on these (python -m core train-heads)",
        )


def _shown(name: str, value: str | int) -> str:
    """A value as a sentence shows it; twelve digits tell hashes apart."""
    return repr(str(value)[:12] if name.endswith("_sha256") else value)
