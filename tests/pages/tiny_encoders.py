"""A registry of the test's own beside the shipped one: tiny encoders on disk, one with heads of its own."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core import cli
from core.ehr.demo import generate_demo
from core.ehr.markdown import SerializationOptions
from core.ehr.store import open_dataset
from core.embedding.encoders import load_encoder
from core.risk.heads import load_heads, save_head
from core.risk.records import feature_identity
from core.settings import PROJECT_ROOT
from tests.core.embedding.tiny_models import TEMPLATE, build, registry_entry

TASKS = ("guo_los", "lab_anemia")


@dataclass(frozen=True)
class TinyEncoders:
    """Where things are, and a patient with a label of a task that both minilm and tiny score reliably."""

    registry: Path
    heads: Path
    only_minilm: Path
    dataset: Path
    subject: int
    at: datetime

    @property
    def query(self) -> dict[str, str]:
        """The link to the patient."""
        return {"subject": str(self.subject), "at": self.at.isoformat()}


def write(folder: Path) -> TinyEncoders:
    """Write everything. The environment must name the registry and a home when this runs (see the fixture)."""
    registry, dataset = folder / "own.toml", folder / "demo"
    bert, qwen3 = (build(family, folder / family) for family in ("bert", "qwen3"))
    traps = ["Random weights: its scores mean nothing."]
    registry.write_text(
        registry_entry("tiny", "bert", bert, title="Tiny BERT", traps=traps)
        + registry_entry("tiny-instructed", "qwen3", qwen3, template=TEMPLATE)
        + registry_entry("huge", "qwen3", qwen3, parameters=4_000_000_000_000)
    )
    generate_demo(dataset, subjects=300, seed=0)
    for heads in ("heads", "only-minilm"):
        (folder / heads).mkdir()
        (folder / heads / "minilm").symlink_to(PROJECT_ROOT / "assets" / "heads" / "minilm")
    labels = open_dataset(dataset).labels("lab_anemia").row(0, named=True)
    return TinyEncoders(
        registry, folder / "heads", folder / "only-minilm", dataset, labels["subject_id"], labels["prediction_time"]
    )


def train(tiny: TinyEncoders) -> None:
    """Train heads of ``tiny`` with the command that the page shows."""
    out = str(tiny.heads / "tiny")
    line = ["train-heads", out, "--dataset", str(tiny.dataset), "--encoder", "tiny", "--tasks", ",".join(TASKS)]
    assert cli.main(line) == 0


def give_heads(tiny: TinyEncoders, name: str, folder: Path) -> None:
    """Write heads for another tiny encoder: those of ``tiny``, said to be made for it. Numbers without a meaning."""
    identity = feature_identity(load_encoder(name), SerializationOptions())
    for head in load_heads(tiny.heads / "tiny").values():
        card = {key: value for key, value in head.card.items() if key != "features"}
        save_head(dataclasses.replace(head, identity=identity, card=card), folder / name)
