import json
import shutil

import numpy as np
import pytest

from core.embedding.cache import EmbeddingCache
from core.embedding.cached import EmbedStats, embed_texts
from core.embedding.checks import EmbeddingError
from core.embedding.encoders import load_encoder
from tests.core.embedding.tiny_models import tiny_spec

TEXTS = [
    "## Labs\n- Sodium: 137\n### Visit (3 days before prediction time)\n#### Conditions\n- Pneumonia",
    "## Labs\n- Sodium: 137\n### Visit (9 days before prediction time)\n#### Conditions\n- Pneumonia",
    "## Labs\n- Sodium: 137\n### Visit (9 days before prediction time)\n#### Conditions\n- Pneumonia\n- Fever",
]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("minilm", device="cpu")


@pytest.fixture
def cache(tmp_path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache.sqlite")


def test_the_cache_does_not_change_the_embedding(encoder, cache):
    plain = encoder.embed(TEXTS)
    first = [embed_texts(encoder, [text], cache=cache)[0] for text in TEXTS]
    again = embed_texts(encoder, TEXTS, cache=cache)
    np.testing.assert_allclose(first, plain, atol=2e-6)
    np.testing.assert_array_equal(first, again)


def test_another_prediction_time_costs_only_what_is_new(encoder, cache):
    counts = []
    for text in TEXTS:
        stats = EmbedStats()
        embed_texts(encoder, [text], cache=cache, stats=stats)
        counts.append((stats.pieces, stats.computed_pieces))
    assert counts == [(4, 4), (4, 1), (4, 1)]
    stats = EmbedStats()
    embed_texts(encoder, TEXTS, cache=cache, stats=stats)
    assert stats.computed == 0 and stats.saved == 1


def test_nothing_is_cached_when_a_vector_is_bad(encoder, cache, monkeypatch):
    monkeypatch.setattr(
        encoder.backend, "pooled", lambda sequences, prefixes: np.full((len(sequences), 384), np.inf, np.float32)
    )
    with pytest.raises(EmbeddingError):
        embed_texts(encoder, TEXTS, cache=cache)
    assert cache.stats().vectors == 0


def test_a_bad_text_stops_the_call_before_anything_is_computed(encoder, cache):
    with pytest.raises(Exception, match="empty"):
        embed_texts(encoder, [*TEXTS, " "], cache=cache)
    assert cache.stats().vectors == 0


def test_another_tokenizer_or_configuration_of_the_same_weights_shares_no_vector(tiny_folders, cache, tmp_path):
    folder = shutil.copytree(tiny_folders["bert"], tmp_path / "bert")
    spec = tiny_spec("bert", folder)
    first = load_encoder(spec=spec, device="cpu", backend="torch")
    cold = EmbedStats()
    embed_texts(first, TEXTS, cache=cache, stats=cold)
    kept = {}
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        kept[name] = (folder / name).read_bytes()
        change = {"normalizer": {"type": "Lowercase"}} if name == "tokenizer.json" else {"note": "changed"}
        (folder / name).write_text(json.dumps(json.loads(kept[name]) | change))
        changed = load_encoder(spec=spec, device="cpu", backend="torch")
        assert changed.identity != first.identity and changed.weights_sha256 == first.weights_sha256
        stats = EmbedStats()
        served = embed_texts(changed, TEXTS, cache=cache, stats=stats)
        assert stats.computed_pieces == cold.computed_pieces
        np.testing.assert_allclose(served, changed.embed(TEXTS), atol=2e-6)
        (folder / name).write_bytes(kept[name])
    assert load_encoder(spec=spec, device="cpu", backend="torch").identity == first.identity


def test_backends_do_not_share_vectors(encoder, cache):
    embed_texts(encoder, TEXTS, cache=cache)
    stats = EmbedStats()
    embed_texts(load_encoder("minilm", device="cpu", backend="torch"), TEXTS, cache=cache, stats=stats)
    assert stats.saved < 0.5
