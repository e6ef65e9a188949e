"""`train-heads` and `score` as a user runs them, with the real MiniLM; and the heads that ship."""

import json
import shlex
import shutil
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from core.cli import main
from core.ehr.demo import generate_demo
from core.ehr.store import open_dataset
from core.ehr.tasks import TASKS
from core.embedding.encoders import load_encoder
from core.risk.cards import SYNTHETIC_WARNING, missing_items
from core.risk.heads import load_heads
from core.risk.metrics import auroc
from core.risk.neighbours import load_pool
from core.risk.score import score_subject, shortage
from core.risk.subtasks import SUBTASK_BY_KEY
from core.settings import PROJECT_ROOT, get_settings

SHIPPED = PROJECT_ROOT / "assets" / "heads" / "minilm"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    generate_demo(folder, subjects=25)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARTLIGHT_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    yield tmp_path / "home"
    get_settings.cache_clear()


def labelled(dataset):
    subject, time, _ = dataset.labels("guo_los").row(0)
    return subject, time


def test_score_prints_the_numbers_of_the_library(demo, home, capsys):
    dataset = open_dataset(demo)
    subject, time = labelled(dataset)
    command = ["score", str(demo), "--subject", str(subject), "--at", time.isoformat(), "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    direct = score_subject(dataset, subject, time, load_encoder("minilm"), load_heads(SHIPPED))
    assert printed["synthetic"] is True and "clinical" in printed["notice"]
    assert len(printed["scores"]) == 28
    for got, score in zip(printed["scores"], direct):
        assert got["task"] == score.task and got["label"] == score.label
        assert got["probability"] == pytest.approx(score.probability, abs=1e-5)
        for name in ("prevalence", "percentile", "interval", "n", "n_positive", "horizon", "head_version", "encoder"):
            assert got[name] is not None


def test_score_prints_a_table_of_chosen_tasks(demo, home, capsys):
    subject, time = labelled(open_dataset(demo))
    command = ["score", str(demo), "--subject", str(subject), "--at", time.isoformat(), "--tasks", "guo_los,guo_icu"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "Long LOS" in out and "ICU Admission" in out and "Anemia" not in out and "Not a medical device" in out
    assert SYNTHETIC_WARNING in out and "average of Chartlight demo cohort" in out
    assert "The heads were trained on" not in out  # they are of the cohort that is scored


@pytest.mark.parametrize(
    "change,words",
    [
        ({"--subject": "999999"}, "999999"),
        ({"--at": "yesterday"}, "ISO time"),
        ({"--at": "1700-01-01"}, "birth"),
        ({"--at": "2020-01-01T00:00+01:00"}, "time zone"),
        ({"--tasks": "nonsense"}, "nonsense"),
        ({"--heads": "none"}, "no risk heads"),
        ({"--encoder": "qwen3-embedding-8b"}, "/qwen3-embedding-8b --dataset DATASET --encoder qwen3-embedding-8b"),
        ({"--encoder": "nonsense"}, "nonsense"),
    ],
)
def test_bad_input_is_one_sentence(demo, home, capsys, change, words):
    subject, time = labelled(open_dataset(demo))
    values = {"--subject": str(subject), "--at": time.isoformat()} | change
    assert main(["score", str(demo), *(part for pair in values.items() for part in pair)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and words in error and "; " in error


def test_train_heads_is_deterministic_and_scores(dataset_path, home, tmp_path, capsys):
    for out in ("a", "b"):
        command = ["train-heads", str(tmp_path / out), "--dataset", str(dataset_path), "--tasks", "guo_los,lab_anemia"]
        assert main([*command, "--max-labels", "150"]) == 0
    printed = capsys.readouterr().out
    assert "Long LOS" in printed and "AUROC" in printed and "positives" in printed
    for key in ("guo_los", "lab_anemia"):
        assert (tmp_path / "a" / f"{key}.npz").read_bytes() == (tmp_path / "b" / f"{key}.npz").read_bytes()
    head = load_heads(tmp_path / "a")["guo_los"]
    assert head.identity.encoder == "minilm" and auroc(head.reference_target, head.reference_raw) > 0.6
    assert not list((tmp_path / "a").glob(".*"))


def test_a_card_has_the_whole_command_with_the_settings_encoder(dataset_path, home, tmp_path):
    words = ["train-heads", str(tmp_path / "my heads"), "--dataset", str(dataset_path), "--tasks", "guo_los"]
    words += ["--profile", "paper", "--strategy", "recent_codes", "--max-labels", "150", "--seed", "3"]
    assert main(words) == 0
    command = load_heads(tmp_path / "my heads")["guo_los"].card["reproduce"]["command"]
    assert shlex.split(command) == ["python", "-m", "core", *words, "--encoder", "minilm"]


def test_only_the_head_with_too_few_patients_is_not_reliable():
    assert [key for key, head in load_heads(SHIPPED).items() if shortage(head)] == ["new_hypertension"]


def test_train_heads_without_labels_says_so(dataset_path, home, tmp_path, capsys):
    folder = tmp_path / "unlabelled"
    shutil.copytree(dataset_path, folder)
    shutil.rmtree(folder / "labels")
    assert main(["train-heads", str(tmp_path / "out"), "--dataset", str(folder)]) == 2
    assert "no usable label" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_train_heads_that_trains_none_is_an_error(dataset_path, home, tmp_path, capsys):
    folder = tmp_path / "negatives"
    shutil.copytree(dataset_path, folder)
    labels = pl.read_parquet(folder / "labels" / "guo_los" / "labels.parquet").with_columns(boolean_value=False)
    labels.write_parquet(folder / "labels" / "guo_los" / "labels.parquet")
    arguments = ["train-heads", str(tmp_path / "out"), "--dataset", str(folder), "--tasks", "guo_los"]
    assert main([*arguments, "--max-labels", "100"]) == 2
    printed = capsys.readouterr()
    assert "note: guo_los: no head: the train split has no positives" in printed.out
    assert printed.err.strip().splitlines()[-1].startswith("error: no head could be trained; ")
    assert not list((tmp_path / "out").glob("*.npz"))  # no neighbours beside heads that are not there


def test_shipped_heads_are_whole_and_neither_noise_nor_trivial():
    heads = load_heads(SHIPPED)
    assert set(heads) == set(SUBTASK_BY_KEY)
    for task in TASKS:
        own = [head for head in heads.values() if head.subtask.task == task.id]
        value = np.mean([auroc(head.reference_target, head.reference_raw) for head in own])
        assert 0.65 <= value <= 0.95, f"{task.id}: {value:.3f}"
    for head in heads.values():
        assert missing_items(head.card) == [] and head.card["data"]["synthetic"] is True
        assert "train-heads assets/heads/minilm" in head.card["reproduce"]["command"]


def test_no_small_subgroup_can_be_had_from_a_shipped_card():
    for head in load_heads(SHIPPED).values():
        hidden: dict[str, list[bool]] = {}
        for group in head.card["subgroups"]:
            hidden.setdefault(group["attribute"], []).append(group["suppressed"])
        assert all(sum(flags) != 1 or len(flags) == 1 for flags in hidden.values()), head.key


def test_shipped_heads_fit_the_shipped_encoder_and_are_small():
    encoder = load_encoder("minilm")
    from core.ehr.markdown import SerializationOptions
    from core.risk.records import feature_identity

    for head in load_heads(SHIPPED).values():
        head.require(feature_identity(encoder, SerializationOptions()))
    heads = sum(p.stat().st_size for p in SHIPPED.iterdir() if p.name != "neighbours.npz")
    assert heads < 2_000_000 and (SHIPPED / "neighbours.npz").stat().st_size < 5_000_000
    pool = load_pool(SHIPPED)
    assert pool.matrix.shape[1] == encoder.dimension
    assert pool.time.min() > np.datetime64(datetime(1900, 1, 1))
