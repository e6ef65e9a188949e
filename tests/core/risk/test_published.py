import json

import polars as pl
import pytest

from core.ehr.tasks import GROUPS
from core.errors import InputError
from core.risk.fewshot import PAPER_SHOTS
from core.risk.published import LEADERBOARD, VERSIONS, published
from core.risk.subtasks import SUBTASK_BY_KEY


def test_every_figure_has_its_version_and_a_name_we_know():
    table = published()
    assert set(table["version"]) == set(VERSIONS)
    assert set(table["name"]) <= {"macro", *GROUPS, *SUBTASK_BY_KEY}
    assert table["value"].is_between(0, 1).all() and table["value"].null_count() == 0
    assert set(table["k"]) <= {-1, *PAPER_SHOTS}
    keys = ["version", "model", "ablation", "name", "score", "k"]
    assert table.unique(keys).height == table.height


def test_leaky_figures_carry_the_note():
    table = published()
    leaky = table.filter(pl.col("version") == "v1/v2")
    assert leaky.height and leaky["note"].str.contains("leaked").all()
    assert (table.filter(pl.col("version") == "May 2025")["note"] == "").all()


def test_headline_figures_are_those_of_the_reference():
    table = published().filter((pl.col("name") == "macro") & (pl.col("ablation") == "") & (pl.col("k") == -1))
    value = {(v, m): x for v, m, x in table.select("version", "model", "value").iter_rows()}
    assert value["v1/v2", "GTE-Qwen2-7B"] == 0.774 and value["May 2025", "GTE-Qwen2-7B"] == 0.755
    assert value["v5", "Qwen3-Embedding-8B"] == 0.769 and value["v5", "Count GBM (strong features)"] == 0.777


def test_the_leaderboard_is_the_source_figure_for_figure(shared_data):
    source = json.loads((shared_data / "ehrshot-leaderboard" / "leaderboard-v3.2.json").read_text())
    ours = published().filter((pl.col("version") == LEADERBOARD) & (pl.col("model") == "Count GBM"))
    n = 0
    names = {sub.name: key for key, sub in SUBTASK_BY_KEY.items()}
    for score, tasks in source["individual"].items():
        for task, models in tasks.items():
            entry = models.get("GBM")
            if not entry:
                continue
            rows = ours.filter((pl.col("name") == names[task]) & (pl.col("score") == score))
            by_k = {k: (v, s) for k, v, s in rows.select("k", "value", "std").iter_rows()}
            assert by_k[-1][0] == entry["all"]
            for k, cell in entry["k"].items():
                assert by_k[int(k)] == (cell["mean"], cell["std"])
                n += 1
    assert n > 500


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="published"):
        published(tmp_path)
