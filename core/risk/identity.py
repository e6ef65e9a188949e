"""What a feature vector was made with. A head may only score features of the very same making."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from core.errors import InputError


@dataclass(frozen=True)
class FeatureIdentity:
    """The making of a feature matrix, as far as a head depends on it.

    Attributes:
        encoder: registry name of the encoder ("minilm"), or of the features ("counts", "clmbr").
        revision: revision or weights hash of the encoder.
        profile: serialisation profile, "corrected" or "paper".
        strategy: serialisation strategy, "markdown" or "recent_codes".
        max_tokens: token limit of the encoder; 0 where features are no embeddings.
        chunking: how long records are cut into chunks, "" for encoders that take the record whole.
        instruction: "task" where every task has its own embedding, "none" where the record is embedded once for
            all tasks, "generic" or "empty" in the instruction ablations.
        dimension: length of a vector.
    """

    encoder: str
    revision: str
    profile: str
    strategy: str
    max_tokens: int
    chunking: str
    instruction: str
    dimension: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "the card") -> "FeatureIdentity":
        """Read what :meth:`to_dict` wrote; :class:`InputError` names what is missing or has the wrong type."""
        kwargs: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in values:
                raise InputError(f"{where} does not say the {field.name} of the features", "make the file again")
            kwargs[field.name] = int(values[field.name]) if field.type is int else str(values[field.name])
        return cls(**kwargs)


def require_same(needed: FeatureIdentity, given: FeatureIdentity, head: str) -> None:
    """Raise :class:`InputError` unless the features were made as the head's training features were."""
    differences = [
        f"{name} is {have!r} where the head needs {need!r}"
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
