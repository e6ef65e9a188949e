"""What a reader calls the models of a benchmark: words for the keys in a run's tables.

A key ("minilm lr_lbfgs [lookback=1y]") joins tables and stays in them; pages, figures, reports and the terminal show
its words ("minilm, logistic regression, look-back 1 year"). What has no words here is shown as it stands.
"""

from core.ehr.lookback import LOOKBACK_NAMES
from core.ehr.record import CODE_SECTIONS, EVENT_CATEGORIES, MARKDOWN_SECTIONS, PROFILES, STRATEGIES

HEAD_NAMES = {"lr_lbfgs": "logistic regression", "gbm": "gradient boosting"}
FAMILIES = {
    "context": "Context length",
    "lookback": "Look-back",
    "instruction": "Instruction",
    "sections": "Sections",
    "chunk": "Chunk length",
    "strategy": "Strategy",
    "profile": "Profile",
    "encoder": "Encoder",
}
"""Display name by ablation, in the order of the page."""
_FEATURES = {"count": "Counts", "clmbr": "CLMBR-T-Base"}
_VALUES = {"lookback": LOOKBACK_NAMES, "strategy": STRATEGIES, "profile": PROFILES}
_SECTIONS = MARKDOWN_SECTIONS | EVENT_CATEGORIES | CODE_SECTIONS


def model_key(model: str, head: str = "", variant: str = "") -> str:
    """Key of a model in a run's tables: "minilm lr_lbfgs [lookback=1y]"; parts that are empty are left out."""
    return " ".join(part for part in (model, head, f"[{variant}]" if variant else "") if part)


def model_name(key: str) -> str:
    """Words for a key of :func:`model_key`: "count gbm" is "Counts, gradient boosting".

    Never an error: a head, ablation or value that is unknown stays the word that it is, and so does a key of another
    form. Model, head or variant may be missing; a variant may have several settings, with commas between them.
    """
    base, _, variant = key[:-1].rpartition(" [") if key.endswith("]") and " [" in key else (key, "", "")
    model, _, head = base.rpartition(" ")
    if head not in HEAD_NAMES:
        model, head = base, ""
    settings = [setting_name(*part.split("=", 1)) if "=" in part else part for part in variant.split(",")]
    words = ", ".join(word for word in (features_name(model), HEAD_NAMES.get(head, ""), *settings) if word)
    return words if model else words[:1].upper() + words[1:]  # a head alone begins its line


def features_name(name: str) -> str:
    """Words for the name of a feature set, joined ones ("minilm+clmbr") with a plus between them."""
    return " + ".join(_FEATURES.get(part, part) for part in name.split("+"))


def setting_name(family: str, value: str) -> str:
    """Words for one setting of an ablation: "look-back 1 year", "context 2,048 tokens"."""
    title = FAMILIES.get(family)
    if title is None:
        return f"{family}={value}"
    short = title.removesuffix(" length")  # the unit says it: lengths are in tokens
    return f"{short.lower()} {value_name(family, value)}" + (" tokens" if short != title else "")


def value_name(family: str, value: str) -> str:
    """Words for the value of an ablation alone, without its unit: "1 year", "2,048", "without recent lab results"."""
    if family == "encoder":
        return features_name(value)
    if family == "sections":
        how, _, section = value.partition(":")
        return f"{how} {_SECTIONS.get(section, section).lower()}".strip()
    if value.isdecimal():
        return f"{int(value):,}"
    known = _VALUES.get(family, {}).get(value)
    return value if known is None else known.lower()
