import core.torchvision_ops  # noqa: F401  isort: skip
import pytest
import torch
import transformers

from core.embedding import registry
from core.embedding.registry import encoder_specs, get_spec, read_specs
from core.errors import InputError
from core.settings import get_settings

DESIGN = {  # DESIGN.md section 3
    "minilm": ("mean", "bidirectional", 384, False),
    "qwen3-embedding-0.6b": ("last", "causal", 1024, True),
    "qwen3-embedding-4b": ("last", "causal", 2560, True),
    "qwen3-embedding-8b": ("last", "causal", 4096, True),
    "gte-qwen2-1.5b-instruct": ("last", "bidirectional", 1536, True),
    "gte-qwen2-7b-instruct": ("last", "bidirectional", 3584, True),
    "llm2vec-llama-3.1-8b": ("text_mean", "bidirectional", 4096, True),
    "bioclinical-modernbert-base": ("mean", "bidirectional", 768, True),
    "bioclinical-modernbert-large": ("mean", "bidirectional", 1024, True),
    "openai-compatible": ("server", "server", 0, True),
}


def test_every_encoder_of_the_design_is_registered():
    got = {
        name: (spec.pooling, spec.attention, spec.dimension, spec.takes_instruction)
        for name, spec in encoder_specs().items()
    }
    assert got == DESIGN


@pytest.mark.parametrize("name", DESIGN)
def test_every_card_is_complete(name: str):
    spec = get_spec(name)
    assert spec.licence and spec.url and spec.traps and spec.facts and spec.title
    if not spec.remote:
        assert spec.context >= spec.max_tokens or spec.chunking == "structure"
        assert spec.memory_gb == pytest.approx(spec.parameters * 2e-9)


def test_the_papers_template_is_used_to_the_letter():
    assert get_spec("qwen3-embedding-8b").template == "Instruct: {instruction}\nQuery:\n{record}"
    assert get_spec("bioclinical-modernbert-base").template == "{instruction}\n\n{record}"


def test_parameters_are_those_of_the_published_shapes():
    """Counted on the stock classes, built without memory; the language-model head is not loaded."""
    gqa = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
    qwen3 = {"vocab_size": 151_665} | gqa
    shapes = {
        "qwen3-embedding-0.6b": (
            "Qwen3",
            qwen3
            | {"vocab_size": 151_669, "hidden_size": 1024, "intermediate_size": 3072}
            | {"num_hidden_layers": 28, "num_attention_heads": 16},
        ),
        "qwen3-embedding-4b": ("Qwen3", qwen3 | {"hidden_size": 2560, "intermediate_size": 9728}),
        "qwen3-embedding-8b": ("Qwen3", qwen3 | {"hidden_size": 4096, "intermediate_size": 12_288}),
        "gte-qwen2-1.5b-instruct": (
            "Qwen2",
            {"vocab_size": 151_646, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28}
            | {"num_attention_heads": 12, "num_key_value_heads": 2},
        ),
        "gte-qwen2-7b-instruct": (
            "Qwen2",
            {"vocab_size": 151_646, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28}
            | {"num_attention_heads": 28, "num_key_value_heads": 4},
        ),
        "llm2vec-llama-3.1-8b": (
            "Llama",
            {"vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32}
            | {"num_attention_heads": 32, "num_key_value_heads": 8},
        ),
        "bioclinical-modernbert-base": (
            "ModernBert",
            {"vocab_size": 50_368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22}
            | {"num_attention_heads": 12},
        ),
        "bioclinical-modernbert-large": (
            "ModernBert",
            {"vocab_size": 50_368, "hidden_size": 1024, "intermediate_size": 2624, "num_hidden_layers": 28}
            | {"num_attention_heads": 16},
        ),
    }
    for name, (family, shape) in shapes.items():
        with torch.device("meta"):
            model = getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**shape))
        assert sum(parameter.numel() for parameter in model.parameters()) == get_spec(name).parameters, name
        assert get_spec(name).dimension == shape["hidden_size"]


ENTRY = """
[mine]
source = "folder:/somewhere"
architecture = "bert"
dimension = 8
pooling = "mean"
attention = "bidirectional"
licence = "MIT"
"""


def test_own_entries_join_the_shipped_ones(tmp_path, monkeypatch):
    (tmp_path / "own.toml").write_text(ENTRY)
    monkeypatch.setattr(
        registry, "get_settings", lambda: get_settings().model_copy(update={"encoders": tmp_path / "own.toml"})
    )
    assert get_spec("mine").dimension == 8
    assert get_spec("minilm").dimension == 384


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("dimension = 8", 'dimension = "eight"'), "dimension is 'eight'"),
        (("dimension = 8", "dimension = true"), "dimension is True"),
        (("dimension = 8", "dimension = 0"), "dimension is 0"),
        (('licence = "MIT"', ""), "lacks licence"),
        (('pooling = "mean"', 'pooling = "max"'), "pooling is 'max'"),
        (('"bert"', '"t5"'), "architecture is 't5'"),
        (('"folder:/somewhere"', '"https://somewhere"'), "source is"),
        (("dimension = 8", "dimension = 8\nwidth = 3"), "unknown key 'width'"),
        (("dimension = 8", 'dimension = 8\ntemplate = "no place"'), "template must hold"),
        (("dimension = 8", 'dimension = 8\nadapters = "one"'), "adapters is not a list"),
        (("dimension = 8", 'dimension = 8\nchunking = "window"'), "chunk_tokens is 0"),
        (("[mine]", "[mine"), "not valid TOML"),
        (("dimension = 8", 'dimension = 8\nname = "../../mine"'), "is no folder name"),
        (("dimension = 8", "dimension = 8\nparameters = -1"), "parameters is -1"),
        (("dimension = 8", "dimension = 8\ncontext = 512\nmax_tokens = 4096"), "reads 4096 tokens at once with a"),
        (("dimension = 8", "dimension = 8\nmax_tokens = 0"), "reads 0 tokens at once"),
        (("dimension = 8", 'dimension = 8\nchunking = "structure"\nchunk_tokens = 600'), "reads 600 tokens at once"),
        (('pooling = "mean"', 'pooling = "server"'), "do not agree"),
        (('"folder:/somewhere"', '"server"'), "do not agree"),
        (('attention = "bidirectional"', 'attention = "causal"'), "attends in both directions"),
    ],
)
def test_a_bad_entry_is_named(tmp_path, change, message):
    path = tmp_path / "own.toml"
    path.write_text(ENTRY.replace(*change))
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        read_specs(path)


SERVER = """
[ours]
source = "server"
architecture = "server"
dimension = 0
pooling = "server"
attention = "server"
licence = "ours"
"""


def test_a_server_cuts_texts_by_itself(tmp_path):
    path = tmp_path / "own.toml"
    for given in ("", "context = 8192", "max_tokens = 0"):
        path.write_text(SERVER + given)
        assert read_specs(path)["ours"].max_tokens == 0
    for given in ("max_tokens = 512", 'chunking = "window"\nchunk_tokens = 512'):
        path.write_text(SERVER + given)
        with pytest.raises(InputError, match=r"\[ours\]: max_tokens and chunking have no effect on a server"):
            read_specs(path)
    with pytest.raises(InputError, match="512 tokens cannot be asked of it; set the longest input in the server"):
        get_spec("openai-compatible").reading(512)
    assert get_spec("qwen3-embedding-8b").reading(512).max_tokens == 512


def test_one_bound_stands_for_the_other(tmp_path):
    path = tmp_path / "own.toml"
    for given, bounds in (("", (512, 512)), ("max_tokens = 4096", (4096, 4096)), ("context = 128", (128, 128))):
        path.write_text(ENTRY + given)
        spec = read_specs(path)["mine"]
        assert (spec.context, spec.max_tokens) == bounds


def test_a_missing_file_and_an_unknown_name_are_errors(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_specs(tmp_path / "none.toml")
    with pytest.raises(InputError, match="no encoder named 'gpt'; choose one of minilm"):
        get_spec("gpt")


@pytest.mark.parametrize("tokens", [0, 8, 40_000])
def test_a_chunk_size_that_does_not_suit_is_an_error(tokens):
    with pytest.raises(InputError, match="does not suit"):
        get_spec("qwen3-embedding-8b").chunked(tokens)
