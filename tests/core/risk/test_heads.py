import dataclasses
import json

import numpy as np
import pytest

from core.errors import InputError, MissingError
from core.risk.calibration import fit_calibrator
from core.risk.heads import Head, head_version, load_head, load_heads, save_head
from core.risk.identity import FeatureIdentity
from core.risk.subtasks import SUBTASK_BY_KEY

IDENTITY = FeatureIdentity("minilm", "r1", "corrected", "markdown", 4096, "256", "none", 6)


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
    ],
)
def test_a_head_refuses_features_of_another_making(field, value):
    with pytest.raises(InputError, match=field):
        make_head().require(dataclasses.replace(IDENTITY, **{field: value}))


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
