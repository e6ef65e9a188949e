from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from core.ehr.vocabulary import Vocabulary
from core.errors import InputError
from core.risk.counts import CountOptions, count_features

AT = datetime(2020, 6, 1)


def days(n):
    return AT - timedelta(days=n)


class Rows:
    """The part of a dataset that counting reads."""

    vocabulary = Vocabulary({}, {"ICD/A1": ("ICD/A",), "ICD/A": ("ICD",), "ICD/A2": ("ICD/A",)})

    def __init__(self, by_subject):
        self.by_subject = by_subject

    def iter_events(self, ids):
        for i in ids:
            if i in self.by_subject:
                rows = self.by_subject[i]
                yield (
                    i,
                    pl.DataFrame(
                        rows,
                        schema={
                            "time": pl.Datetime("us"),
                            "code": pl.String,
                            "numeric_value": pl.Float32,
                            "text_value": pl.String,
                        },
                        orient="row",
                    ),
                )


DATA = Rows(
    {
        1: [
            (None, "Gender/F", None, None),
            (datetime(1970, 6, 1), "MEDS_BIRTH", None, None),
            (days(400), "ICD/A1", None, None),
            (days(100), "ICD/A1", None, None),
            (days(30), "ICD/A2", None, None),
            (days(10), "ICD/A2", None, "x"),
            (days(9), "ICD/A2", None, "x"),
            (AT, "LAB", 5.0, None),
            (days(-1), "LAB", 9.0, None),
        ],
        2: [(datetime(1990, 6, 1), "MEDS_BIRTH", None, None), (days(5), "LAB", 1.0, None)],
    }
)


def table(options, subject=(1, 2), time=(AT, AT), train=(True, True)):
    features = count_features(DATA, np.array(subject), np.array(time, "datetime64[us]"), np.array(train), options)
    return {name: column for name, column in zip(features.names, features.matrix.toarray().T)}


def test_counts_equal_counting_by_hand():
    got = table(CountOptions(ancestors=False, bins_days=(), deciles=False, texts=False))
    assert got["ICD/A1"].tolist() == [2, 0] and got["ICD/A2"].tolist() == [3, 0]
    assert got["LAB"].tolist() == [1, 1]  # at the prediction time counts, after it does not
    assert got["Gender/F"].tolist() == [1, 0]


def test_ancestors_are_counted_once_per_event():
    got = table(CountOptions(bins_days=(), deciles=False, texts=False))
    assert got["ICD/A"].tolist() == [5, 0] and got["ICD"].tolist() == [5, 0]


def test_time_bins_split_the_past_without_overlap():
    got = table(CountOptions(ancestors=False, deciles=False, texts=False))
    assert got["ICD/A2 @0-30 d"].tolist() == [2, 0]
    assert got["ICD/A2 @30-180 d"].tolist() == [1, 0]
    assert got["ICD/A1 @30-180 d"].tolist() == [1, 0] and got["ICD/A1 @>365 d"].tolist() == [1, 0]
    assert got["Gender/F @>365 d"].tolist() == [1, 0]


def test_deciles_and_texts_come_from_train_only():
    got = table(CountOptions(ancestors=False, bins_days=()), train=(True, False))
    assert got["ICD/A2 = x"].tolist() == [2, 0]
    assert any(name.startswith("LAB = decile") for name in got)
    assert sum(column for name, column in got.items() if name.startswith("LAB = decile")).tolist()[0] == 1


def test_columns_unseen_in_train_are_not_there():
    got = table(CountOptions(ancestors=False, bins_days=(), deciles=False, texts=False), train=(False, True))
    assert "ICD/A1" not in got and "LAB" in got


def test_age_is_standardised_on_train():
    got = table(CountOptions(bins_days=()))
    assert got["age"] == pytest.approx([1, -1], abs=1e-9)


def test_an_earlier_prediction_time_sees_less():
    got = table(
        CountOptions(ancestors=False, bins_days=(), deciles=False, texts=False), (1, 1), (days(50), AT), (True, True)
    )
    assert got["ICD/A1"].tolist() == [2, 2] and got["ICD/A2"].tolist() == [0, 3]


def test_bad_input_is_named():
    with pytest.raises(InputError, match="not in the dataset"):
        table(CountOptions(), (1, 99))
    with pytest.raises(InputError, match="train split"):
        table(CountOptions(), train=(False, False))
