import dataclasses
import json
from datetime import datetime

import numpy as np
import pytest

from core.ehr.markdown import SerializationOptions
from core.errors import InputError
from core.risk.records import embed_for_tasks, record_at
from core.risk.score import natural_frequency, percentile, percentile_text, score_subject
from core.risk.subtasks import ALL_SUBTASKS

AT = datetime(2022, 9, 1)


def test_all_tasks_are_scored_in_the_papers_order_from_one_embedding(dataset, encoder, heads):
    before = encoder.calls
    scores = score_subject(dataset, 7, AT, encoder, heads)
    assert encoder.calls == before + 1  # no instruction: embedded once
    assert [(s.task, s.label) for s in scores] == [(s.task, s.label) for s in ALL_SUBTASKS]
    for score in scores:
        low, high = score.interval
        assert 0 <= low <= score.probability <= high <= 1
        assert 0 <= score.percentile <= 100 and score.n_positive <= score.n
        assert score.prediction_time == AT and score.encoder == "hash-words@1" and len(score.head_version) == 12
    json.dumps([score.to_dict() for score in scores], allow_nan=False)


def test_the_score_is_the_heads_probability_of_the_records_embedding(dataset, encoder, heads):
    record = record_at(dataset, 7, AT, SerializationOptions())
    vector = embed_for_tasks(encoder, [record.text], ["guo_los"], SerializationOptions())["guo_los"]
    score = score_subject(dataset, 7, AT, encoder, heads, ["guo_los"])[0]
    head = heads["guo_los"]
    raw = ((vector / head.scale) @ head.coef)[0] + head.intercept
    assert score.log_odds == pytest.approx(raw, abs=1e-9)
    assert score.probability == pytest.approx(float(head.calibrator(raw)), abs=1e-12)
    assert score.prevalence == pytest.approx(head.reference_target.mean())
    assert score.percentile == pytest.approx(100 * (head.reference_raw < raw).mean(), abs=0.5)


def test_the_planted_signal_is_learned(heads):
    from core.risk.metrics import auroc

    assert auroc(heads["guo_los"].reference_target, heads["guo_los"].reference_raw) > 0.75


def test_few_positives_give_no_reliable_estimate(dataset, encoder, heads):
    head = heads["guo_icu"]
    few = np.zeros_like(head.reference_target)
    few[:29] = 1
    head = dataclasses.replace(head, reference_target=few)
    score = score_subject(dataset, 7, AT, encoder, {"guo_icu": head})[0]
    assert not score.reliable and score.n_positive == 29
    assert score.natural_frequency.startswith("No reliable estimate: only 29 positive")


@pytest.mark.parametrize(
    "probability,prevalence,horizon,expected",
    [
        (0.12, 0.05, "30 days", "About 12 of 100 patients like this one, within 30 days (cohort average 5 of 100)"),
        (
            0.004,
            0.012,
            "365 days",
            "About 4 of 1,000 patients like this one, within 365 days (cohort average 12 of 1,000)",
        ),
        (
            0.001,
            0.2,
            "until discharge",
            "About fewer than 1 of 100 patients like this one, until discharge (cohort average 20 of 100)",
        ),
        (
            0.999,
            0.2,
            "the next result",
            "About more than 99 of 100 patients like this one, at the next result (cohort average 20 of 100)",
        ),
    ],
)
def test_natural_frequencies_keep_a_constant_denominator_per_task(probability, prevalence, horizon, expected):
    got = natural_frequency(probability, prevalence, horizon, True, 99)
    assert got.replace("Fewer", "About fewer").replace("More", "About more") == expected


def test_percentile_counts_ties_half():
    assert percentile(1.0, np.array([0, 1, 1, 2], np.float32)) == 50
    assert percentile(5.0, np.array([0, 1], np.float32)) == 100


@pytest.mark.parametrize("value,text", [(0, "<1"), (0.99, "<1"), (1, "1"), (50, "50"), (99.49, "99"), (100, ">99")])
def test_a_percentile_never_claims_the_whole_cohort(value, text):
    assert percentile_text(value) == text


def test_bad_input_is_named(dataset, encoder, heads):
    with pytest.raises(InputError, match="subject 999999"):
        score_subject(dataset, 999999, AT, encoder, heads)
    with pytest.raises(InputError, match="unknown task"):
        score_subject(dataset, 7, AT, encoder, heads, ["nonsense"])
    with pytest.raises(InputError, match="no head for guo_icu"):
        score_subject(dataset, 7, AT, encoder, {"guo_los": heads["guo_los"]}, ["guo_icu"])
    with pytest.raises(InputError, match="birth"):
        score_subject(dataset, 7, datetime(1900, 1, 1), encoder, heads)
    with pytest.raises(InputError, match="profile is 'paper'"):
        score_subject(dataset, 7, AT, encoder, heads, options=SerializationOptions(profile="paper"))


def test_nothing_after_the_prediction_time_changes_a_score(dataset, encoder, heads):
    early = datetime(2020, 6, 1)
    cut = dataset.events(7).filter((dataset.events(7)["time"].is_null()) | (dataset.events(7)["time"] <= early))

    class Cut:
        vocabulary = dataset.vocabulary

        def events(self, subject_id):
            return cut

    whole, shortened = (score_subject(data, 7, early, encoder, heads) for data in (dataset, Cut()))
    assert [s.probability for s in whole] == [s.probability for s in shortened]
