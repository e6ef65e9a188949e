"""docs/encoders.md tells of every encoder and every key."""

from dataclasses import fields

from core.embedding.registry import EncoderSpec, encoder_specs
from core.settings import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "encoders.md").read_text()


def test_every_encoder_stands_in_the_table():
    rows = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}
    for name, spec in encoder_specs().items():
        assert name in rows
        if not spec.remote:
            assert f"| {spec.dimension:,} | {spec.max_tokens:,}" in rows[name]
            assert f"| {spec.memory_gb:.{2 if spec.memory_gb < 0.1 else 1}f} GB |" in rows[name]


def test_every_key_of_an_entry_is_explained():
    keys = PAGE.split("| key | meaning |")[1].split("## Measured")[0]
    assert [field.name for field in fields(EncoderSpec) if f"`{field.name}`" not in keys] == []
