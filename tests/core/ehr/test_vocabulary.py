from pathlib import Path

import polars as pl
import pytest

from core.ehr.meds_layout import write_codes
from core.ehr.vocabulary import Vocabulary, coverage, load_vocabulary, vocabulary_of
from core.errors import InputError


@pytest.fixture
def codes_file(tmp_path) -> Path:
    frame = pl.DataFrame(
        {
            "code": ["SNOMED/1", "SNOMED/2", "SNOMED/3", "LOINC/9", "Blank/1"],
            "description": ["Pneumonia", "Lung disease", "Disease", None, " "],
            "parent_codes": [["SNOMED/2"], ["SNOMED/3"], ["SNOMED/1"], None, None],
        }
    )
    write_codes(tmp_path, frame)
    return tmp_path / "metadata" / "codes.parquet"


def athena(path: Path, rows: list[str], separator: str = "\t") -> Path:
    header = ["concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "concept_code"]
    path.write_text("\n".join([separator.join(header), *rows]) + "\n", encoding="utf-8")
    return path


def test_parents_and_ancestors_survive_a_cycle(codes_file):
    vocabulary = load_vocabulary(codes_file)
    assert vocabulary.parents("SNOMED/1") == ("SNOMED/2",)
    assert vocabulary.ancestors("SNOMED/1") == {"SNOMED/2", "SNOMED/3"}
    assert vocabulary.descendants(["SNOMED/3"]) == {"SNOMED/1", "SNOMED/2", "SNOMED/3"}
    assert vocabulary.ancestors("unknown") == frozenset()


def test_codes_parquet_comes_first_then_athena(codes_file, tmp_path):
    concepts = athena(
        tmp_path / "CONCEPT.csv",
        [
            "1\tOTHER NAME\t\tSNOMED\t\t1",
            '2\tBody "weight" | [link](x)\t\tLOINC\t\t9',
            "3\tNot in the data\t\tLOINC\t\t8",
        ],
    )
    vocabulary = load_vocabulary(codes_file, concepts)
    assert vocabulary.describe("SNOMED/1") == "Pneumonia"
    assert vocabulary.describe("LOINC/9") == 'Body "weight" | [link](x)'
    assert vocabulary.describe("LOINC/8") is None
    assert vocabulary.describe("Blank/1") is None


def test_without_codes_parquet_athena_alone_describes(tmp_path):
    concepts = athena(tmp_path / "CONCEPT.csv", ['5,"Weight, body",,LOINC,,29463-7'], ",")
    vocabulary = load_vocabulary(tmp_path / "absent.parquet", concepts)
    assert vocabulary.describe("LOINC/29463-7") == "Weight, body"


def test_wrong_vocabulary_files_are_errors(codes_file, tmp_path):
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"c\.csv lacks the column concept_id"):
        load_vocabulary(codes_file, tmp_path / "c.csv")
    with pytest.raises(InputError, match="no concept table"):
        load_vocabulary(codes_file, tmp_path / "nothing.csv")
    codes_file.write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"codes\.parquet cannot be read"):
        load_vocabulary(codes_file)


def test_coverage_counts_codes_and_events_per_vocabulary():
    counts = pl.DataFrame({"code": ["LOINC/1", "LOINC/2", "SNOMED/1", "MEDS_BIRTH"], "n": [10, 30, 5, 2]})
    found = coverage(counts, Vocabulary({"LOINC/2": "x", "SNOMED/1": "y"}))
    assert [(c.vocabulary, c.codes, c.described, c.events, c.events_described) for c in found] == [
        ("LOINC", 2, 1, 40, 30),
        ("SNOMED", 1, 1, 5, 5),
        ("MEDS_BIRTH", 1, 0, 2, 0),
    ]


def test_vocabulary_of():
    assert [vocabulary_of(c) for c in ("LOINC/1-2", "LAB//50868//mEq/L", "MEDS_BIRTH")] == [
        "LOINC",
        "LAB",
        "MEDS_BIRTH",
    ]
