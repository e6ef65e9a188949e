import pytest

from core.cli import main
from core.ehr.store import open_dataset


@pytest.mark.parametrize(
    ("format", "source"), [("ehrshot", "ehrshot-shaped"), ("omop", "omop-synthea27nj/Synthea27Nj_5.4.zip")]
)
def test_both_samples_are_imported_and_reported(shared_data, tmp_path, capsys, format, source):
    dest = tmp_path / "ds"
    assert main(["import", format, str(shared_data / source), str(dest)]) == 0
    out = capsys.readouterr().out
    assert "28 subjects" in out
    assert "rows read" in out
    assert "LOINC: 153 of 153 codes described" in out
    assert open_dataset(dest).n_subjects == 28


@pytest.mark.parametrize("format", ["ehrshot", "omop"])
def test_a_missing_source_is_one_line_and_status_2(tmp_path, capsys, format):
    assert main(["import", format, str(tmp_path / "nowhere"), str(tmp_path / "ds")]) == 2
    err = capsys.readouterr().err.strip()
    assert err.startswith("error: there is no ")
    assert "\n" not in err
    assert not (tmp_path / "ds").exists()
