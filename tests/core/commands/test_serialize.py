"""``python -m core serialize`` on the shared sample, imported by the real importer."""

from datetime import datetime
from pathlib import Path

import pytest

from core.cli import main
from core.ehr.importers.ehrshot import import_ehrshot
from core.embedding.registry import get_spec
from core.embedding.tokens import TextTokenizer
from core.embedding.weights import find_weights


@pytest.fixture(scope="module")
def dataset(shared_data, tmp_path_factory) -> Path:
    source = shared_data / "ehrshot-shaped"
    dest = tmp_path_factory.mktemp("serialize") / "sample"
    import_ehrshot(source, dest, source / "CONCEPT.csv")
    return dest


def run(capsys, *arguments) -> str:
    assert main(["serialize", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def fails(capsys, *arguments) -> str:
    assert main(["serialize", *map(str, arguments)]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("error: ")
    assert out.err.count("\n") == 1
    assert "; " in out.err
    return out.err


def test_all_golden_files_through_the_command(capsys, dataset, shared_data):
    for path in sorted((shared_data / "ehrshot-shaped" / "golden").iterdir()):
        subject, time = path.name.split(".")[0].split("_")
        at = datetime.strptime(time, "%Y-%m-%dT%H%M%S").isoformat()
        strategy = "markdown" if path.suffix == ".md" else "recent_codes"
        text = run(capsys, dataset, "--subject", subject, "--at", at, "--profile", "paper", "--strategy", strategy)
        assert text.strip("\n") == path.read_text().strip("\n"), path.name


def test_corrected_is_the_default(capsys, dataset):
    where = (dataset, "--subject", 3, "--at", "2022-06-24T23:59:00")
    assert run(capsys, *where) == run(capsys, *where, "--profile", "corrected")
    assert "- Body weight (oz): 1407.4, 1329.8, 1188.7\n" in run(capsys, *where)
    assert "- Body weight: No recent data\n" in run(capsys, *where, "--profile", "paper")


def test_sections_and_window(capsys, dataset):
    where = (dataset, "--subject", 3, "--at", "2022-06-24T23:59:00")
    text = run(capsys, *where, "--drop", "lab_results,visit_details")
    assert "## Recent Lab Results" not in text
    assert "## Recent Vital Signs" in text
    kept = run(capsys, *where, "--keep", "demographics")
    assert [line for line in kept.splitlines() if line.startswith("## ")] == ["## Patient Demographics"]
    recent = run(capsys, *where, "--lookback", "30d")
    assert "- Patient age: 11" in recent
    assert recent.count("\n### ") == 1


@pytest.mark.parametrize("packing", ["truncate", "fair"])
def test_token_budget(capsys, dataset, packing):
    where = (dataset, "--subject", 3, "--at", "2022-06-24T23:59:00")
    whole = run(capsys, *where)
    text = run(capsys, *where, "--max-tokens", 512, "--packing", packing, "--encoder", "minilm")
    tokenizer = TextTokenizer(find_weights(get_spec("minilm")).folder)
    assert 400 < tokenizer.count(text.removesuffix("\n")) <= 512
    assert (packing == "truncate") == whole.startswith(text.removesuffix("\n"))
    assert run(capsys, *where, "--max-tokens", 10**6) == whole


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--subject", 999, "--at", "2022-06-24T23:59:00"), "subject 999 is not in"),
        (("--subject", 3, "--at", "1900-01-01"), "before the subject's birth"),
        (("--subject", 3, "--at", "yesterday"), "no ISO time"),
        (("--subject", 3, "--at", "2022-06-24T23:59:00Z"), "time zone"),
        (("--subject", 3, "--at", "2022-06-24", "--drop", "everything"), "no section 'everything'"),
        (("--subject", 3, "--at", "2022-06-24", "--lookback", "soon"), "no span of time"),
        (("--subject", 3, "--at", "2022-06-24", "--lookback", "0d"), "not positive"),
        (("--subject", 3, "--at", "2022-06-24", "--max-tokens", 0), "leaves nothing"),
        (("--subject", 3, "--at", "2022-06-24", "--max-tokens", 9, "--encoder", "nobody"), "nobody"),
        (("--subject", 3, "--at", "2022-06-24", "--values", -1), "make no sense"),
    ],
)
def test_bad_input_is_one_sentence(capsys, dataset, arguments, words):
    assert words in fails(capsys, dataset, *arguments)


def test_a_dataset_that_is_none(capsys, tmp_path):
    assert "no dataset folder" in fails(capsys, tmp_path / "none", "--subject", 1, "--at", "2020-01-01")
