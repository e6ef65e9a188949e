import shutil
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from core.ehr.importers import omop, omop_rows
from core.ehr.importers.cells import BAD_TIME, NO_TIME
from core.ehr.importers.ehrshot import import_ehrshot
from core.ehr.importers.omop import import_omop
from core.ehr.markdown import serialize
from core.ehr.store import open_dataset
from core.errors import InputError

TABLES = {
    "PERSON": "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime,race_concept_id,"
    "ethnicity_concept_id\n1,8507,1960,2,3,,8527,0\n2,8532,1970,,,1970-05-06 07:08:00,0,38003563\n",
    "VISIT_OCCURRENCE": "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime,"
    "visit_end_date,visit_end_datetime,visit_source_concept_id\n"
    "10,1,9201,2010-01-01,2010-01-01 10:00:00,2010-01-09,2010-01-09 12:00:00,0\n"
    "11,2,9202,2011-01-01,2011-01-01 10:00:00,2011-01-01,,0\n",
    "VISIT_DETAIL": "visit_detail_id,person_id,visit_detail_concept_id,visit_detail_start_date,"
    "visit_detail_start_datetime,visit_detail_end_date,visit_detail_end_datetime,visit_occurrence_id\n"
    "100,1,9201,2010-01-01,2010-01-01 10:00:00,2010-01-09,2010-01-09 12:00:00,10\n"
    "101,1,32037,2010-01-03,2010-01-03 10:00:00,2010-01-05,2010-01-05 12:00:00,10\n",
    "CONDITION_OCCURRENCE": "person_id,condition_concept_id,condition_start_date,condition_start_datetime,"
    "visit_occurrence_id,condition_source_concept_id\n"
    "1,500,2010-01-02,,10,0\n1,0,2010-01-02,,10,501\n1,0,2010-01-02,,10,0\n1,999,2010-01-02,,10,0\n"
    "3,500,2010-01-02,,,0\n1,500,9999-01-01,,,0\n",
    "MEASUREMENT": "person_id,measurement_concept_id,measurement_date,measurement_datetime,value_as_number,"
    "value_as_concept_id,unit_concept_id,unit_source_value,value_source_value,visit_occurrence_id\n"
    "1,600,2010-01-02,2010-01-02 06:00:00,12.35,0,8713,gram/dl,12.35,10\n"
    "1,600,2010-01-02,2010-01-02 07:00:00,,700,0,,POS,10\n"
    "1,600,2010-01-02,2010-01-02 08:00:00,,0,0,{score},negative,10\n"
    "1,600,2010-01-02,2010-01-02 09:00:00,,0,8713,g/dL,,10\n",
    "DEATH": "person_id,death_date,death_datetime,cause_concept_id\n1,2012-01-01,,500\n",
    "CONCEPT": "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code\n"
    '500,"Pneumonia, unspecified",Condition,SNOMED,,S,233604007\n501,Old code,Condition,ICD10CM,,,J18.9\n'
    "600,Hemoglobin,Measurement,LOINC,,S,718-7\n700,Positive,Meas Value,SNOMED,,S,10828004\n"
    "8713,gram per deciliter,Unit,UCUM,,S,g/dL\n32037,Intensive Care,Visit,Visit,,S,OMOP4822460\n"
    "502,Lung disease,Condition,SNOMED,,S,19829001\n503,Disease,Condition,SNOMED,,S,64572001\n",
    "CONCEPT_RELATIONSHIP": "concept_id_1,concept_id_2,relationship_id\n"
    "500,502,Is a\n502,503,Is a\n500,501,Mapped from\n",
}


def write_folder(folder: Path, **changes: str | None) -> Path:
    folder.mkdir()
    for name, text in (TABLES | changes).items():
        if text is not None:
            (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.fixture
def source(tmp_path):
    return write_folder(tmp_path / "cdm")


def test_the_sample_equals_the_ehrshot_shaped_form_of_the_same_people(shared_data, tmp_path):
    """And has more: the values that stand only in value_source_value, deaths and devices."""
    source = shared_data / "omop-synthea27nj" / "Synthea27Nj_5.4.zip"
    report = import_omop(source, tmp_path / "omop")
    import_ehrshot(shared_data / "ehrshot-shaped", tmp_path / "ehrshot")
    ours, other = open_dataset(tmp_path / "omop"), open_dataset(tmp_path / "ehrshot")
    assert ours.synthetic
    assert report.rows_read == report.rows_kept + sum(report.rejected.values())
    differing = 0
    timeless = ~pl.col("table").is_in(["person", "visit_occurrence", "visit_detail"])  # the sample has dates alone
    day_end = pl.when(timeless).then(pl.col("time") + timedelta(hours=23, minutes=59)).otherwise("time").alias("time")
    for subject in other.index.subject_ids:
        expected = other.events(subject).with_columns(day_end).sort("time", nulls_last=False, maintain_order=True)
        events = ours.events(subject).filter(pl.col("table").is_in(["death", "device_exposure"]).not_())
        columns = ["time", "code", "visit_id", "table"]
        assert events.select(columns).equals(expected.select(columns))
        given = expected["numeric_value"].is_not_null()
        assert (
            events.filter(given)
            .select("numeric_value", "unit")
            .equals(expected.filter(given).select("numeric_value", "unit"))
        )
        more = events.filter(~given)
        differing += more.filter(pl.col("numeric_value").is_not_null() | pl.col("text_value").is_not_null()).height
    measurements = zipfile.ZipFile(source).read("MEASUREMENT.csv")
    table = pl.read_csv(measurements, infer_schema=False)
    only_text = table.filter(pl.col("value_as_number").is_null() & pl.col("value_source_value").is_not_null())
    assert differing == only_text.height == 48
    assert ours.events(7).filter(pl.col("code") == "MEDS_DEATH").height == 1


def test_persons_become_birth_race_sex_and_ethnicity(source, tmp_path):
    import_omop(source, tmp_path / "ds")
    dataset = open_dataset(tmp_path / "ds")
    assert dataset.events(1)["code"].to_list()[:3] == ["SNOMED/3950001", "Race/5", "Gender/M"]
    assert dataset.events(1)["time"][0] == datetime(1960, 2, 3)
    assert dataset.events(2)["code"].to_list()[:3] == ["SNOMED/3950001", "Gender/F", "Ethnicity/Hispanic"]
    assert dataset.events(2)["time"][0] == datetime(1970, 5, 6, 7, 8)
    assert dataset.vocabulary.describe("Gender/F") == "FEMALE"


def test_values_units_visits_and_deaths(source, tmp_path):
    import_omop(source, tmp_path / "ds")
    events = open_dataset(tmp_path / "ds").events(1)
    labs = events.filter(pl.col("table") == "measurement")
    assert labs["numeric_value"].to_list() == [np.float32(12.35), None, None, None]
    assert labs["text_value"].to_list() == [None, "Positive", "negative", None]
    assert labs["unit"].to_list() == ["g/dL", None, "score", None]
    visit = events.filter(pl.col("code") == "Visit/IP").row(0, named=True)
    assert (visit["visit_id"], visit["end"]) == (10, datetime(2010, 1, 9, 12))
    care = events.filter(pl.col("code") == "Visit/OMOP4822460").row(0, named=True)
    assert (care["visit_id"], care["end"], care["table"]) == (-101, datetime(2010, 1, 5, 12), "visit_detail")
    death = events.filter(pl.col("code") == "MEDS_DEATH").row(0, named=True)
    assert (death["time"], death["text_value"]) == (datetime(2012, 1, 1, 23, 59), "Pneumonia, unspecified")


def test_what_has_a_date_alone_counts_from_the_end_of_its_day(source, tmp_path):
    """A record of the morning must not tell of a diagnosis, a death or a discharge that may come in the afternoon."""
    report = import_omop(source, tmp_path / "ds")
    dataset = open_dataset(tmp_path / "ds")
    visit = dataset.events(2).filter(pl.col("code") == "Visit/OP").row(0, named=True)
    assert (visit["time"], visit["end"]) == (datetime(2011, 1, 1, 10), datetime(2011, 1, 1, 23, 59))
    diagnoses = dataset.events(1).filter(pl.col("table") == "condition_occurrence")
    assert diagnoses["time"].unique().to_list() == [datetime(2010, 1, 2, 23, 59)]
    assert report.repaired == {omop_rows.DATE_ONLY: 3}
    morning = serialize(dataset.events(1), datetime(2010, 1, 2, 12), dataset.vocabulary).text
    assert "Pneumonia" not in morning
    assert "Pneumonia" in serialize(dataset.events(1), datetime(2010, 1, 2, 23, 59), dataset.vocabulary).text


@pytest.mark.parametrize("clock", ["2010-01-02 00:00:00", "", "2010-01-02"])
def test_midnight_is_no_clock_time(tmp_path, clock):
    table = TABLES["CONDITION_OCCURRENCE"].replace("500,2010-01-02,,10", f"500,2010-01-02,{clock},10")
    import_omop(write_folder(tmp_path / "cdm", CONDITION_OCCURRENCE=table), tmp_path / "ds")
    found = open_dataset(tmp_path / "ds").events(1).filter(pl.col("code") == "SNOMED/233604007")
    assert found["time"].to_list() == [datetime(2010, 1, 2, 23, 59)]


def test_a_clock_time_that_cannot_be_read_is_counted(tmp_path):
    table = TABLES["MEASUREMENT"].replace("2010-01-02 06:00:00", "02JAN2010:06:00").replace("07:00:00", "07:00:00 UTC")
    report = import_omop(write_folder(tmp_path / "cdm", MEASUREMENT=table), tmp_path / "ds")
    assert report.repaired[omop_rows.BAD_CLOCK] == 1
    labs = open_dataset(tmp_path / "ds").events(1).filter(pl.col("table") == "measurement")
    assert sorted(time.hour for time in labs["time"]) == [7, 8, 9, 23]


@pytest.mark.parametrize(("month", "day"), [(2, 30), (0, 0), (13, 1), ("", 31)])
def test_an_impossible_day_of_birth_leaves_the_year(tmp_path, month, day):
    table = TABLES["PERSON"].replace("1960,2,3", f"1960,{month},{day}")
    report = import_omop(write_folder(tmp_path / "cdm", PERSON=table), tmp_path / "ds")
    born = datetime(1960, 1, 31) if month == "" else datetime(1960, 1, 1)
    assert open_dataset(tmp_path / "ds").events(1)["time"][0] == born
    assert report.repaired.get(omop_rows.BAD_BIRTH, 0) == (month != "")


def test_rejected_rows_are_counted_by_reason(source, tmp_path):
    report = import_omop(source, tmp_path / "ds")
    assert report.rejected == {
        omop_rows.NO_CONCEPT: 1,
        omop_rows.UNKNOWN_CONCEPT: 1,
        omop_rows.NO_PERSON: 1,
        BAD_TIME: 1,
        omop_rows.SAME_DETAIL: 1,
    }
    assert report.rows_read == report.rows_kept + 5
    codes = open_dataset(tmp_path / "ds").events(1)["code"].to_list()
    assert codes.count("SNOMED/233604007") == 1
    assert codes.count("ICD10CM/J18.9") == 1  # the source concept where there is no standard one


def test_ancestors_come_from_the_relationships(source, tmp_path):
    import_omop(source, tmp_path / "ds")
    vocabulary = open_dataset(tmp_path / "ds").vocabulary
    assert vocabulary.parents("SNOMED/233604007") == ("SNOMED/19829001",)
    assert vocabulary.ancestors("SNOMED/233604007") == {"SNOMED/19829001", "SNOMED/64572001"}
    assert vocabulary.describe("SNOMED/64572001") == "Disease"


def test_or_from_the_ancestor_table(tmp_path):
    text = "ancestor_concept_id,descendant_concept_id,min_levels_of_separation\n"
    text += "502,500,1\n503,502,1\n503,500,2\n500,500,0\n"
    source = write_folder(tmp_path / "cdm", CONCEPT_RELATIONSHIP=None, CONCEPT_ANCESTOR=text)
    import_omop(source, tmp_path / "ds")
    assert open_dataset(tmp_path / "ds").vocabulary.parents("SNOMED/233604007") == ("SNOMED/19829001",)


def as_parquet(folder: Path) -> None:
    for path in list(folder.glob("*.csv")):
        pl.read_csv(path).write_parquet(path.with_suffix(".parquet"))
        path.unlink()


def as_tabs(folder: Path) -> None:
    for path in folder.glob("*.csv"):
        path.write_text(pl.read_csv(path, infer_schema=False).write_csv(separator="\t", quote_style="never"))


def in_lower_case(folder: Path) -> None:
    for path in list(folder.glob("*.csv")):
        header, rest = path.read_text().split("\n", 1)
        path.unlink()
        (folder / path.name.lower()).write_text(header.upper() + "\n" + rest)


def in_parts(folder: Path) -> None:
    header, *rows = (folder / "MEASUREMENT.csv").read_text().strip().split("\n")
    (folder / "MEASUREMENT.csv").unlink()
    (folder / "measurement").mkdir()
    (folder / "measurement" / "part-0.csv").write_text("\n".join([header, *rows[:2]]) + "\n")
    (folder / "measurement" / "part-1.csv").write_text("\n".join([header, *rows[2:]]) + "\n")


def as_zip(folder: Path) -> None:
    shutil.make_archive(str(folder), "zip", folder.parent, folder.name)


@pytest.mark.parametrize("form", [as_parquet, as_tabs, in_lower_case, in_parts, as_zip])
def test_every_form_of_the_same_tables_gives_the_same_events(source, tmp_path, form):
    import_omop(source, tmp_path / "plain")
    form(source)
    import_omop(source.with_suffix(".zip") if form is as_zip else source, tmp_path / "other")
    one, other = open_dataset(tmp_path / "plain"), open_dataset(tmp_path / "other")
    for subject in (1, 2):
        assert one.events(subject).equals(other.events(subject))


def test_a_zip_of_parquet_files_is_read(source, tmp_path):
    as_parquet(source)
    as_zip(source)
    assert import_omop(source.with_suffix(".zip"), tmp_path / "ds").subjects == 2


def test_optional_tables_may_be_missing_and_are_named(tmp_path):
    names = ("VISIT_OCCURRENCE", "VISIT_DETAIL", "DEATH", "CONCEPT_RELATIONSHIP")
    report = import_omop(write_folder(tmp_path / "cdm", **dict.fromkeys(names)), tmp_path / "ds")
    assert "the source has no table visit_occurrence" in report.notes
    assert "guo_los" in report.tasks_missing


def test_a_table_that_lost_most_of_its_rows_is_named(source, tmp_path):
    notes = import_omop(source, tmp_path / "ds").notes
    (lost,) = [note for note in notes if " lost " in note]  # not visit_detail: its visits say the same
    assert lost.startswith("condition_occurrence lost 4 of its 6 rows, 1 of them because: ")
    without_times = TABLES["MEASUREMENT"].replace("measurement_date", "day")
    notes = import_omop(write_folder(tmp_path / "other", MEASUREMENT=without_times), tmp_path / "ds").notes
    assert f"measurement lost 4 of its 4 rows, 4 of them because: {NO_TIME}" in notes


def test_splits_are_made_by_a_hash_of_the_id():
    splits = omop.assign_splits(pl.Series("subject_id", range(20_000)))
    shares = dict(splits["split"].value_counts(normalize=True).iter_rows())
    assert abs(shares["train"] - 0.70) < 0.02
    assert abs(shares["held_out"] - 0.15) < 0.02
    assert omop.assign_splits(pl.Series("subject_id", [7])).rows() == [splits.row(7)]


def test_hostile_zip_members_are_never_used_as_paths(source, tmp_path):
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path in source.iterdir():
            out.write(path, path.name)
        out.writestr("../../../escape.parquet", b"x")
        out.writestr("/absolute.csv", b"x")
    before = {path for path in tmp_path.rglob("*")}
    import_omop(archive, tmp_path / "ds")
    assert {path for path in tmp_path.rglob("*") if tmp_path / "ds" not in path.parents} - before == {tmp_path / "ds"}


def zip_bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out,
        out.open("PERSON.csv", "w", force_zip64=True) as member,
    ):
        member.write(b"person_id\n")
        for _ in range(80):
            member.write(bytes(1 << 20))


def test_a_zip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("core.ehr.sources._BOMB_BYTES", 64 << 20)
    zip_bomb(tmp_path / "bomb.zip")
    with pytest.raises(InputError, match="would unpack to"):
        import_omop(tmp_path / "bomb.zip", tmp_path / "ds")


def damaged_zip(folder: Path) -> Path:
    as_zip(folder)
    path = folder.with_suffix(".zip")
    data = bytearray(path.read_bytes())
    place = data.find(b"person_id,measurement") if b"person_id,measurement" in data else 200
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    return path


def cut_zip(folder: Path) -> Path:
    as_zip(folder)
    path = folder.with_suffix(".zip")
    path.write_bytes(path.read_bytes()[:-30])
    return path


def no_person(folder: Path) -> Path:
    (folder / "PERSON.csv").unlink()
    return folder


def no_concepts(folder: Path) -> Path:
    (folder / "CONCEPT.csv").unlink()
    return folder


def wrong_columns(folder: Path) -> Path:
    (folder / "MEASUREMENT.csv").write_text("a,b\n1,2\n")
    return folder


def twice(folder: Path) -> Path:
    shutil.copy(folder / "PERSON.csv", folder / "person.tsv")
    return folder


def empty_person(folder: Path) -> Path:
    (folder / "PERSON.csv").write_text("person_id,gender_concept_id\n")
    return folder


def nothing_known(folder: Path) -> Path:
    (folder / "CONCEPT.csv").write_text("concept_id,concept_name,vocabulary_id,concept_code\n")
    (folder / "PERSON.csv").write_text("person_id,year_of_birth\n1,\n")
    return folder


def cut_csv(folder: Path) -> Path:
    path = folder / "MEASUREMENT.csv"
    path.write_text(path.read_text()[:-30])
    return folder


def cut_csv_in_a_zip(folder: Path) -> Path:
    as_zip(cut_csv(folder))
    return folder.with_suffix(".zip")


def cut_parquet(folder: Path) -> Path:
    as_parquet(folder)
    path = folder / "MEASUREMENT.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    return folder


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damaged_zip, "damaged"),
        (cut_zip, "neither a folder nor a readable zip|damaged"),
        (no_person, "holds no PERSON table"),
        (no_concepts, r"holds no CONCEPT table; add CONCEPT\.csv from Athena"),
        (wrong_columns, r"MEASUREMENT\.csv lacks the column person_id, measurement_concept_id"),
        (twice, "holds the table person more than once"),
        (empty_person, "PERSON table has no rows"),
        (nothing_known, "no row of the OMOP tables could be used"),
        (cut_csv, r"MEASUREMENT\.csv ends in the middle of a row"),
        (cut_csv_in_a_zip, r"MEASUREMENT\.csv ends in the middle of a row"),
        (cut_parquet, r"MEASUREMENT\.parquet is damaged or cut short"),
        (lambda folder: folder / "nowhere", "there is no"),
    ],
)
def test_a_bad_source_is_one_sentence_and_leaves_nothing(source, tmp_path, harm, message):
    with pytest.raises(InputError, match=message):
        import_omop(harm(source), tmp_path / "out" / "ds")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_concepts_may_be_given_apart(source, tmp_path):
    (tmp_path / "athena").mkdir()
    shutil.move(source / "CONCEPT.csv", tmp_path / "athena" / "CONCEPT.csv")
    assert import_omop(source, tmp_path / "ds", concepts=tmp_path / "athena").subjects == 2
