"""A cohort that `python -m core embed` has gone through needs no embedding when its patients are scored on a page."""

from datetime import timedelta
from pathlib import Path

from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.embedding.cache import EmbeddingCache
from core.embedding.cached import EmbedStats, embed_texts
from core.embedding.cohort import EncoderChoice, embed_cohort
from core.embedding.encoders import load_encoder
from core.risk.heads import load_heads
from core.risk.records import options_of, record_at
from core.settings import PROJECT_ROOT, get_settings


def test_a_prepared_patient_is_scored_from_the_cache(tmp_path: Path, monkeypatch):
    settings = get_settings().model_copy(update={"cache": tmp_path / "cache.sqlite"})
    monkeypatch.setattr("core.embedding.cache.get_settings", lambda: settings)
    dataset = open_dataset(generate_demo(tmp_path / "demo", subjects=20, seed=5))
    embed_cohort(dataset.path, tmp_path / "features", EncoderChoice("minilm"), ["guo_los"])
    encoder, cache = load_encoder("minilm"), EmbeddingCache(settings.cache_path)  # as the page opens them
    options = options_of(next(iter(load_heads(PROJECT_ROOT / "assets" / "heads" / "minilm").values())).identity)
    labels = dataset.labels("guo_los")
    assert labels.height > 3
    for subject, at in labels.select("subject_id", "prediction_time").rows():
        stats = EmbedStats()
        embed_texts(encoder, [record_at(dataset, subject, at, options).text], None, cache, stats=stats)
        assert stats.pieces > 0 and stats.computed_pieces == 0
    subject, at = labels.select("subject_id", "prediction_time").row(0)
    stats = EmbedStats()
    later = record_at(dataset, subject, at + timedelta(days=900), options)
    embed_texts(encoder, [later.text], None, cache, stats=stats)
    assert stats.computed_pieces < stats.pieces  # at another time the chunks that stayed are found
