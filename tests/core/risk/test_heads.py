import dataclasses
import json
import re

import numpy as np
import pytest

from core.ehr.markdown import SerializationOptions
from core.embedding.registry import get_spec
from core.errors import InputError, MissingError
from core.risk.calibration import fit_calibrator
from core.risk.heads import Head, head_version, load_head, load_heads, save_head
from core.risk.identity import FeatureIdentity
from core.risk.metrics import auroc
from core.risk.records import identity_of
from core.risk.report_table import heads_table
from core.risk.subtasks import SUBTASK_BY_KEY
from core.risk.train import TrainingSource
from core.risk.training_run import TrainingRun

from .conftest import HashEncoder

IDENTITY = FeatureIdentity(
    "minilm", "r1", "corrected", "markdown", 4096, "256", "none", 6, "w1", "c1", "{record}", "mean", "bidirectional"
)


def make_head(key="guo_los", identity=IDENTITY, seed=0, n_positive=40):
    rng = np.random.default_rng(seed)
    d = identity.dimension
    raw = rng.normal(size=120)
    target = np.r_[np.ones(n_positive), np.zeros(120 - n_positive)].astype(np.int8)
    head = Head(
        SUBTASK_BY_KEY[key],
        identity,
        rng.random(d) + 0.1,
        rng.normal(size=d),
        -0.5,
        fit_calibrator(raw, target, n_bootstrap=10),
        raw.astype(np.float32),
        target,
        np.arange(120, dtype=np.int32) // 2,
        {"data": {"train_positive": 100}},
    )
    return dataclasses.replace(head, version=head_version(head))


def test_a_saved_head_scores_the_same_bit_for_bit(tmp_path):
    head = make_head()
    save_head(head, tmp_path)
    loaded = load_heads(tmp_path)["guo_los"]
    matrix = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)
    assert (loaded.probability(matrix) == head.probability(matrix)).all()
    assert loaded.version == head.version and loaded.identity == head.identity
    assert loaded.prevalence == pytest.approx(40 / 120)


def test_raw_scores_are_scaler_and_regression(tmp_path):
    head = make_head()
    matrix = np.random.default_rng(3).normal(size=(5, 6))
    assert head.raw(matrix) == pytest.approx((matrix / head.scale) @ head.coef + head.intercept, abs=1e-12)


def test_files_are_reproducible_and_leave_no_temporary_behind(tmp_path):
    save_head(make_head(), tmp_path / "a")
    save_head(make_head(), tmp_path / "b")
    for name in ("guo_los.npz", "guo_los.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["guo_los.json", "guo_los.npz"]


@pytest.mark.parametrize(
    "field,value",
    [
        ("encoder", "qwen"),
        ("revision", "r2"),
        ("profile", "paper"),
        ("strategy", "recent_codes"),
        ("max_tokens", 512),
        ("chunking", "512"),
        ("dimension", 7),
        ("instruction", "task"),
        ("weights_sha256", "w2"),
        ("config_sha256", "c2"),
        ("template", "Clinical note: {record}"),
        ("pooling", "last"),
        ("attention", "causal"),
    ],
)
def test_a_head_refuses_features_of_another_making(field, value):
    with pytest.raises(InputError, match=f"other features: {field} is {re.escape(repr(value))} where the head needs"):
        make_head().require(dataclasses.replace(IDENTITY, **{field: value}))


LATER = ("weights_sha256", "config_sha256", "template", "pooling", "attention")


def test_a_card_without_the_later_items_is_one_of_the_shipped_encoder_alone():
    """What it leaves out is known there: the entry pins weights, configuration and reading."""
    spec = get_spec("minilm")
    given = IDENTITY.to_dict() | {"revision": spec.revision}
    first = {name: value for name, value in given.items() if name not in LATER}
    pinned = FeatureIdentity.from_dict(first)
    assert (pinned.weights_sha256, pinned.config_sha256) == (spec.sha256, spec.config_sha256)
    assert (pinned.template, pinned.pooling, pinned.attention) == ("{record}", "mean", "bidirectional")
    with pytest.raises(InputError, match="weights_sha256 is 'other' where the head needs '53aa5117"):
        make_head(identity=pinned).require(dataclasses.replace(pinned, weights_sha256="other"))
    for change in ({"encoder": "qwen3-embedding-0.6b", "revision": "main"}, {"revision": "main"}, {"encoder": "mine"}):
        with pytest.raises(InputError, match="does not say the weights_sha256 of the features"):
            FeatureIdentity.from_dict(first | change)


@pytest.mark.parametrize(
    "name,value",
    [
        ("weights_sha256", "w2"),
        ("config_sha256", "c2"),
        ("template", "{record}."),
        ("pooling", "last"),
        ("attention", "causal"),
    ],
)
def test_another_checkpoint_or_reading_under_the_same_name_is_another_identity(encoder, name, value):
    """As two fine-tunes in the same ``folder:`` source are, whose revision is "main" for both."""
    options = SerializationOptions()
    own, other = (identity_of(said, options) for said in (encoder.identity, encoder.identity | {name: value}))
    assert getattr(other, name) == value and dataclasses.replace(other, **{name: encoder.identity[name]}) == own


def test_a_head_accepts_its_own_features():
    make_head().require(dataclasses.replace(IDENTITY))


def test_wrong_dimension_and_nan_are_refused():
    with pytest.raises(InputError, match="7 dimensions"):
        make_head().raw(np.zeros((1, 7)))
    with pytest.raises(InputError, match="finite"):
        make_head().raw(np.full((1, 6), np.nan))


def test_damage_is_found(tmp_path):
    save_head(make_head(), tmp_path)
    good_npz, good_card = (tmp_path / "guo_los.npz").read_bytes(), (tmp_path / "guo_los.json").read_text()
    (tmp_path / "guo_los.npz").write_bytes(good_npz[: len(good_npz) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load_head(tmp_path, "guo_los")
    save_head(make_head(seed=1), tmp_path)
    (tmp_path / "guo_los.json").write_text(good_card)
    with pytest.raises(InputError, match="other arrays"):
        load_head(tmp_path, "guo_los")
    (tmp_path / "guo_los.json").write_text("{}")
    with pytest.raises(InputError, match="card"):
        load_head(tmp_path, "guo_los")
    card = json.loads(good_card)
    card["features"]["dimension"] = 5
    (tmp_path / "guo_los.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="shape"):
        load_head(tmp_path, "guo_los")


def test_damage_at_any_byte_is_an_error_not_a_crash(tmp_path):
    """Some of it is found by zlib, whose error is none of zipfile's."""
    save_head(make_head(), tmp_path)
    path, good = tmp_path / "guo_los.npz", (tmp_path / "guo_los.npz").read_bytes()
    version = load_head(tmp_path, "guo_los").version
    for at in range(0, len(good), 3):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xA5]) + good[at + 1 :])
        try:
            assert head_version(load_head(tmp_path, "guo_los")) == version  # a byte that says nothing of the arrays
        except InputError as error:
            assert "make the heads again" in error.fix
    path.write_bytes(good)
    (tmp_path / "guo_los.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="cannot be read"):
        load_head(tmp_path, "guo_los")


def test_a_pickle_in_the_archive_is_never_run(tmp_path):
    save_head(make_head(), tmp_path)
    np.savez(tmp_path / "guo_los.npz", scale=np.array([object()], dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        load_head(tmp_path, "guo_los")


def test_an_empty_folder_says_how_to_make_heads(tmp_path):
    with pytest.raises(MissingError, match="train-heads"):
        load_heads(tmp_path)


def test_chexpert_heads_have_safe_names(tmp_path):
    save_head(make_head("chexpert.pleural_effusion"), tmp_path)
    head = load_heads(tmp_path)["chexpert.pleural_effusion"]
    assert head.subtask.task == "chexpert" and head.subtask.label == "Pleural Effusion"


def test_the_printed_auroc_is_that_of_the_probability_as_on_the_card():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=4000)
    isotonic = fit_calibrator(raw, rng.random(4000) < 1 / (1 + np.exp(1 - raw)), n_bootstrap=5)
    assert isotonic.method == "isotonic"
    head = dataclasses.replace(make_head(), calibrator=isotonic)
    calibrated = auroc(head.reference_target, head.reference_probability)
    assert f"{calibrated:.3f}" != f"{auroc(head.reference_target, head.reference_raw):.3f}"  # ties of the steps
    assert f"{calibrated:.3f}" in heads_table({"guo_los": head})


def test_cases_are_counted_in_patients():
    head = make_head(n_positive=41)  # two rows a patient, one patient with both outcomes
    assert (head.patients_with, head.patients_without) == (21, 40)
    assert (head.cohort, head.cohort_synthetic) == ("an unnamed cohort", False)


def test_no_neighbours_of_another_encoder_stay_beside_new_heads(dataset, tmp_path):
    for template, there in (("{record}", True), ("Instruct: {instruction}\nQuery:\n{record}", False)):
        source = TrainingSource("shaped", True, "")
        run = TrainingRun(
            dataset, HashEncoder(template), SerializationOptions(), source, None, ["guo_los"], max_labels=150
        )
        run.embed()
        run.fit(tmp_path)
        assert (tmp_path / "neighbours.npz").is_file() == there
        assert load_heads(tmp_path)["guo_los"].identity.template == template
