import json

import numpy as np
import polars as pl
import pytest

from core.errors import InputError
from core.risk.fewshot import (
    ALL,
    PAPER_SHOTS,
    make_shots,
    parse_shots,
    parse_shots_by_model,
    read_shots_file,
    shots_from_json,
    shots_to_json,
)
from core.risk.published import published


def labels(n=1200, positives=300, seed=0):
    rng = np.random.default_rng(seed)
    target = np.zeros(n, np.int8)
    target[rng.permutation(n)[:positives]] = 1
    rows = rng.permutation(n)
    return target, np.sort(rows[: n // 2]), np.sort(rows[n // 2 :])


def split_of(n, train, validation):
    split = np.full(n, "held_out", dtype="U8")
    split[train], split[validation] = "train", "tuning"
    return split


def test_draws_are_balanced_nested_and_from_their_split():
    target, train, validation = labels()
    shots = make_shots(target, train, validation)
    assert len(shots) == len(PAPER_SHOTS) * 5
    by = {(shot.k, shot.replicate): shot for shot in shots}
    for shot in shots:
        for rows, split in ((shot.train, train), (shot.validation, validation)):
            assert np.isin(rows, split).all()
            assert len(rows) == 2 * shot.k and target[rows].sum() == shot.k
        smaller, larger = set(by[1, shot.replicate].train), set(shot.train)
        assert smaller <= larger
    assert set(by[128, 0].train) != set(by[128, 1].train)


def test_a_class_with_enough_labels_is_not_repeated_and_a_small_one_is():
    target, train, validation = labels(positives=150)
    shots = make_shots(target, train, validation, [48, 128], replicates=1)
    assert len(set(shots[0].train)) == 96
    positives = [i for i in shots[1].train if target[i]]
    assert len(positives) == 128 and set(positives) == set(train[target[train] == 1])


def test_draws_are_deterministic():
    a, b = make_shots(*labels()), make_shots(*labels())
    assert all((x.train == y.train).all() and (x.validation == y.validation).all() for x, y in zip(a, b))


def test_ehrshots_file_round_trips(tmp_path):
    target, train, validation = labels(60, 20)
    subject = np.arange(60) // 2
    time = np.datetime64("2020-01-01T23:59", "us") + np.arange(60) * np.timedelta64(1, "D")
    shots = make_shots(target, train, validation, [1, 8])
    path = tmp_path / "all_shots_data.json"
    written = shots_to_json(subject, time, target, shots)
    path.write_text(json.dumps({"guo_los": written | {"-1": written["8"]}}))  # all training data: nothing is drawn
    order = np.random.default_rng(0).permutation(60)  # our labels come in another order
    split = split_of(60, train, validation)
    read = shots_from_json(read_shots_file(path), "guo_los", subject[order], time[order], target[order], split[order])
    for a, b in zip(shots, read, strict=True):
        assert (a.k, a.replicate) == (b.k, b.replicate)
        assert (a.train == order[b.train]).all() and (a.validation == order[b.validation]).all()


def test_the_file_of_another_release_is_refused(tmp_path):
    target, train, validation = labels(60, 20)
    subject, time = np.arange(60), np.full(60, np.datetime64("2020-01-01", "us"))
    data = {"guo_los": shots_to_json(subject, time, target, make_shots(target, train, validation, [2]))}
    split = split_of(60, train, validation)
    with pytest.raises(InputError, match="that the task lacks"):
        shots_from_json(data, "guo_los", subject + 1000, time, target, split)
    with pytest.raises(InputError, match="another value"):
        shots_from_json(data, "guo_los", subject, time, 1 - target, split)
    with pytest.raises(InputError, match="no sub-task"):
        shots_from_json(data, "guo_icu", subject, time, target, split)
    with pytest.raises(InputError, match="layout"):
        shots_from_json({"guo_los": {"1": {"0": {}}}}, "guo_los", subject, time, target, split)
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match="no JSON object"):
        read_shots_file(tmp_path / "x.json")


@pytest.mark.parametrize(("drawn", "other"), [("train", "held_out"), ("train", "tuning"), ("tuning", "train")])
def test_draws_from_another_split_are_refused(drawn, other):
    target, train, validation = labels(60, 20)
    subject, time = np.arange(60), np.full(60, np.datetime64("2020-01-01", "us"))
    shots = make_shots(target, train, validation, [2], replicates=1)
    data = {"guo_los": shots_to_json(subject, time, target, shots)}
    split = split_of(60, train, validation)
    one = (shots[0].train if drawn == "train" else shots[0].validation)[3]
    split[one] = other
    with pytest.raises(InputError, match=f"draws subject {one} from {drawn}, the dataset has it in {other}"):
        shots_from_json(data, "guo_los", subject, time, target, split)


def test_a_split_without_a_class_is_named():
    target, train, validation = labels()
    with pytest.raises(InputError, match="validation split has no positives"):
        make_shots(target, train, validation[target[validation] == 0])


def test_the_list_of_shots():
    assert parse_shots(None) == [ALL] and parse_shots("1, 2,all") == [1, 2, ALL]
    assert parse_shots("paper") == [*PAPER_SHOTS, ALL]
    for bad in ("0", "129", "x", "1,,2", "²"):
        with pytest.raises(InputError):
            parse_shots(bad)


def test_the_papers_shots_are_those_it_publishes():
    assert set(PAPER_SHOTS) == set(published().filter(pl.col("version") == "v5")["k"]) - {ALL}


def test_shots_of_single_models():
    assert parse_shots_by_model([]) == ([ALL], {})
    assert parse_shots_by_model(["8,all", "count:gbm=16"]) == ([8, ALL], {"count:gbm": [16]})
    assert parse_shots_by_model(["a=b=2"]) == ([ALL], {"a=b": [2]})
    with pytest.raises(InputError, match="number of shots"):
        parse_shots_by_model(["count=x"])
