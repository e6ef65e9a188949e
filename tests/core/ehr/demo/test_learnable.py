"""The demo cohort has something to learn for every task, and no task is trivial (code counts, logistic regression)."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from core.ehr.demo import generate_demo
from core.ehr.store import Dataset, open_dataset
from core.ehr.tasks import TASKS, binary_labels, get_task


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(generate_demo(tmp_path_factory.mktemp("learnable") / "demo"))


@pytest.fixture(scope="module")
def events(dataset: Dataset) -> pl.DataFrame:
    return pl.read_parquet(dataset.path / "data" / "*.parquet").select("subject_id", "time", "code", "numeric_value")


def count_features(labels: pl.DataFrame, events: pl.DataFrame) -> csr_matrix:
    """Per label: log count of each code, of each code in the last 90 days, age, and the last value of each test."""
    rows = labels.with_row_index("label").select("label", "subject_id", "prediction_time")
    past = rows.join(events, "subject_id").filter(pl.col("time") <= pl.col("prediction_time"))
    recent = past.filter(pl.col("time") > pl.col("prediction_time") - pl.duration(days=90))
    born = past.filter(pl.col("code") == "MEDS_BIRTH")
    latest = past.filter(pl.col("numeric_value").is_finite()).sort("time").group_by("label", "code").last()
    table = pl.concat(
        [
            past.group_by("label", "code").agg(value=pl.len().cast(pl.Float64).log1p()),
            recent.group_by("label", "code")
            .agg(value=pl.len().cast(pl.Float64).log1p())
            .with_columns(code="recent " + pl.col("code")),
            born.select(
                "label",
                code=pl.lit("age"),
                value=(pl.col("prediction_time") - pl.col("time")).dt.total_days().cast(pl.Float64),
            ),
            latest.select("label", code="last " + pl.col("code"), value=pl.col("numeric_value").cast(pl.Float64)),
        ]
    )
    names = table["code"].unique().sort()
    columns = table["code"].replace_strict(names, range(len(names)), return_dtype=pl.Int64)
    return csr_matrix((table["value"], (table["label"], columns)), shape=(labels.height, len(names)))


@pytest.mark.slow
@pytest.mark.parametrize("task", [task.id for task in TASKS])
def test_a_plain_model_finds_the_signal_and_does_not_find_everything(
    dataset: Dataset, events: pl.DataFrame, task: str
):
    labels = dataset.labels(task).join(dataset.splits(), "subject_id")
    features = count_features(labels, events)
    targets = binary_labels(get_task(task), labels["value"].to_numpy()).reshape(labels.height, -1)
    train, test = (labels["split"] != "held_out").to_numpy(), (labels["split"] == "held_out").to_numpy()
    areas = []
    for target in targets.T:
        assert target[test].sum() >= 25
        model = make_pipeline(MaxAbsScaler(), LogisticRegression(C=0.3, max_iter=2000)).fit(
            features[train], target[train]
        )
        areas.append(roc_auc_score(target[test], model.predict_proba(features[test])[:, 1]))
    print(task, np.round(areas, 3), targets[test].sum(0))
    assert 0.65 < np.mean(areas) < 0.96
