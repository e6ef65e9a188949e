from pathlib import Path

import polars as pl
import pytest

from core.ehr.external_vocabulary import with_athena
from core.ehr.meds_layout import write_codes
from core.ehr.store import open_dataset
from core.ehr.vocabulary import Vocabulary, coverage, load_vocabulary, vocabulary_of
from core.errors import InputError
from core.settings import get_settings


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
        ["1\tOTHER NAME\t\tSNOMED\t\t1", '2\tBody "weight" | [link](x)\t\tLOINC\t\t9', "3\tNot here\t\tLOINC\t\t8"],
    )
    vocabulary = with_athena(load_vocabulary(codes_file), concepts, "v1", lambda: ["LOINC/9"])
    assert vocabulary.describe("SNOMED/1") == "Pneumonia"
    assert vocabulary.describe("LOINC/9") == 'Body "weight" | [link](x)'
    assert vocabulary.describe("LOINC/8") is None
    assert vocabulary.describe("Blank/1") is None
    assert vocabulary.parents("SNOMED/1") == ("SNOMED/2",)


def test_athena_gives_parents_from_the_relationships_beside_it(tmp_path):
    concepts = athena(
        tmp_path / "CONCEPT.csv", ['5,"Weight, body",,LOINC,,29463-7', "6,Body metrics,,LOINC,,LP1"], ","
    )
    (tmp_path / "CONCEPT_RELATIONSHIP.csv").write_text("concept_id_1,concept_id_2,relationship_id\n5,6,Is a\n")
    vocabulary = with_athena(load_vocabulary(tmp_path / "absent.parquet"), concepts, "v1", lambda: ["LOINC/29463-7"])
    assert vocabulary.describe("LOINC/29463-7") == "Weight, body"
    assert vocabulary.parents("LOINC/29463-7") == ("LOINC/LP1",)
    assert vocabulary.describe("LOINC/LP1") == "Body metrics"


def test_what_athena_said_is_kept_until_a_file_or_the_data_changes(codes_file, tmp_path):
    concepts = athena(tmp_path / "CONCEPT.csv", ["2\tBody weight\t\tLOINC\t\t9"])
    own, asked = load_vocabulary(codes_file), []

    def codes() -> list[str]:
        asked.append(1)
        return ["LOINC/9"]

    for version in ("v1", "v1", "v2"):
        assert with_athena(own, concepts, version, codes).describe("LOINC/9") == "Body weight"
    assert len(asked) == 2
    athena(concepts, ["2\tWeight of the body\t\tLOINC\t\t9"])
    assert with_athena(own, concepts, "v2", codes).describe("LOINC/9") == "Weight of the body"


def test_a_dataset_uses_the_concepts_of_the_settings(meds_folder, two_subjects, tmp_path, monkeypatch):
    concepts = athena(tmp_path / "CONCEPT.csv", ["2\tHemoglobin\t\tLOINC\t\t718-7"])
    folder = meds_folder(a=two_subjects)
    assert open_dataset(folder).vocabulary.describe("LOINC/718-7") is None
    assert open_dataset(folder, concepts).vocabulary.describe("LOINC/718-7") == "Hemoglobin"
    monkeypatch.setattr(get_settings(), "concepts", concepts)
    assert open_dataset(folder).vocabulary.describe("LOINC/718-7") == "Hemoglobin"


def test_wrong_vocabulary_files_are_errors(codes_file, tmp_path):
    own = load_vocabulary(codes_file)
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"c\.csv lacks the column concept_id"):
        with_athena(own, tmp_path / "c.csv", "", list)
    with pytest.raises(InputError, match="no concept table"):
        with_athena(own, tmp_path / "nothing.csv", "", list)
    (tmp_path / "vocabulary_download_v5.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="is a zip file; unpack it"):
        with_athena(own, tmp_path / "vocabulary_download_v5.zip", "", list)
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
