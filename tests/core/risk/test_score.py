import dataclasses
import json
from datetime import datetime

import numpy as np
import pytest
from scipy.special import logit

from core.ehr.markdown import SerializationOptions
from core.errors import InputError
from core.risk.cards import SYNTHETIC_WARNING
from core.risk.documents import scores_document, scores_html
from core.risk.records import embed_for_tasks, record_at
from core.risk.report_table import scores_text
from core.risk.score import (
    cohort_notes,
    natural_frequency,
    percent_text,
    percentile,
    percentile_text,
    score_subject,
    shortage,
)
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


@pytest.mark.parametrize("probability", [0.0, 0.03, 0.2, 0.9, 1.0])
def test_the_departure_from_average_is_in_log_odds(dataset, encoder, heads, probability):
    score = score_subject(dataset, 7, AT, encoder, heads, ["guo_los"])[0]
    score = dataclasses.replace(score, probability=probability, prevalence=0.2)
    assert score.departure == pytest.approx(logit(np.clip(probability, 1e-6, 1 - 1e-6)) - logit(0.2))


def test_the_planted_signal_is_learned(heads):
    from core.risk.metrics import auroc

    assert auroc(heads["guo_los"].reference_target, heads["guo_los"].reference_raw) > 0.75


def with_cases(head, target, cluster, train_positive=100):
    """A head with this held-out cohort."""
    raw = np.zeros(len(target), np.float32)
    card = {"data": {"source": "shaped", "synthetic": True, "train_positive": train_positive}}
    target, cluster = np.asarray(target, np.int8), np.asarray(cluster, np.int32)
    return dataclasses.replace(head, reference_target=target, reference_raw=raw, reference_cluster=cluster, card=card)


def test_few_positives_give_no_reliable_estimate(dataset, encoder, heads):
    head = with_cases(heads["guo_icu"], np.arange(200) < 29, np.arange(200))
    score = score_subject(dataset, 7, AT, encoder, {"guo_icu": head})[0]
    assert not score.reliable and score.n_positive == 29
    assert score.natural_frequency.startswith("No reliable estimate: only 29 held-out patients with the outcome")
    assert "no reliable estimate" in scores_text(dataset, [score], {})


@pytest.mark.parametrize(
    "target,cluster,train,words",
    [
        (np.arange(2000) < 30, np.arange(2000), 30, ""),
        (np.arange(2000) < 60, np.maximum(np.arange(2000) - 59, 0), 60, "1 held-out patient with the outcome"),
        (np.arange(2000) >= 3, np.arange(2000), 90, "3 held-out patients without the outcome"),
        (np.arange(2000) < 300, np.arange(2000), 29, "29 positive cases in training"),
        (np.zeros(50), np.arange(50), 90, "0 held-out patients with the outcome"),
        (np.arange(200) % 2, np.arange(200) // 2, 90, ""),  # a patient may have both
    ],
)
def test_cases_are_patients_on_both_sides_not_rows(heads, target, cluster, train, words):
    assert shortage(with_cases(heads["guo_icu"], target, cluster, train)) == words


class Hospital:
    """A dataset of real patients with the records of another."""

    name, synthetic = "Our <hospital>", False

    def __init__(self, dataset):
        self.events, self.vocabulary = dataset.events, dataset.vocabulary


def test_a_score_says_which_cohort_its_head_is_of(dataset, encoder, heads):
    own = score_subject(dataset, 7, AT, encoder, heads, ["guo_los"])
    assert (own[0].cohort, own[0].cohort_synthetic) == ("shaped", True)
    assert "average of shaped: " in own[0].natural_frequency
    hospital = Hospital(dataset)
    notes = cohort_notes(own, hospital)
    assert len(notes) == 2 and notes[0].startswith("The heads were trained on shaped, not on Our <hospital>")
    assert notes[1] == SYNTHETIC_WARNING and SYNTHETIC_WARNING in heads["guo_los"].card["warnings"]
    document = scores_document(hospital, 7, AT.isoformat(), own, {})
    assert document["synthetic"] is False and document["cohort_notes"] == notes
    assert document["scores"][0]["cohort"] == "shaped" and document["scores"][0]["cohort_synthetic"] is True
    page, text = scores_html(document), scores_text(hospital, own, {})
    assert SYNTHETIC_WARNING in page and "shaped (synthetic patients)" in page
    assert "not on Our &lt;hospital&gt;" in page and "<hospital>" not in page
    for needed in (*notes, own[0].natural_frequency, own[0].encoder, own[0].head_version, AT.isoformat()):
        assert needed in text
    assert "shaped (synthetic patients)" in text


def test_heads_of_the_scored_dataset_say_no_more_than_needed(dataset, encoder, heads):
    own = score_subject(dataset, 7, AT, encoder, heads, ["guo_los"])
    same = Hospital(dataset)
    same.name, same.synthetic = "shaped", True
    assert cohort_notes(own, same) == [SYNTHETIC_WARNING]
    real = [dataclasses.replace(score, cohort_synthetic=False) for score in own]
    same.synthetic = False
    assert cohort_notes(real, same) == []
    assert len(cohort_notes(own, same)) == 2  # of that name, but the head's cohort was synthetic
    assert cohort_notes([*real, *own], same)[-1] == SYNTHETIC_WARNING, "one synthetic head among real ones"


def test_the_highest_score_is_not_above_the_whole_cohort(dataset, encoder, heads):
    score = dataclasses.replace(score_subject(dataset, 7, AT, encoder, heads, ["guo_los"])[0], percentile=100.0)
    assert ">99" in scores_text(dataset, [score], {}).split()


@pytest.mark.parametrize(
    "probability,prevalence,horizon,expected",
    [
        (0.12, 0.05, "30 days", "About 12 of 100 patients like this one, within 30 days (average of c: 5 of 100)"),
        (
            0.004,
            0.012,
            "365 days",
            "About 4 of 1,000 patients like this one, within 365 days (average of c: 12 of 1,000)",
        ),
        (
            0.001,
            0.2,
            "until discharge",
            "About fewer than 1 of 100 patients like this one, until discharge (average of c: 20 of 100)",
        ),
        (
            0.999,
            0.2,
            "the next result",
            "About more than 99 of 100 patients like this one, at the next result (average of c: 20 of 100)",
        ),
    ],
)
def test_natural_frequencies_keep_a_constant_denominator_per_task(probability, prevalence, horizon, expected):
    got = natural_frequency(probability, prevalence, horizon, "c")
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


@pytest.mark.parametrize(
    "probability, text",
    [
        (0, "0.0 %"), (0.0003, "<0.1 %"), (0.0005, "0.1 %"), (0.0994, "9.9 %"), (0.0995, "10 %"), (0.5, "50 %"),
        (0.9949, "99 %"), (0.996, "99.6 %"), (0.9995, ">99.9 %"), (0.9998, ">99.9 %"), (1, "100.0 %"),
    ],
)  # fmt: skip
def test_no_probability_reads_as_certain_that_is_not(probability, text):
    assert percent_text(probability) == text


def test_files_and_terminal_claim_no_certainty_either(dataset, encoder, heads):
    score = score_subject(dataset, 7, AT, encoder, heads, ["guo_los"])[0]
    score = dataclasses.replace(score, probability=0.0002, interval=(0.0001, 0.9998), n_positive=1, n_patients_with=1)
    page, text = scores_html(scores_document(dataset, 7, "now", [score], {})), scores_text(dataset, [score], {})
    assert "&lt;0.1 %" in page and "&lt;0.1 to &gt;99.9 %" in page and ">0.0" not in page
    assert "of 1 patient;" in page
    assert "<0.001" in text and "<0.001 to >0.999" in text and "0.000" not in text and "1.000" not in text
