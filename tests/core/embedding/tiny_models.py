"""Tiny randomly initialised models of each encoder family, written to disk as the published ones are."""

import dataclasses
import json
from pathlib import Path

import core.torchvision_ops  # noqa: F401  isort: skip
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from core.embedding.registry import EncoderSpec, get_spec

FAMILIES = ("qwen3", "qwen2", "llama", "modernbert", "bert")
REGISTERED = {
    "qwen3": "qwen3-embedding-0.6b",
    "qwen2": "gte-qwen2-1.5b-instruct",
    "llama": "llm2vec-llama-3.1-8b",
    "modernbert": "bioclinical-modernbert-base",
    "bert": "minilm",
}
WIDTH = 32
TEMPLATE = "Instruct: {instruction}\nQuery:\n{record}"
ENTRIES = {
    "bert": {"pooling": "mean", "attention": "bidirectional", "chunking": "structure", "chunk_tokens": 256}
    | {"max_tokens": 1500},
    "qwen3": {"pooling": "last", "attention": "causal", "max_tokens": 400},
}
SIZES = {
    "vocab_size": 264,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "pad_token_id": 258,
}


def byte_tokenizer(family: str) -> Tokenizer:
    """One token a byte, with the special tokens where the family's own tokenizer puts them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<start>", "<end>", "<pad>", "<mask>"])
    template = {"qwen3": "$A <end>", "qwen2": "$A <end>", "llama": "<start> $A"}.get(family, "<start> $A <end>")
    specials = [("<start>", 256), ("<end>", 257)]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=specials)
    tokenizer.enable_truncation(16)  # as shipped files do; it must not be obeyed
    return tokenizer


def build(family: str, folder: Path) -> Path:
    """Write config.json, model.safetensors and tokenizer files of a random model of the family."""
    import transformers

    torch.manual_seed(7)
    gqa = SIZES | {"num_key_value_heads": 2, "max_position_embeddings": 4096}
    if family == "qwen3":
        model = transformers.Qwen3Model(transformers.Qwen3Config(**gqa, head_dim=8))
    elif family == "qwen2":
        model = transformers.Qwen2Model(transformers.Qwen2Config(**gqa))
    elif family == "llama":
        model = transformers.LlamaModel(transformers.LlamaConfig(**gqa))
    elif family == "modernbert":
        config = transformers.ModernBertConfig(**SIZES, local_attention=16, max_position_embeddings=4096)
        model = transformers.ModernBertModel(config)
    else:
        model = transformers.BertModel(transformers.BertConfig(**SIZES), add_pooling_layer=False)
    with torch.no_grad():  # larger than an initialisation, so that direction and order of attention matter
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(6)
    model.save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(family), eos_token="<end>", pad_token="<pad>", padding_side="left"
    )
    tokenizer.save_pretrained(folder)
    return folder


def tiny_spec(family: str, folder: Path, **changes: object) -> EncoderSpec:
    """The registered entry of the family, with the tiny model's weights and width."""
    changes = {
        "dimension": WIDTH,
        "source": f"folder:{folder}",
        "sha256": "",
        "config_sha256": "",
        "adapters": (),
        "parameters": 50_000,
        "max_tokens": 4096,
    } | changes
    return dataclasses.replace(get_spec(REGISTERED[family]), **changes)


def registry_entry(name: str, family: str, folder: Path, **more: object) -> str:
    """The entry, in the TOML of a registry of the test's own, that names the tiny model in ``folder``."""
    entry = {"source": f"folder:{folder}", "architecture": family, "dimension": WIDTH, "licence": "none"}
    entry |= ENTRIES[family] | more
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items()), ""])
