"""Words for the keys of a run's tables: every head, model, ablation and value, and what has no words."""

import polars as pl
import pytest

from core.ehr.lookback import LOOKBACK_NAMES, LOOKBACKS
from core.risk.ablations import NAMES
from core.risk.comparison import UNCHANGED, mean_replicates, named
from core.risk.model_names import (
    FAMILIES,
    HEAD_NAMES,
    features_name,
    model_key,
    model_name,
    setting_name,
    value_name,
)
from core.risk.models import CLMBR, COUNT
from core.risk.report_table import groups_text
from core.risk.results import groups_table, results_table
from core.risk.units import HEADS


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("count gbm", "Counts, gradient boosting"),
        ("count lr_lbfgs", "Counts, logistic regression"),
        ("minilm lr_lbfgs", "minilm, logistic regression"),
        ("clmbr lr_lbfgs", "CLMBR-T-Base, logistic regression"),
        ("minilm+clmbr lr_lbfgs", "minilm + CLMBR-T-Base, logistic regression"),
        ("my own model lr_lbfgs", "my own model, logistic regression"),
        ("minilm lr_lbfgs [lookback=1y]", "minilm, logistic regression, look-back 1 year"),
        ("minilm lr_lbfgs [lookback=full]", "minilm, logistic regression, look-back whole record"),
        ("minilm lr_lbfgs [context=2048]", "minilm, logistic regression, context 2,048 tokens"),
        ("minilm lr_lbfgs [chunk=512]", "minilm, logistic regression, chunk 512 tokens"),
        ("minilm lr_lbfgs [instruction=generic]", "minilm, logistic regression, instruction generic"),
        (
            "minilm lr_lbfgs [sections=without:lab_results]",
            "minilm, logistic regression, sections without recent lab results",
        ),
        ("minilm lr_lbfgs [sections=only:labs]", "minilm, logistic regression, sections only labs"),
        ("minilm lr_lbfgs [strategy=recent_codes]", "minilm, logistic regression, strategy recent codes"),
        ("minilm lr_lbfgs [profile=paper]", "minilm, logistic regression, profile as in the paper"),
        ("minilm lr_lbfgs [encoder=clmbr]", "minilm, logistic regression, encoder CLMBR-T-Base"),
        (
            "minilm lr_lbfgs [context=512,lookback=1mo]",
            "minilm, logistic regression, context 512 tokens, look-back 1 month",
        ),
        ("minilm [lookback=1d]", "minilm, look-back 1 day"),  # a feature set, whatever its heads
        ("minilm lr_lbfgs []", "minilm, logistic regression"),
        ("lr_lbfgs", "Logistic regression"),  # a line of the encoder ablation
        ("count", "Counts"),
        ("", ""),
    ],
)
def test_a_key_is_read_in_words(key, words):
    assert model_name(key) == words


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("minilm forest", "minilm forest"),
        ("minilm forest [lookback=1y]", "minilm forest, look-back 1 year"),
        ("minilm lr_lbfgs [order=newest]", "minilm, logistic regression, order=newest"),
        ("minilm lr_lbfgs [note]", "minilm, logistic regression, note"),
        ("minilm lr_lbfgs [lookback=5y]", "minilm, logistic regression, look-back 5y"),
        ("minilm lr_lbfgs [context=a=b]", "minilm, logistic regression, context a=b tokens"),
        ("minilm lr_lbfgs [sections=only:poems]", "minilm, logistic regression, sections only poems"),
        ("minilm lr_lbfgs [sections=without]", "minilm, logistic regression, sections without"),
        ("a]", "a]"),
        ("GTE-Qwen2-7B (4k)", "GTE-Qwen2-7B (4k)"),
    ],
)
def test_what_is_unknown_stays_as_it_stands(key, words):
    assert model_name(key) == words


def test_every_head_ablation_and_named_model_has_words():
    assert set(HEAD_NAMES) == set(HEADS)
    assert set(FAMILIES) == set(NAMES)
    for name in (COUNT, CLMBR):
        assert features_name(name) != name
    assert [value_name("lookback", one) for one in LOOKBACKS] == [LOOKBACK_NAMES[one].lower() for one in LOOKBACKS]
    assert value_name("lookback", UNCHANGED) == UNCHANGED and value_name("context", "8192") == "8,192"
    assert setting_name("context", "8192") == "context 8,192 tokens"


ROW = {
    "labeling_function": "guo_los", "sub_task": "guo_los", "replicate": 0, "k": -1, "score": "auroc", "value": 0.8,
    "std": 0.02, "lower": 0.7, "mean": 0.8, "upper": 0.9, "n": 9, "n_positive": 4, "undefined": 0, "chosen": "C=1",
}  # fmt: skip


def test_a_key_is_that_of_the_tables():
    """Made one by one for the differences and by column for results: they join, or nothing is found."""
    parts = [("minilm", "lr_lbfgs", ""), ("a+b", "lr_lbfgs", "context=512"), ("count", "gbm", "")]
    rows = [ROW | dict(zip(("model", "head", "variant"), part)) for part in parts]
    assert named(results_table(rows))["model"].to_list() == [model_key(*part) for part in parts]
    assert [model_key(*part) for part in parts] == ["minilm lr_lbfgs", "a+b lr_lbfgs [context=512]", "count gbm"]


def test_the_terminal_has_words_and_the_tables_keep_their_keys():
    table = results_table([ROW | {"model": "count", "head": "gbm", "variant": "lookback=1y"}])
    text = groups_text(groups_table(table))
    assert "Counts, gradient boosting, look-back 1 year" in text and "gbm" not in text
    predictions = pl.DataFrame(
        {"model": ["count"], "head": ["gbm"], "variant": [""], "patient_id": [1], "prediction_time": [0]}
        | {"label": [1], "proba": [0.5], "proba_calibrated": [0.5]}
    )
    assert mean_replicates(predictions)["model"].to_list() == ["count gbm"]
