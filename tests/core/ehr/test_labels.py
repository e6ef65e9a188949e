"""The EHRSHOT label definitions, against a naive version that walks through one subject's events."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import meds
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from core.ehr.demo import generate_demo
from core.ehr.importers.ehrshot import import_ehrshot
from core.ehr.label_codes import EHRSHOT_INTENSIVE_CARE, icd_code, unit_key
from core.ehr.labels import compute_labels, hospital_stays, write_computed_labels
from core.ehr.store import open_dataset
from core.ehr.tasks import TASKS
from core.ehr.vocabulary import Vocabulary
from core.errors import InputError

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SCHEMA = {
    "subject_id": pl.Int64,
    "time": pl.Datetime("us"),
    "code": pl.String,
    "numeric_value": pl.Float32,
    "text_value": pl.String,
    "unit": pl.String,
    "end": pl.Datetime("us"),
    "table": pl.String,
}


def events(*rows: tuple) -> pl.DataFrame:
    """Events from (subject, time, code, number, unit, end, text); what is left out is null."""
    padded = [(*row, *[None] * (7 - len(row))) for row in rows]
    tidy = [(s, t, c, n, text, unit, end, None) for s, t, c, n, unit, end, text in padded]
    return pl.DataFrame(tidy, schema=SCHEMA, orient="row")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def labels(frame: pl.DataFrame, task: str, vocabulary: Vocabulary | None = None) -> list[tuple]:
    return compute_labels(frame, [task], vocabulary).labels[task].rows()


# --- the naive version -----------------------------------------------------------------------------------------------

DIAGNOSIS = {
    "new_hypertension": "ICD10CM/I10",
    "new_hyperlipidemia": "ICD10CM/E78",
    "new_pancan": "ICD10CM/C25",
    "new_celiac": "ICD10CM/K90.0",
    "new_lupus": "ICD10CM/M32",
    "new_acutemi": "ICD10CM/I21",
}
LAB = {
    "lab_thrombocytopenia": ("LOINC/777-3",),
    "lab_hyperkalemia": ("LOINC/2823-3",),
    "lab_hypoglycemia": ("LOINC/2345-7", "LOINC/14749-6"),
    "lab_hyponatremia": ("LOINC/2951-2",),
    "lab_anemia": ("LOINC/718-7",),
}


def naive_severity(task: str, value: float, unit: str) -> int:
    if task == "lab_thrombocytopenia":
        return 3 if value < 50 else 2 if value < 100 else 1 if value < 150 else 0
    if task == "lab_hyperkalemia":
        assert unit.lower() in ("mmol/l", "meq/l")
        return 3 if value > 7 else 2 if value > 6 else 1 if value > 5.5 else 0
    if task == "lab_hypoglycemia":
        value = value / 18 if unit == "mg/dL" else value
        return 3 if value < 3 else 2 if value < 3.5 else 1 if value <= 3.9 else 0
    if task == "lab_hyponatremia":
        return 3 if value < 125 else 2 if value < 130 else 1 if value <= 135 else 0
    value = value * 10 if unit == "g/dL" else value
    return 3 if value < 70 else 2 if value < 110 else 1 if value < 120 else 0


def naive_labels(rows: list[dict], task: str) -> list[tuple[datetime, bool | int]]:
    """Labels of one subject, event by event."""
    stays = [(r["time"], r["end"]) for r in rows if r["code"] == "Visit/IP" and r["end"] > r["time"]]
    evening = lambda t: t.replace(hour=23, minute=59, second=0, microsecond=0)
    if task == "guo_los":
        return [(evening(s), e - s >= 7 * DAY) for s, e in stays if s.date() != e.date()]
    if task == "guo_readmission":
        times = {
            evening(e) for s, e in stays if not any(other >= e and other.date() == e.date() for other, _ in stays)
        }
        return [(t, any(t + MINUTE <= s <= t + 30 * DAY for s, _ in stays)) for t in sorted(times)]
    if task == "guo_icu":
        care = [r["time"] for r in rows if r["code"] == "CARE_SITE/ICU"]
        kept = [(s, e) for s, e in stays if s.date() != e.date() and s.date() not in [c.date() for c in care]]
        return [(evening(s), any(evening(s) <= c <= e for c in care)) for s, e in kept]
    if task in DIAGNOSIS:
        found = [r["time"] for r in rows if r["code"].startswith(DIAGNOSIS[task])]
        times = sorted({evening(e) for _, e in stays})
        times = [t for t in times if not found or t <= min(found)]
        return [(t, any(t + DAY <= f <= t + 365 * DAY for f in found)) for t in times]
    first = min(r["time"] for r in rows)
    results = [r for r in rows if r["code"] in LAB[task] and r["time"] != first]
    number = lambda value: float(str(np.float32(value)))
    return [(r["time"] - MINUTE, naive_severity(task, number(r["numeric_value"]), r["unit"])) for r in results]


@pytest.mark.parametrize("task", [task.id for task in TASKS if task.id != "chexpert"])
def test_equal_to_the_naive_version_on_the_demo_cohort(task: str, demo_events: pl.DataFrame):
    expected = []
    for (subject,), rows in demo_events.group_by("subject_id", maintain_order=True):
        expected += [(subject, *label) for label in naive_labels(rows.to_dicts(), task)]
    assert len(expected) > 50
    assert compute_labels(demo_events, [task]).labels[task].rows() == sorted(expected, key=lambda row: row[:2])


@pytest.fixture(scope="module")
def demo_events(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = generate_demo(tmp_path_factory.mktemp("labels") / "demo", subjects=150, seed=11)
    return pl.read_parquet(folder / "data" / "*.parquet")


def test_equal_to_the_naive_version_on_random_overlapping_stays():
    chance = random.Random(5)
    rows = []
    for subject in range(1, 60):
        rows.append((subject, at("2019-01-01"), "MEDS_BIRTH"))
        for _ in range(chance.randint(0, 7)):
            start = at("2020-01-01") + timedelta(minutes=chance.randint(0, 90 * 1440))
            end = start + timedelta(minutes=chance.choice([0, 300, 1440, 4000, 7 * 1440, 20000]))
            rows.append((subject, start, "Visit/IP", None, None, end))
        for code in ("CARE_SITE/ICU", "ICD10CM/I10"):
            for _ in range(chance.randint(0, 2)):
                begin = at("2020-01-01") + timedelta(minutes=chance.randint(0, 200 * 1440))
                rows.append((subject, begin, code, None, None, begin + DAY))
    frame = events(*rows).sort("subject_id", "time")
    for task in ("guo_los", "guo_readmission", "guo_icu", "new_hypertension"):
        expected = []
        for (subject,), own in frame.group_by("subject_id", maintain_order=True):
            expected += [(subject, *label) for label in naive_labels(own.to_dicts(), task)]
        assert sorted(compute_labels(frame, [task]).labels[task].rows()) == sorted(expected)


# --- data that other people labelled ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shaped(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("shaped") / "dataset"
    import_ehrshot(shared_data / "ehrshot-shaped", dest)
    return dest


def test_long_stays_of_the_ehrshot_shaped_release_are_reproduced(shaped: Path):
    """Its labels count emergency visits as stays; everything else follows the definition."""
    dataset = open_dataset(shaped)
    ours = compute_labels(dataset, ["guo_los"], admissions=("Visit/IP", "Visit/ER")).labels["guo_los"]
    assert ours.rows() == dataset.labels("guo_los").rows()


def test_readmissions_of_the_ehrshot_shaped_release_agree(shaped: Path):
    """Its labels keep stays of no length and same-day readmissions, which the definition leaves out."""
    dataset = open_dataset(shaped)
    admissions = ("Visit/IP", "Visit/ER")
    ours = compute_labels(dataset, ["guo_readmission"], admissions=admissions).labels["guo_readmission"]
    theirs = set(dataset.labels("guo_readmission").rows())
    assert len(ours) == 15
    assert set(ours.rows()) <= theirs
    ends = hospital_stays(dataset.scan(), admissions=admissions)["end"].dt.date().to_list()
    left_out = {row for row in theirs - set(ours.rows()) if row[1].date() in ends}
    assert not left_out, "every stay that has a length is labelled"


def test_tasks_that_the_data_cannot_carry_are_named(shaped: Path):
    computed = compute_labels(open_dataset(shaped))
    assert set(computed.labels) | set(computed.missing) == {task.id for task in TASKS}
    assert "radiology" in computed.missing["chexpert"]
    assert "SNOMED/55464009" in computed.missing["new_lupus"]
    assert "intensive care" in computed.missing["guo_icu"]
    assert "lab_anemia" in computed.labels


# --- the rules, one by one -------------------------------------------------------------------------------------------


def stay(subject: int, start: str, end: str) -> tuple:
    return (subject, at(start), "Visit/IP", None, None, at(end))


def test_stays_of_meds_etls_table_visit_count():
    frame = events(stay(1, "2020-01-01T10:00", "2020-01-09T10:00")).with_columns(table=pl.lit("visit"))
    assert labels(frame, "guo_los") == [(1, at("2020-01-01T23:59"), True)]


def test_a_missing_hierarchy_is_said():
    """Acute STEMI lies below EHRSHOT's root of the acute infarction; nothing in the data says so."""
    frame = events(
        stay(1, "2020-01-01T10:00", "2020-01-03T10:00"),
        (1, at("2020-03-01"), "SNOMED/401303003"),
        stay(2, "2020-01-01T10:00", "2020-01-03T10:00"),
        (2, at("2020-03-01"), "SNOMED/57054005"),
    )
    blind = compute_labels(frame, ["new_acutemi"], Vocabulary())
    assert [value for *_, value in blind.labels["new_acutemi"].rows()] == [False, True]
    assert "no SNOMED hierarchy" in blind.notes["new_acutemi"]
    seeing = compute_labels(frame, ["new_acutemi"], Vocabulary({}, {"SNOMED/401303003": ("SNOMED/57054005",)}))
    assert [value for *_, value in seeing.labels["new_acutemi"].rows()] == [True, True]
    assert "hierarchy" not in seeing.notes["new_acutemi"]


def test_a_stay_is_long_from_seven_days_on():
    frame = events(
        stay(1, "2020-01-01T10:00", "2020-01-08T10:00"),
        stay(2, "2020-01-01T10:00", "2020-01-08T09:59"),
        stay(3, "2020-01-01T10:00", "2020-01-01T20:00"),
    )
    night = at("2020-01-01T23:59")
    assert labels(frame, "guo_los") == [(1, night, True), (2, night, False)]


def test_readmission_within_30_days_of_the_evening_of_discharge():
    frame = events(
        stay(1, "2020-01-01T10:00", "2020-01-03T10:00"),
        stay(1, "2020-02-02T23:59", "2020-02-04T10:00"),  # 30 days to the minute
        stay(2, "2020-01-01T10:00", "2020-01-03T10:00"),
        stay(2, "2020-02-03T00:00", "2020-02-04T10:00"),
        stay(3, "2020-01-01T10:00", "2020-01-03T10:00"),
        stay(3, "2020-01-03T18:00", "2020-01-05T10:00"),  # the same day: no label for the first stay
    )
    found = {(s, t.date().isoformat()): v for s, t, v in labels(frame, "guo_readmission")}
    assert found == {
        (1, "2020-01-03"): True,
        (1, "2020-02-04"): False,
        (2, "2020-01-03"): False,
        (2, "2020-02-04"): False,
        (3, "2020-01-05"): False,
    }


def test_intensive_care_after_the_first_day_counts_and_on_it_excludes():
    care = "CARE_SITE/ICU"
    frame = events(
        stay(1, "2020-01-01T10:00", "2020-01-05T10:00"),
        (1, at("2020-01-02T03:00"), care, None, None, at("2020-01-03T03:00")),
        stay(2, "2020-01-01T10:00", "2020-01-05T10:00"),
        (2, at("2020-01-01T12:00"), care, None, None, at("2020-01-03T03:00")),
        stay(3, "2020-01-01T10:00", "2020-01-05T10:00"),
        (3, at("2020-01-06T12:00"), care, None, None, at("2020-01-07T03:00")),
        stay(4, "2020-01-01T10:00", "2020-01-05T10:00"),
        (4, at("2020-01-02T12:00"), care, None, None, at("2020-01-02T12:00")),  # of no length
    )
    assert [(s, v) for s, _, v in labels(frame, "guo_icu")] == [(1, True), (3, False), (4, False)]


@pytest.mark.parametrize(
    ("code", "description"),
    [
        ("CARE_SITE/7928450", None),
        ("CARE SITE/17", "E2-ICU"),
        ("Visit/OMOP4822460", "Intensive Care"),
        ("ICU_ADMISSION//Medical Intensive Care Unit (MICU)", None),
        ("TRANSFER_TO//transfer//Coronary Care Unit (CCU)", None),
    ],
)
def test_places_of_intensive_care_are_recognised(code: str, description: str | None):
    frame = events(stay(1, "2020-01-01T10:00", "2020-01-05T10:00"), (1, at("2020-01-02T03:00"), code))
    vocabulary = Vocabulary({code: description} if description else {})
    assert [v for _, _, v in labels(frame, "guo_icu", vocabulary)] == [True]


def test_the_care_sites_are_those_of_the_authors_labelers():
    """get_icu_visit_detail_concepts of ehrshot/labelers/omop.py lists 25 numbers with this sum."""
    numbers = {int(code.rpartition("/")[2]) for code in EHRSHOT_INTENSIVE_CARE}
    assert (len(numbers), sum(numbers)) == (25, 198_241_158)
    assert len(EHRSHOT_INTENSIVE_CARE) == 50, "in the spellings CARE_SITE/ and CARE SITE/"


@pytest.mark.parametrize("code", ["SNOMED/309904001", "CARE_SITE/5", "LOINC/ICU"])
def test_other_codes_are_no_place_of_intensive_care(code: str):
    frame = events(stay(1, "2020-01-01T10:00", "2020-01-05T10:00"), (1, at("2020-01-02T03:00"), code))
    vocabulary = Vocabulary({"CARE_SITE/5": "Difficult airway clinic", "SNOMED/309904001": "Intensive care unit"})
    assert "guo_icu" in compute_labels(frame, ["guo_icu"], vocabulary).missing


def test_first_diagnosis_between_one_and_365_days_and_never_after_it():
    frame = events(
        stay(1, "2020-01-01T10:00", "2020-01-03T10:00"),
        (1, at("2021-01-02T23:59"), "SNOMED/1"),  # 365 days to the minute, below the root
        stay(1, "2021-03-01T10:00", "2021-03-03T10:00"),  # after the diagnosis
        stay(2, "2020-01-01T10:00", "2020-01-03T10:00"),
        (2, at("2021-01-03T00:00"), "SNOMED/59621000"),
        stay(3, "2020-01-01T10:00", "2020-01-03T10:00"),
        (3, at("2020-01-04T12:00"), "SNOMED/59621000"),  # within the first day
        stay(4, "2020-01-01T10:00", "2020-01-03T10:00"),
        (4, at("2020-01-04T23:59"), "SNOMED/59621000"),  # one day to the minute
    )
    hierarchy = Vocabulary({}, {"SNOMED/1": ("SNOMED/2",), "SNOMED/2": ("SNOMED/59621000",)})
    found = [(s, v) for s, _, v in labels(frame, "new_hypertension", hierarchy)]
    assert found == [(1, True), (2, False), (3, False), (4, True)]


@pytest.mark.parametrize(
    ("code", "task"),
    [
        ("ICD10CM/I21.4", "new_acutemi"),
        ("ICD10/C25.0", "new_pancan"),
        ("DIAGNOSIS//ICD//10//M3210", "new_lupus"),
        ("DIAGNOSIS//ICD//9//5790", "new_celiac"),
        ("ICD9CM/401.9", "new_hypertension"),
        ("ICD10CM/E78.5", "new_hyperlipidemia"),
    ],
)
def test_diagnoses_in_icd_count(code: str, task: str):
    frame = events(stay(1, "2020-01-01T10:00", "2020-01-03T10:00"), (1, at("2020-06-02"), code))
    assert [v for _, _, v in labels(frame, task)] == [True]


def test_icd_codes_are_read_whatever_their_prefix():
    assert icd_code("ICD10CM/I21.4") == icd_code("DIAGNOSIS//ICD//10//i214") == (10, "I214")
    assert icd_code("ICD9CM/410.71") == (9, "41071")
    assert icd_code("SNOMED/I10") is None and icd_code("ICD10PCS/0DTJ4ZZ") is None


def lab(value: float | None, unit: str | None, code: str, text: str | None = None) -> pl.DataFrame:
    return events((1, at("2019-01-01"), "MEDS_BIRTH"), (1, at("2020-01-01T08:00"), code, value, unit, None, text))


@pytest.mark.parametrize(
    ("task", "code", "value", "unit", "severity"),
    [
        ("lab_thrombocytopenia", "LOINC/777-3", 150, "10*3/uL", 0),
        ("lab_thrombocytopenia", "LOINC/777-3", 149, "K/uL", 1),
        ("lab_thrombocytopenia", "LOINC/777-3", 99, "10^9/L", 2),
        ("lab_thrombocytopenia", "LOINC/777-3", 49000, "/uL", 3),
        ("lab_thrombocytopenia", "LOINC/777-3", 120, "some unit", 1),
        *(
            ("lab_thrombocytopenia", "LOINC/777-3", 30000, unit, 3)
            for unit in ("cells/uL", "{cells}/uL", "#/uL", "/cumm")
        ),
        ("lab_thrombocytopenia", "LOINC/777-3", 30, "1000/uL", 3),
        ("lab_thrombocytopenia", "LOINC/777-3", 120, "G/L", 1),
        ("lab_hyperkalemia", "LOINC/2823-3", 5.5, "mmol/L", 0),
        ("lab_hyperkalemia", "LOINC/2823-3", 6.5, "mmole/L", 2),
        ("lab_hypoglycemia", "LOINC/2345-7", 50, "mg%", 3),
        ("lab_hyponatremia", "LOINC/2951-2", 124000, "umol/L", 3),
        ("lab_anemia", "LOINC/718-7", 6.1, "gm/dL", 3),
        ("lab_anemia", "LOINC/718-7", 6.1, "g%", 3),
        ("lab_anemia", "LOINC/718-7", 7.0, "mmol/L", 1),  # 11.3 g/dL
        ("lab_hyperkalemia", "LOINC/2823-3", 5.6, "mEq/L", 1),
        ("lab_hyperkalemia", "LOINC/6298-4", 6.1, "mmol/L (See scan for detail)", 2),
        ("lab_hyperkalemia", "LOINC/2823-3", 7.1, "mmol/L", 3),
        ("lab_hyperkalemia", "LOINC/2823-3", 18.0, "mg/dL", 0),  # 4.6 mmol/L
        ("lab_hypoglycemia", "LOINC/14749-6", 3.9, "mmol/L", 1),  # as float32 it is a little more than 3.9
        ("lab_hypoglycemia", "LOINC/14749-6", 4.0, "mmol/L", 0),
        ("lab_hypoglycemia", "LOINC/2345-7", 70, "mg/dL", 1),
        ("lab_hypoglycemia", "LOINC/2345-7", 71, "mg/dL", 0),
        ("lab_hypoglycemia", "LOINC/2345-7", 53, "mg/dL", 3),
        ("lab_hyponatremia", "LOINC/2951-2", 135, "mmol/L", 1),
        ("lab_hyponatremia", "LOINC/2947-0", 129, "meq/L", 2),
        ("lab_hyponatremia", "LOINC/2951-2", 136, None, 0),
        ("lab_anemia", "LOINC/718-7", 12.0, "g/dL", 0),
        ("lab_anemia", "LOINC/718-7", 11.9, "g/dL", 1),
        ("lab_anemia", "LOINC/718-7", 109, "g/L", 2),
        ("lab_anemia", "LOINC/718-7", 6.9, "G/DL", 3),
        ("lab_anemia", "LOINC/718-7", 14000, "mg/dL", 0),
        ("lab_anemia", "LOINC/718-7", 10.5, None, 2),
    ],
)
def test_thresholds_and_units(task: str, code: str, value: float, unit: str | None, severity: int):
    assert labels(lab(value, unit, code), task) == [(1, at("2020-01-01T07:59"), severity)]


@pytest.mark.parametrize(("text", "severity"), [("Adequate", 0), ("normal", 0), ("88", 2)])
def test_text_results(text: str, severity: int):
    frame = lab(None, "10*3/uL", "LOINC/777-3", text)
    assert [v for *_, v in labels(frame, "lab_thrombocytopenia")] == [severity]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (5.0, "furlong", None),
        (None, "mmol/L", "see note"),
        (float("nan"), "mmol/L", None),
        (float("inf"), "mmol/L", None),
    ],
)
def test_results_that_cannot_be_read_give_no_label(value: float | None, unit: str, text: str | None):
    computed = compute_labels(lab(value, unit, "LOINC/2823-3", text), ["lab_hyperkalemia"])
    assert "no value in a known unit" in computed.missing["lab_hyperkalemia"]
    assert "1 results without" in computed.notes["lab_hyperkalemia"]


def test_a_result_at_the_very_first_time_gives_no_label():
    frame = events(
        (1, at("2020-01-01"), "LOINC/718-7", 9.0, "g/dL"), (1, at("2020-01-02"), "LOINC/718-7", 9.0, "g/dL")
    )
    assert len(labels(frame, "lab_anemia")) == 1


def test_labs_below_ehrshots_loinc_parts_count():
    frame = lab(9.0, "g/dL", "LOINC/99999-9")
    assert "lab_anemia" in compute_labels(frame, ["lab_anemia"]).missing
    hierarchy = Vocabulary({}, {"LOINC/99999-9": ("LOINC/LP392452-1",)})
    assert [v for *_, v in labels(frame, "lab_anemia", hierarchy)] == [2]


@pytest.mark.parametrize(
    ("unit", "key"),
    [
        ("10*3/uL", "10^3/ul"),
        ("x10E3/µL", "10^3/ul"),
        ("10^9/L", "10^9/l"),
        (" mmol/L (x) ", "mmol/l"),
        ("K/uL", "k/ul"),
    ],
)
def test_spellings_of_units(unit: str, key: str):
    assert unit_key(unit) == key


def test_admission_and_discharge_events_make_a_stay():
    frame = events(
        (1, at("2020-01-01T10:00"), "HOSPITAL_ADMISSION//URGENT"),
        (1, at("2020-01-09T10:00"), "HOSPITAL_DISCHARGE//HOME"),
        (1, at("2020-02-01T10:00"), "HOSPITAL_ADMISSION//URGENT"),  # still in hospital
    )
    assert labels(frame, "guo_los") == [(1, at("2020-01-01T23:59"), True)]
    assert hospital_stays(frame.lazy()).rows() == [(1, at("2020-01-01T10:00"), at("2020-01-09T10:00"))]


def test_visit_details_are_no_stays():
    frame = events(stay(1, "2020-01-01T10:00", "2020-01-05T10:00")).with_columns(table=pl.lit("visit_detail"))
    assert "inpatient stay" in compute_labels(frame, ["guo_los"]).missing["guo_los"]


def test_optional_columns_may_be_absent():
    frame = events((1, at("2019-01-01"), "MEDS_BIRTH"), (1, at("2020-01-01T08:00"), "LOINC/718-7", 10.0))
    bare = frame.select("subject_id", "time", "code", "numeric_value")
    assert len(labels(bare, "lab_anemia")) == 1
    assert "guo_los" in compute_labels(bare, ["guo_los"]).missing


def test_no_events_at_all_name_every_task():
    computed = compute_labels(events())
    assert not computed.labels
    assert set(computed.missing) == {task.id for task in TASKS}


def test_bad_input_is_said():
    with pytest.raises(InputError, match="unknown task"):
        compute_labels(events(), ["guo"])
    with pytest.raises(InputError, match="no column code"):
        compute_labels(events().drop("code"))


def test_written_labels_follow_the_meds_schema_and_open_again(demo_events: pl.DataFrame, tmp_path: Path):
    computed = compute_labels(demo_events, ["guo_los", "lab_anemia"])
    write_computed_labels(tmp_path, computed)
    los = pq.read_table(tmp_path / "labels" / "guo_los" / "labels.parquet")
    anemia = pq.read_table(tmp_path / "labels" / "lab_anemia" / "labels.parquet")
    meds.LabelSchema.validate(los)
    meds.LabelSchema.validate(anemia)
    assert los["boolean_value"].to_pylist() == computed.labels["guo_los"]["value"].to_list()
    assert anemia["integer_value"].to_pylist() == computed.labels["lab_anemia"]["value"].to_list()
