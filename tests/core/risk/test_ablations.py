"""Ablations: feature sets that differ in one setting, and records that they empty."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from core.ehr.demo import generate_demo
from core.ehr.markdown import SerializationOptions
from core.ehr.store import open_dataset
from core.embedding.chunks import RULES
from core.embedding.cohort import EncoderChoice, describe, embed_cohort
from core.embedding.encoders import load_encoder
from core.embedding.registry import get_spec
from core.errors import InputError
from core.risk.ablations import Ablation, ablation_features, parse_ablations, require_encoder, settings_of
from core.risk.cohort import load_task_labels, unique_times
from core.risk.featuresets import FeatureSet
from core.risk.models import choose_models
from core.risk.runner import RunOptions, load_labels, run_benchmark
from core.risk.train import TrainingSource
from core.risk.training_run import TrainingRun
from core.settings import get_settings

from .conftest import HashEncoder


@pytest.fixture
def fresh_settings():
    """Settings are read again in the test and after it."""
    yield
    get_settings.cache_clear()


def test_ablations_make_feature_sets(dataset):
    encoder = HashEncoder()

    class Spec:
        name, takes_instruction, max_tokens = "hash-words", False, 4096

    rows = {"guo_los": unique_times([load_task_labels(dataset, "guo_los")[0]])}
    options = SerializationOptions(keep=("demographics",))
    only = ablation_features(
        Ablation("sections=only:demographics", Spec, options), encoder, dataset, ["guo_los"], rows
    )
    full = ablation_features(Ablation("", Spec, SerializationOptions()), encoder, dataset, ["guo_los"], rows)
    assert only.variant == "sections=only:demographics" and only.matrix.shape == full.matrix.shape
    assert np.abs(only.matrix - full.matrix).max() > 0


RECENT = SerializationOptions(profile="paper", strategy="recent_codes", lookback=timedelta(days=120))
"""Records that are empty for whoever had no visit in the last 120 days."""


def has_recent_events(dataset, subject, time):
    events = dataset.scan().select("subject_id", "time", "code").collect()
    events = events.filter(~pl.col("code").is_in(["MEDS_BIRTH", "Gender/F", "Gender/M"]))
    by_subject = {key[0]: part["time"].to_numpy() for key, part in events.group_by("subject_id")}
    return np.array(
        [
            bool(((by_subject[s] <= t) & (by_subject[s] >= t - np.timedelta64(120, "D"))).any())
            for s, t in zip(subject, time)
        ]
    )


@pytest.mark.parametrize("template", ["{record}", "Instruct: {instruction}\nQuery:\n{record}"])
def test_records_that_an_ablation_empties_count_as_missing_and_stop_nothing(dataset, embedded, tmp_path, template):
    encoder = HashEncoder(template)
    labels = {"guo_los": load_task_labels(dataset, "guo_los")[0]}
    subject, time = unique_times(list(labels.values()))
    readable = has_recent_events(dataset, subject, time)
    assert 50 < readable.sum() < len(readable) - 50
    ablation = Ablation("lookback=120d", encoder.spec, RECENT)
    found = ablation_features(ablation, encoder, dataset, ["guo_los"], {"guo_los": (subject, time)})
    np.testing.assert_array_equal(found.subject, subject[readable])
    np.testing.assert_array_equal(found.time, time[readable])
    assert np.isfinite(found.matrix).all() and len(found.matrix) == readable.sum()
    result = run_benchmark(dataset, [embedded, found], tmp_path, ["guo_los"], RunOptions(replicates=20))
    (problem,) = result.problems
    assert (problem.kind, problem.count) == ("missing_features", (~readable).sum())


def test_an_ablation_without_any_readable_record_is_an_error(dataset):
    encoder = HashEncoder()
    rows = {"guo_los": unique_times([load_task_labels(dataset, "guo_los")[0]])}
    options = SerializationOptions(profile="paper", strategy="recent_codes", lookback=timedelta(hours=1))
    with pytest.raises(InputError, match="no record can be read under lookback=1h"):
        ablation_features(Ablation("lookback=1h", encoder.spec, options), encoder, dataset, ["guo_los"], rows)


@pytest.mark.parametrize("template", ["{record}", "Instruct: {instruction}\nQuery:\n{record}"])
def test_heads_are_trained_on_the_records_that_can_be_read(dataset, tmp_path, template):
    encoder = HashEncoder(template)
    run = TrainingRun(dataset, encoder, RECENT, TrainingSource("shaped", True, ""), None, ["guo_los"], None)
    (before,) = run.tasks
    readable = has_recent_events(dataset, before.subject, before.time)
    run.embed()
    assert [(p.task, p.kind, p.count) for p in run.problems] == [("guo_los", "unreadable_record", (~readable).sum())]
    np.testing.assert_array_equal(run.tasks[0].subject, before.subject[readable])
    trained = run.fit(tmp_path)
    data = trained.heads["guo_los"].card["data"]
    assert sum(data[split] for split in ("train", "tuning", "held_out")) == readable.sum()
    if template == "{record}":
        pool = run.neighbours()
        assert len(pool.subject) == readable.sum()
        assert not set(pool.subject.tolist()) - set(before.subject[readable].tolist())


def test_an_ablation_changes_one_setting_of_the_features_it_is_compared_with(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARTLIGHT_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    generate_demo(tmp_path / "demo", subjects=20)
    dataset = open_dataset(tmp_path / "demo")
    options = SerializationOptions(
        profile="paper", strategy="recent_codes", drop=("demographics",), lookback=timedelta(days=700)
    )
    folder = tmp_path / "features"
    embed_cohort(dataset, folder, EncoderChoice("minilm", max_tokens=300), ["guo_icu"], options=options)
    labels, problems = load_labels(dataset, ["guo_icu"])

    def choose(*ablate, features=(f"mine={folder}",), encoder="minilm", models="mine"):
        return choose_models(dataset, labels, features, None, models, ablate, encoder, problems)

    base, same, shorter = choose("context=300", "context=64")
    assert (same.name, same.variant) == ("mine", "context=300")
    own = same.find("guo_icu", base.subject, base.time)
    assert np.abs(same.matrix[own] - base.matrix).max() < 1e-5 < np.abs(shorter.matrix[own] - base.matrix).max()
    assert same.about["serialization"] == base.about["serialization"] == describe(options)
    assert settings_of(base) == (get_spec("minilm").reading(300), options)
    with pytest.raises(InputError, match=r"qwen3-embedding-0\.6b made none of the features \(mine of minilm\)"):
        choose("lookback=full", encoder="qwen3-embedding-0.6b")
    with pytest.raises(InputError, match="the features mine and other are both of minilm"):
        choose("lookback=full", features=(f"mine={folder}", f"other={folder}"))
    np.savez(tmp_path / "own.npz", subject_id=base.subject, prediction_time=base.time, matrix=base.matrix)
    with pytest.raises(InputError, match="own of an encoder that they do not name"):
        choose("lookback=full", features=(str(tmp_path / "own.npz"),), models="own")
    changed = replace(base, about={**base.about, "encoder": {**base.about["encoder"], "weights_sha256": "0"}})
    with pytest.raises(InputError, match="weights_sha256 of the encoder minilm is not that of the features mine"):
        require_encoder(changed, load_encoder("minilm"))
    with pytest.raises(InputError, match="cut into chunks by other rules than today's"):
        settings_of(
            replace(base, about={**base.about, "encoder": {**base.about["encoder"], "chunking": "structure/0"}})
        )
    with pytest.raises(InputError, match="do not say how they were made"):
        settings_of(replace(base, about={"encoder": base.about["encoder"]}))
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (("structure", 64), ("window", 64)),
        (("structure", 64), ("structure", 128)),
        (("window", 64), ("none", 0)),
        (("none", 0), ("window", 64)),
    ],
)
def test_an_ablation_reads_with_the_chunks_of_the_features_whatever_the_registry_has_now(
    tmp_path, monkeypatch, fresh_settings, then, now
):
    registry = tmp_path / "encoders.toml"
    shipped = get_spec("minilm")

    def written(chunking, tokens):
        registry.write_text(
            f'[own]\nsource = "{shipped.source}"\nrevision = "1"\narchitecture = "{shipped.architecture}"\n'
            f'pooling = "{shipped.pooling}"\nattention = "{shipped.attention}"\ndimension = {shipped.dimension}\n'
            f'licence = "MIT"\ncontext = 512\nmax_tokens = 512\nchunking = "{chunking}"\nchunk_tokens = {tokens}\n'
        )
        get_settings.cache_clear()
        return get_spec("own")

    monkeypatch.setenv("CHARTLIGHT_ENCODERS", str(registry))
    before = written(*then)
    about = {
        "encoder": {
            "name": "own",
            "chunking": f"structure/{RULES}" if then[0] == "structure" else then[0],
            "chunk_tokens": then[1],
            "max_tokens": 512,
        },
        "serialization": describe(SerializationOptions()),
    }
    time = np.array(["2020"], "datetime64[us]")
    features = FeatureSet("own", ("lr_lbfgs",), np.array([1]), time, None, np.zeros((1, 2)), about=about)
    assert written(*now) != before and settings_of(features)[0] == before


def test_instructed_encoders_get_features_by_task(dataset):
    encoder = HashEncoder("Instruct: {instruction}\nQuery:\n{record}")

    class Spec:
        name, takes_instruction, max_tokens = "hash-words", True, 4096

    tasks = ["guo_los", "guo_icu"]
    rows = {task: unique_times([load_task_labels(dataset, task)[0]]) for task in tasks}
    own = ablation_features(Ablation("instruction=task", Spec, SerializationOptions()), encoder, dataset, tasks, rows)
    empty = ablation_features(
        Ablation("instruction=empty", Spec, SerializationOptions(), "empty"), encoder, dataset, tasks, rows
    )
    assert set(own.task) == set(tasks) and empty.task is None
    a, b = (own.matrix[own.find(task, *rows[task])] for task in tasks)
    assert np.abs(a - b).max() > 0


def test_ablation_names():
    minilm, options = get_spec("minilm"), SerializationOptions()
    made = parse_ablations(
        ["context=512,1024", "lookback=1d,full", "sections=without", "strategy=recent_codes"], minilm, options
    )
    assert [a.name for a in made][:4] == ["context=512", "context=1024", "lookback=1d", "lookback=full"]
    assert made[0].encoder.max_tokens == 512 and len(made) == 4 + 7 + 1
    for bad in (
        "context=x",
        "context=²",
        "chunk=²",
        "nonsense=1",
        "lookback=2w",
        "sections=some",
        "encoder=none",
        "instruction=task",
    ):
        with pytest.raises(InputError):
            parse_ablations([bad], minilm, options)


def test_a_server_has_no_context_ablation():
    """The text would be the same for every length, and so would the figures."""
    with pytest.raises(InputError, match="openai-compatible is a server, which cuts texts by itself"):
        parse_ablations(["context=16,512"], get_spec("openai-compatible"), SerializationOptions())
