"""Thresholds, neighbours, subgroups, the map: against counting and naive versions."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from core.errors import InputError, MissingError
from core.risk.embedding_map import embedding_map, has_umap
from core.risk.metrics import cluster_interval
from core.risk.neighbours import NeighbourPool, load_pool, nearest, save_pool
from core.risk.subgroups import MIN_CELL, row_attributes, subgroup_table, suppressed_groups
from core.risk.subtasks import SUBTASK_BY_KEY
from core.risk.thresholds import threshold_for_alert_rate, threshold_table


def cohort(n=300, seed=0):
    rng = np.random.default_rng(seed)
    probability = np.round(rng.random(n), 2)
    return (rng.random(n) < probability * 0.5).astype(int), probability


def test_thresholds_equal_counting():
    target, probability = cohort()
    for row in threshold_table(target, probability, np.arange(300), np.array([0, 0.1, 0.5, 0.77, 1.0])):
        alert = probability >= row.threshold
        assert row.true_positives == (alert & (target == 1)).sum()
        assert row.false_positives == (alert & (target == 0)).sum()
        assert row.true_negatives == (~alert & (target == 0)).sum()
        assert row.alerts_per_100 == pytest.approx(100 * alert.mean())
        if alert.any():
            assert row.ppv == pytest.approx(target[alert].mean())
        if not alert.all():
            assert row.npv == pytest.approx(1 - target[~alert].mean())
    none = threshold_table(target, probability * 0.5, np.arange(300), np.array([0.9]))[0]
    assert none.ppv is None and none.alerts_per_100 == 0
    with pytest.raises(InputError):
        threshold_table(target, probability, np.arange(300), np.array([1.5]))


def test_a_thresholds_intervals_are_of_its_rows_patients():
    target, probability = cohort()
    patient = np.arange(300) // 4
    row = threshold_table(target, probability, patient, np.array([0.4]))[0]
    alert = probability >= 0.4
    assert row.ppv_interval == cluster_interval(target[alert], patient[alert])
    assert row.npv_interval == cluster_interval(target[~alert] == 0, patient[~alert])


@pytest.mark.parametrize("rate", [0, 1, 5, 33, 99, 100])
def test_alert_rate_is_never_exceeded_and_as_high_as_ties_allow(rate):
    _, probability = cohort()
    threshold = threshold_for_alert_rate(probability, rate)
    share = (probability >= threshold).mean()
    if threshold <= probability.max():
        assert share <= rate / 100 + 1e-12
    lower = probability[probability < threshold]
    if len(lower) and rate < 100:
        assert (probability >= lower.max()).mean() > rate / 100


def pool(n=200, d=16, seed=0):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, d)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    time = np.datetime64("2020-01-01", "us") + np.arange(n) * np.timedelta64(1, "D")
    return NeighbourPool(matrix, np.arange(n) // 3, time, rng.integers(-1, 2, (n, len(SUBTASK_BY_KEY)), dtype=np.int8))


def test_neighbours_equal_the_naive_search():
    records, key = pool(), "chexpert.edema"
    query = records.matrix[10] + 0.1
    got = nearest(records, query, key, subject_id=3)
    naive, seen = [], set()
    cosine = records.matrix @ query / np.linalg.norm(query)
    for i in np.argsort(-cosine):
        if records.outcomes(key)[i] >= 0 and records.subject[i] != 3 and records.subject[i] not in seen:
            seen.add(records.subject[i])
            seconds = (records.time[i] - np.datetime64("1970-01-01")) / np.timedelta64(1, "s")
            time, known = datetime(1970, 1, 1) + timedelta(seconds=seconds), bool(records.outcomes(key)[i])
            naive.append((int(records.subject[i]), pytest.approx(float(cosine[i]), abs=1e-6), time, known))
    assert [(n.subject_id, n.similarity, n.prediction_time, n.outcome) for n in got] == naive[:10]
    assert all(n.subject_id != 3 for n in got)


def test_the_patient_is_never_a_neighbour_of_itself():
    records = pool()
    for i in range(0, 200, 17):
        found = nearest(records, records.matrix[i], "guo_los", subject_id=int(records.subject[i]), count=50)
        assert int(records.subject[i]) not in {n.subject_id for n in found}


def test_the_pool_survives_the_disk_and_damage_is_named(tmp_path):
    records = pool()
    save_pool(records, tmp_path)
    loaded = load_pool(tmp_path)
    assert (loaded.subject == records.subject).all() and (loaded.time == records.time).all()
    assert np.abs(loaded.matrix.astype(np.float32) - records.matrix).max() < 1e-3
    (tmp_path / "neighbours.npz").write_bytes(b"x")
    with pytest.raises(InputError, match="cannot be read"):
        load_pool(tmp_path)
    with pytest.raises(MissingError, match="train-heads"):
        load_pool(tmp_path / "none")
    for parts in (
        {"matrix": records.matrix[:-1]},
        {"matrix": records.matrix.ravel()[:200]},
        {"outcome": records.outcome[:-1]},
        {"outcome": records.outcome[:, :-1]},
    ):
        save_pool(replace(records, **parts), tmp_path)
        with pytest.raises(InputError, match="do not fit together"):
            load_pool(tmp_path)
    with pytest.raises(InputError, match="dimensions"):
        nearest(records, np.ones(3), "guo_los")


def test_small_cells_are_suppressed_and_others_counted():
    target, probability = cohort(400)
    subject = np.arange(400) // 2
    groups = {"sex": ["female"] * 200 + ["male"] * 168 + ["other"] * 16 + ["unknown"] * 16}
    rows = {row.group: row for row in subgroup_table(target, probability, subject, groups, threshold=0.5)}
    for name in ("other", "unknown"):
        assert rows[name].suppressed and rows[name].n is None and rows[name].auroc is None
    female = rows["female"]
    assert (female.n, female.patients, female.positives) == (200, 100, target[:200].sum())
    assert female.missed == pytest.approx((probability[:200][target[:200] == 1] < 0.5).mean())
    assert female.auroc.lower <= female.auroc.value <= female.auroc.upper


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_no_small_cell_can_be_had_by_subtraction(sizes):
    subject = np.arange(sum(sizes))
    values = np.repeat([f"{i} g" for i in range(len(sizes))], sizes)
    target = np.arange(len(subject)) % 2
    rows = subgroup_table(target, np.full(len(subject), 0.5), subject, {"sex": values.tolist()}, replicates=1)
    shown = [row for row in rows if not row.suppressed]
    assert all(row.patients >= MIN_CELL for row in shown)
    left = len(subject) - sum(row.patients for row in shown)  # what a reader who knows the total can have
    hidden = len(rows) - len(shown)
    assert hidden == 0 or hidden == len(rows) or (hidden >= 2 and left >= MIN_CELL)
    if min(sizes) >= MIN_CELL:
        assert hidden == 0
    large = sorted(sizes)[-1]
    if hidden and large >= MIN_CELL and sum(size < MIN_CELL for size in sizes) == 1 and len(sizes) > 2:
        assert hidden == 2  # no more than needed
        second = sorted(size for size in sizes if size >= MIN_CELL)[0]
        assert left == min(sizes) + second


def test_patients_in_two_hidden_cells_count_once():
    both = {1, 2, 3, 4, 5, 6, 7}
    assert suppressed_groups({"a": both, "b": both, "c": set(range(30)), "d": set(range(50))}) == {"a", "b", "c"}
    assert suppressed_groups({"a": both, "b": {8, 9, 10}, "c": set(range(30))}) == {"a", "b"}


def test_a_cell_with_few_positives_has_no_metrics():
    target = np.zeros(100, int)
    target[:5] = 1
    row = subgroup_table(target, np.linspace(0, 1, 100), np.arange(100), {"sex": ["female"] * 100})[0]
    assert not row.suppressed and row.positives == 5 and row.auroc is None and row.missed is None


@pytest.mark.parametrize(("positives", "negatives", "told"), [(10, 10, True), (9, 11, False), (11, 9, False)])
def test_metrics_need_ten_of_each_class(positives, negatives, told):
    target = np.repeat([1, 0], [positives, negatives])
    probability = np.where(np.arange(20) % 4 == 0, 0.3, 0.7)
    row = subgroup_table(target, probability, np.arange(20), {"sex": ["female"] * 20}, threshold=0.7)[0]
    assert (row.auroc is not None) == (row.auprc is not None) == (row.calibration_in_the_large is not None) == told
    assert row.brier == pytest.approx(np.mean((probability - target) ** 2))
    # at the threshold is an alert
    assert row.missed == (pytest.approx(np.mean(np.arange(positives) % 4 == 0)) if positives >= 10 else None)


@pytest.mark.parametrize(
    ("years", "band"),
    [
        *((age, "0 to 17 years") for age in (0, 17)),
        *((age, "18 to 39 years") for age in (18, 39)),
        *((age, "40 to 59 years") for age in (40, 59)),
        *((age, "60 to 74 years") for age in (60, 74)),
        *((age, "75 and more years") for age in (75, 110)),
    ],
)
def test_an_age_is_in_its_band_from_birthday_to_birthday(years, band):
    events = pl.DataFrame({"time": [datetime(1910, 5, 17)], "code": ["MEDS_BIRTH"]})
    assert row_attributes(events, datetime(1910 + years, 5, 17)).age_band == band
    assert row_attributes(events, datetime(1911 + years, 5, 16, 23, 59)).age_band == band


@pytest.mark.parametrize(
    ("length", "band"),
    [
        *((n, "0 to 99 events") for n in (1, 99)),
        *((n, "100 to 499 events") for n in (100, 499)),
        *((n, "500 to 1,999 events") for n in (500, 1999)),
        *((n, "2,000 and more events") for n in (2000, 30_000)),
    ],
)
def test_a_record_is_in_the_band_of_its_length(length, band):
    events = pl.DataFrame({"time": [datetime(2020, 1, 1)] * length, "code": ["X/1"] * length})
    found = row_attributes(events, datetime(2020, 1, 1))
    assert (found.record_length, found.age_band, found.sex) == (band, "unknown", "unknown")


def test_attributes_come_from_the_past_only():
    at = datetime(2020, 1, 1)
    events = pl.DataFrame(
        {
            "time": [None, datetime(1950, 1, 2), at, at + timedelta(days=1)],
            "code": ["Gender/F", "MEDS_BIRTH", "X/1", "X/2"],
        }
    )
    got = row_attributes(events, at)
    assert (got.sex, got.age_band, got.record_length) == ("female", "60 to 74 years", "0 to 99 events")


def test_pca_equals_scikit_learn_up_to_sign_and_places_new_points():
    matrix = np.random.default_rng(0).normal(size=(60, 10)) @ np.diag(np.arange(10, 0, -1))
    got, peer = embedding_map(matrix), PCA(2).fit(matrix)
    assert np.abs(np.abs(got.points) - np.abs(peer.transform(matrix))).max() < 1e-4
    assert got.explained == pytest.approx(peer.explained_variance_ratio_.sum())
    assert np.abs(got.place(matrix[:3]) - got.points[:3]).max() < 1e-4


def test_a_map_says_what_it_lacks():
    with pytest.raises(InputError, match="at least 3"):
        embedding_map(np.zeros((2, 4)))
    if not has_umap():
        with pytest.raises(MissingError, match="umap-learn"):
            embedding_map(np.zeros((5, 4)), "umap")


@pytest.mark.slow
@pytest.mark.skipif(not has_umap(), reason="umap-learn is not installed (requirements-umap.txt)")
def test_umap_keeps_clusters_apart_and_repeats():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 24))
    member = np.arange(150) % 3
    matrix = (centres[member] + 0.1 * rng.normal(size=(150, 24))).astype(np.float32)
    drawn = embedding_map(matrix, "umap")
    assert drawn.points.shape == (150, 2) and drawn.points.dtype == np.float32 and np.isfinite(drawn.points).all()
    assert drawn.method == "umap" and drawn.explained is None
    distance = np.linalg.norm(drawn.points[:, None] - drawn.points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (member[distance.argmin(axis=1)] == member).all()  # everybody's nearest is of the same cluster
    assert (embedding_map(matrix, "umap").points == drawn.points).all()
    with pytest.raises(InputError, match="cannot take new points"):
        drawn.place(matrix[:1])
    assert embedding_map(matrix[:5], "umap").points.shape == (5, 2)  # fewer records than neighbours
