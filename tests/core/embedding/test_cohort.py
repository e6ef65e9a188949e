"""Cohort features from the demo generator's records and tiny models."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from core import cli
from core.ehr.demo import generate_demo
from core.ehr.markdown import SerializationOptions, serialize
from core.ehr.store import open_dataset
from core.ehr.tasks import get_task
from core.embedding import cohort as cohort_module
from core.embedding import parts as parts_module
from core.embedding import ray_engine
from core.embedding.cohort import EncoderChoice, embed_cohort
from core.embedding.encoders import load_encoder
from core.embedding.features import read_features
from core.embedding.parts import cut_parts
from core.errors import InputError, MissingError
from core.settings import PROJECT_ROOT, get_settings
from tests.core.embedding.tiny_models import TEMPLATE, WIDTH, registry_entry

TASKS = ["guo_los", "new_hypertension"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cohort") / "demo"
    generate_demo(path, subjects=60, seed=3)
    return path


@pytest.fixture(autouse=True)
def own_settings(tmp_path, tiny_folders, monkeypatch):
    """Tiny encoders and a cache of the test's own, for this process and those that it starts."""
    own = tmp_path / "own.toml"
    own.write_text(
        registry_entry("tiny-bert", "bert", tiny_folders["bert"])
        + registry_entry("tiny-qwen3", "qwen3", tiny_folders["qwen3"], template=TEMPLATE, max_tokens=300)
    )
    monkeypatch.setenv("CHARTLIGHT_ENCODERS", str(own))
    monkeypatch.setenv("CHARTLIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHARTLIGHT_DEVICE", "cpu")
    monkeypatch.setattr(parts_module, "ROWS", (8, 8))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_features_are_the_embeddings_of_the_records_in_order(demo, tmp_path):
    seen = []
    report = embed_cohort(demo, tmp_path / "f", "tiny-bert", TASKS, progress=lambda *now: seen.append(now))
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen) and seen[-1][0] == seen[-1][1]
    assert all(re.fullmatch(r"[\d,]+ tokens/s, [\d,]+ s left, \d+% of tokens saved", note) for _, _, note in seen)
    features = read_features(tmp_path / "f")
    dataset, encoder = open_dataset(demo), load_encoder("tiny-bert")
    pairs = pl.concat([dataset.labels(task).select("subject_id", "prediction_time") for task in TASKS])
    pairs = pairs.unique().sort("subject_id", "prediction_time")
    assert report.rows == len(pairs) == len(features.matrix) > 10
    assert features.subject_id.tolist() == pairs["subject_id"].to_list()
    assert features.prediction_time.tolist() == pairs["prediction_time"].to_list()
    assert set(features.task) == {"all"}  # one embedding serves all tasks
    texts = [serialize(dataset.events(s), t, dataset.vocabulary).text for s, t in pairs.iter_rows()]
    np.testing.assert_allclose(features.matrix, encoder.embed(texts), atol=2e-6)
    assert features.matrix.dtype == np.float32
    assert features.manifest["encoder"] == encoder.identity and features.manifest["tasks"] == TASKS
    assert features.manifest["serialization"]["profile"] == "corrected" and features.manifest["synthetic"]
    assert str(tmp_path) not in (tmp_path / "f" / "manifest.json").read_text()
    schema = pq.read_schema(tmp_path / "f" / "part-00000.parquet")
    assert str(schema.field("embedding").type) == f"fixed_size_list<element: float>[{WIDTH}]"
    assert schema.names == ["subject_id", "prediction_time", "task", "embedding"]


def test_an_encoder_with_instruction_embeds_each_task_by_itself(demo, tmp_path):
    options = SerializationOptions(strategy="recent_codes")
    embed_cohort(demo, tmp_path / "f", "tiny-qwen3", TASKS, options=options)
    features = read_features(tmp_path / "f")
    dataset, encoder = open_dataset(demo), load_encoder("tiny-qwen3")
    assert len(features.matrix) == sum(len(dataset.labels(task)) for task in TASKS)
    for row in (0, len(features.matrix) // 2, len(features.matrix) - 1):
        at = features.prediction_time[row].astype(object)
        text = serialize(dataset.events(int(features.subject_id[row])), at, dataset.vocabulary, options).text
        instruction = get_task(features.task[row]).instruction_for("recent_codes")
        np.testing.assert_allclose(features.matrix[row], encoder.embed([text], instruction)[0], atol=1e-5)


def test_a_killed_run_goes_on_where_it_stopped(demo, tmp_path):
    whole = tmp_path / "whole"
    embed_cohort(demo, whole, EncoderChoice("tiny-bert", cache=False), TASKS)
    dest = tmp_path / "f"
    code = (
        "import sys, time; from pathlib import Path; from core.embedding import cohort, parts; parts.ROWS = (8, 8)\n"
        "write = cohort.write_part\n"
        "cohort.write_part = lambda *a: (write(*a), print('part', flush=True), time.sleep(0.2))\n"
        f"cohort.embed_cohort(Path({str(demo)!r}), Path({str(dest)!r}), "
        f"cohort.EncoderChoice('tiny-bert', cache=False), {TASKS!r})"
    )
    run = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT_ROOT, stdout=subprocess.PIPE)
    for _ in range(2):
        assert run.stdout.readline() == b"part\n"
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    with pytest.raises(MissingError, match="is not complete; run python -m core embed"):
        read_features(dest)
    written = {path.name: path.stat().st_mtime_ns for path in dest.glob("part-*.parquet")}
    report = embed_cohort(demo, dest, EncoderChoice("tiny-bert", cache=False), TASKS)
    assert len(written) >= 2 and report.resumed_rows >= 8
    assert {name: (dest / name).stat().st_mtime_ns for name in written} == written
    np.testing.assert_allclose(read_features(dest).matrix, read_features(whole).matrix, atol=2e-6)
    assert read_features(dest).manifest["rows_sha256"] == read_features(whole).manifest["rows_sha256"]
    again = embed_cohort(demo, dest, EncoderChoice("tiny-bert", cache=False), TASKS)
    assert again.resumed_rows == again.rows and again.stats.computed == 0


def test_a_part_that_was_damaged_is_computed_again_and_never_read(demo, tmp_path):
    dest = tmp_path / "f"
    embed_cohort(demo, dest, "tiny-bert", TASKS)
    exact = read_features(dest).matrix
    part = dest / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(InputError, match="is not the one that was written"):
        read_features(dest)
    report = embed_cohort(demo, dest, "tiny-bert", TASKS)
    assert 0 < report.rows - report.resumed_rows < report.rows
    np.testing.assert_allclose(read_features(dest).matrix, exact, atol=2e-6)


def test_another_run_does_not_mix_with_the_one_that_is_there(demo, tmp_path):
    embed_cohort(demo, tmp_path / "f", "tiny-bert", TASKS)
    with pytest.raises(InputError, match=r"another run .its encoder is different"):
        embed_cohort(demo, tmp_path / "f", EncoderChoice("tiny-bert", max_tokens=200), TASKS)
    with pytest.raises(InputError, match=r"another run .its serialization is different"):
        embed_cohort(demo, tmp_path / "f", "tiny-bert", TASKS, options=SerializationOptions(profile="paper"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="is there and is no features folder"):
        embed_cohort(demo, tmp_path / "other", "tiny-bert", TASKS)
    assert (tmp_path / "other" / "letter.txt").read_text() == "mine"


@pytest.fixture
def copied(demo, tmp_path) -> Path:
    return shutil.copytree(demo, tmp_path / "copied")


def rewrite(path: Path, change) -> None:
    change(pl.read_parquet(path)).write_parquet(path)


def test_a_run_is_not_continued_on_data_that_have_changed(copied, tmp_path, monkeypatch):
    """Same name, same labels: only the contents say that the vectors there are of other records."""
    dest, data, codes = tmp_path / "f", copied / "data" / "0.parquet", copied / "metadata" / "codes.parquet"
    embed_cohort(copied, dest, "tiny-bert", TASKS)
    assert embed_cohort(copied, dest, "tiny-bert", TASKS).stats.pieces == 0
    kept = {path: path.read_bytes() for path in (data, codes)}
    changed = r"another run .the dataset's events or code descriptions have changed since.; choose another --out"
    for path, change in (
        (data, lambda frame: frame.filter(~pl.col("code").str.starts_with("ICD10CM"))),
        (codes, lambda frame: frame.with_columns(pl.col("description") + "!")),
    ):
        rewrite(path, change)
        with pytest.raises(InputError, match=changed):
            embed_cohort(copied, dest, "tiny-bert", TASKS)
        path.write_bytes(kept[path])
        assert embed_cohort(copied, dest, "tiny-bert", TASKS).stats.pieces == 0
    rewrite(next(copied.glob("labels/guo_los/*.parquet")), lambda frame: frame[1:])
    with pytest.raises(InputError, match=r"another run .labels of other subjects or times are asked for"):
        embed_cohort(copied, dest, "tiny-bert", ["guo_los"])
    monkeypatch.setattr(cohort_module, "SERIALIZER", 99)
    with pytest.raises(InputError, match=r"another run .records are written by other rules since"):
        embed_cohort(copied, dest, "tiny-bert", TASKS)


def test_a_folder_that_does_not_say_on_what_data_is_not_continued(demo, tmp_path):
    dest = tmp_path / "f"
    embed_cohort(demo, dest, "tiny-bert", ["guo_los"])
    plan = json.loads((dest / "plan.json").read_text())
    (dest / "plan.json").write_text(json.dumps({key: plan[key] for key in plan if key != "records_sha256"}))
    with pytest.raises(InputError, match="an earlier version made them, which did not note on what data"):
        embed_cohort(demo, dest, "tiny-bert", ["guo_los"])


def test_labels_without_a_record_are_left_out_and_counted(copied, tmp_path, capsys):
    embed_cohort(copied, tmp_path / "good", "tiny-bert", TASKS)
    good = read_features(tmp_path / "good")
    stranger, unborn = 10**9 + 7, datetime(1900, 1, 1)
    for task in TASKS:
        rewrite(
            next(copied.glob(f"labels/{task}/*.parquet")),
            lambda frame: pl.concat(
                [
                    frame,
                    frame[:1].with_columns(subject_id=pl.lit(stranger, frame.schema["subject_id"])),
                    frame[:2].with_columns(prediction_time=pl.lit(unborn, frame.schema["prediction_time"])),
                ]
            ),
        )
    words = ["embed", str(copied), "--out", str(tmp_path / "f"), "--encoder", "tiny-bert", "--tasks", ",".join(TASKS)]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "left out: 2 labels of subjects that the dataset lacks, 4 labels from before the subject's birth" in printed
    features = read_features(tmp_path / "f")
    assert features.manifest["left_out"] == {"unknown_subject": 2, "before_birth": 4}
    assert good.manifest["left_out"] == {}
    assert features.manifest["rows_sha256"] == good.manifest["rows_sha256"]
    np.testing.assert_array_equal(features.matrix, good.matrix)
    assert embed_cohort(copied, tmp_path / "good", "tiny-bert", TASKS).resumed_rows == len(good.matrix)
    assert read_features(tmp_path / "good").manifest["left_out"] == {"unknown_subject": 2, "before_birth": 4}
    for path in copied.glob("labels/*/*.parquet"):
        rewrite(path, lambda frame: frame.filter(pl.col("subject_id") == stranger))
    with pytest.raises(InputError, match=r"all labels of .* are of subjects that the dataset lacks; check the labels"):
        embed_cohort(copied, tmp_path / "none", "tiny-bert", TASKS)


@pytest.fixture
def unreadable(demo, tmp_path) -> Path:
    """The cohort without births, with a label of its first subject in 1850, long before any event."""
    path = tmp_path / "unreadable"
    shutil.copytree(demo, path)
    for file in path.glob("data/**/*.parquet"):
        rewrite(file, lambda frame: frame.filter(pl.col("code") != "MEDS_BIRTH"))
    early = datetime(1850, 1, 1)
    for task in TASKS:
        rewrite(
            next(path.glob(f"labels/{task}/*.parquet")),
            lambda frame: pl.concat(
                [frame, frame[:1].with_columns(prediction_time=pl.lit(early, frame.schema["prediction_time"]))]
            ),
        )
    return path


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (
            ["--profile", "paper"],
            "before_first_event",
            "from before the subject's first event, with which the profile",
        ),
        (["--strategy", "recent_codes"], "empty_record", "whose record is empty in this serialisation"),
    ],
)
def test_records_that_cannot_be_read_stop_nothing_and_are_counted(unreadable, tmp_path, capsys, words, kind, said):
    first = open_dataset(unreadable).labels("guo_los")["subject_id"][0]
    arguments = ["embed", str(unreadable), "--encoder", "tiny-bert", "--tasks", ",".join(TASKS), *words]
    assert cli.main([*arguments, "--out", str(tmp_path / "f")]) == 0
    printed = capsys.readouterr().out
    assert f"left out: 2 labels {said}" in printed
    features = read_features(tmp_path / "f")
    assert features.manifest["left_out"] == {kind: 2}
    labels = pl.concat([open_dataset(unreadable).labels(task) for task in TASKS])
    asked = labels.select("subject_id", "prediction_time").unique().sort("subject_id", "prediction_time")
    readable = asked.filter(pl.col("prediction_time").dt.year() > 1850)
    assert len(readable) < len(asked) and first in asked["subject_id"]
    assert features.subject_id.tolist() == readable["subject_id"].to_list()
    assert features.prediction_time.tolist() == readable["prediction_time"].to_list()
    assert np.isfinite(features.matrix).all() and features.manifest["rows"] == len(asked)
    assert sum(part["rows"] for part in features.manifest["parts"]) == len(readable)
    # a run that goes on knows what was left out without writing the records again
    (tmp_path / "f" / "manifest.json").unlink()
    assert cli.main([*arguments, "--out", str(tmp_path / "f")]) == 0
    again = capsys.readouterr().out
    assert f"{len(readable):,} rows, {len(readable):,} of them from an earlier run" in again and said in again
    assert read_features(tmp_path / "f").manifest["left_out"] == {kind: 2}


def test_a_worker_tells_what_it_left_out(unreadable):
    options = SerializationOptions(strategy="recent_codes")
    rows, _ = cohort_module.cohort_rows(open_dataset(unreadable), TASKS, by_task=False)
    bad = int(np.flatnonzero(rows["prediction_time"].dt.year() == 1850)[0])
    rows = rows[: bad + 2]
    worker = ray_engine.PartWorker(unreadable, EncoderChoice("tiny-bert", cache=False), options, 1)
    batch = {"number": [4], "rows": [rows.write_ipc(None).getvalue()]}
    answer = {name: values[0] for name, values in worker(batch).items()}
    assert answer["number"] == 4 and answer["error"] == ["", ""]
    assert json.loads(answer["left_out"]) == [[bad, "empty_record"]]
    assert len(answer["vectors"]) == (len(rows) - 1) * WIDTH * 4


def test_a_cohort_without_any_readable_record_is_an_error(unreadable, tmp_path):
    for path in unreadable.glob("labels/*/*.parquet"):
        rewrite(path, lambda frame: frame.filter(pl.col("prediction_time").dt.year() == 1850))
    options = SerializationOptions(strategy="recent_codes")
    with pytest.raises(InputError, match=r"all labels of .* are whose record is empty"):
        embed_cohort(unreadable, tmp_path / "f", "tiny-bert", TASKS, options=options)
    assert not (tmp_path / "f" / "manifest.json").exists()


def test_bad_choices_are_clear_errors_before_anything_is_written(demo, tmp_path, monkeypatch):
    dest = tmp_path / "f"
    for arguments, message in (
        ({"encoder": "none"}, "no encoder named 'none'"),
        ({"encoder": "tiny-bert", "tasks": ["guo_los", "nothing"]}, "no labels for nothing"),
        ({"encoder": "tiny-bert", "engine": "spark"}, "no engine 'spark'"),
        ({"encoder": EncoderChoice("tiny-bert", max_tokens=3)}, "too few"),
        ({"encoder": EncoderChoice("tiny-qwen3", chunk=9)}, "does not suit"),
        ({"encoder": EncoderChoice("openai-compatible", max_tokens=512)}, "is a server, which cuts texts by itself"),
        ({"encoder": EncoderChoice("openai-compatible", chunk=512)}, "is a server, its texts are not cut into chunks"),
    ):
        with pytest.raises(InputError, match=message):
            embed_cohort(demo, dest, **arguments)
    monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"ray is not installed; run: .*pip install -r requirements-ray\.txt"):
        embed_cohort(demo, dest, "tiny-bert", engine="ray")
    assert not dest.exists()


def test_the_command_embeds_and_refuses(demo, tmp_path, capsys):
    arguments = ["embed", str(demo), "--out", str(tmp_path / "f"), "--encoder", "tiny-bert", "--tasks", "guo_los"]
    assert cli.main(arguments) == 0
    assert "rows, 0 of them from an earlier run" in capsys.readouterr().out
    assert read_features(tmp_path / "f").manifest["tasks"] == ["guo_los"]
    assert cli.main([*arguments, "--max-tokens", "200"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error and "choose another --out" in error
    assert cli.main(["embed", str(tmp_path / "none"), "--out", str(tmp_path / "g")]) == 2


def test_parts_hold_whole_subjects():
    rows = pl.DataFrame({"subject_id": [1] * 3 + [2] * 20 + [3] * 2 + [4] * 6, "n": range(31)})
    parts = cut_parts(rows)
    assert [part.rows["subject_id"].unique().to_list() for part in parts] == [[1], [2], [3, 4]]
    assert pl.concat([part.rows for part in parts]).equals(rows)


def workers_of(pid: int) -> list[int]:
    """Process ids of Ray's map workers below a process."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue

    def below(child: int) -> bool:
        while child in parents:
            child = parents[child]
            if child == pid:
                return True
        return False

    return [child for child, name in names.items() if "PartWorker" in name and below(child)]


@pytest.mark.parametrize("own", [None, "/opt/a:/opt/b"])
def test_ray_workers_find_the_project_and_what_the_driver_finds(monkeypatch, own):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if own:
        monkeypatch.setenv("PYTHONPATH", own)
    asked = {}
    ray_engine._start(SimpleNamespace(init=lambda **options: asked.update(options)), 2)
    paths = asked["runtime_env"]["env_vars"]["PYTHONPATH"].split(os.pathsep)
    assert paths == [str(PROJECT_ROOT), *(own.split(":") if own else [])]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kill", [False, True], ids=["two-workers", "one-worker-killed"])
def test_ray_gives_the_same_features(demo, tmp_path, kill):
    pytest.importorskip("ray", reason="ray is an extra: pip install -r requirements-ray.txt")
    choice = EncoderChoice("tiny-qwen3", cache=False)
    embed_cohort(demo, tmp_path / "local", choice)
    killed = []

    def on_progress(done: int, total: int, note: str) -> None:
        if kill and not killed and (found := workers_of(os.getpid())):
            os.kill(found[0], signal.SIGKILL)
            killed.append(found[0])
            time.sleep(0.5)

    report = embed_cohort(demo, tmp_path / "ray", choice, engine="ray", workers=2, progress=on_progress)
    assert report.resumed_rows == 0 and bool(killed) == kill
    local, ray = read_features(tmp_path / "local"), read_features(tmp_path / "ray")
    np.testing.assert_array_equal(local.subject_id, ray.subject_id)
    np.testing.assert_array_equal(local.prediction_time, ray.prediction_time)
    np.testing.assert_array_equal(local.task, ray.task)
    np.testing.assert_allclose(local.matrix, ray.matrix, atol=2e-6)
    assert len(local.manifest["parts"]) > 4
    assert local.manifest["rows_sha256"] == ray.manifest["rows_sha256"]
