"""Differences between two records, and cuts in one record's text."""

from datetime import datetime

from hypothesis import given, settings

from core.ehr import ablation
from core.ehr.diff import diff_records
from core.ehr.markdown import SerializationOptions, serialize
from tests.core.ehr.charts import VOCABULARY, charts, person

EVENTS = person(
    {"time": datetime(1999, 1, 1), "code": "Visit/OP", "visit_id": 1, "end": datetime(1999, 1, 1)},
    {"time": datetime(1999, 1, 1), "code": "SNOMED/233604007", "visit_id": 1},
    {"time": datetime(1999, 6, 1), "code": "LOINC/8867-4", "numeric_value": 70.0},
    {"time": datetime(2000, 1, 1), "code": "LOINC/8867-4", "numeric_value": 120.0},
    {"time": datetime(2000, 1, 1), "code": "SNOMED/3", "numeric_value": 4.0},
)
EARLY, LATE = (serialize(EVENTS, datetime(year, 2, 1), VOCABULARY) for year in (1999, 2000))


def test_a_record_equals_itself():
    assert {row.change for row in diff_records(LATE, LATE).rows} == {"same"}
    assert diff_records(LATE, LATE).around() == (None,)


def test_changed_values_and_new_lines():
    diff = diff_records(EARLY, LATE)
    changed = {(row.left.text, row.right.text) for row in diff.rows if row.change == "changed"}
    assert ("- Heart rate: No recent data", "- Heart rate (bpm): 120 (high), 70 (normal)") in changed
    assert [row.right.text for row in diff.rows if row.change == "added" and row.right.text] == ["- Pain score: 4"]
    assert diff.count("added") == 1
    assert diff.count("removed") == 0


@given(charts(), charts())
@settings(max_examples=40, deadline=None)
def test_both_sides_can_be_read_back(one, other):
    at = datetime(2001, 1, 1)
    a, b = (serialize(events, at, VOCABULARY) for events in (one, other))
    rows = diff_records(a, b).rows
    assert tuple(row.left for row in rows if row.left is not None) == a.lines
    assert tuple(row.right for row in rows if row.right is not None) == b.lines
    for row in rows:
        assert (row.change == "same") == (
            row.left is not None and row.right is not None and row.left.text == row.right.text
        )


def test_context():
    shown = diff_records(EARLY, LATE).around(1)
    assert None in shown
    assert len(shown) < len(diff_records(EARLY, LATE).rows)


def test_sections_out_and_alone():
    out = ablation.without_section(LATE, "vital_signs")
    assert "Heart rate" not in out
    assert "Pneumonia" in out
    same = serialize(EVENTS, datetime(2000, 2, 1), VOCABULARY, SerializationOptions(drop=("vital_signs",)))
    assert out == same.text
    alone = ablation.only_section(LATE, "vital_signs")
    assert alone.startswith("\n\n# Electronic Healthcare Record\n")
    assert "Heart rate" in alone
    assert "Pneumonia" not in alone


def test_lines_visits_and_rows_out():
    line = next(i for i, line in enumerate(LATE.lines) if line.text.startswith("- Heart rate"))
    assert "Heart rate" not in ablation.without_line(LATE, line)
    assert "Outpatient Visit" not in ablation.without_visit(LATE, 1)
    assert "Heart rate" in ablation.without_rows(LATE, {7})  # row 6 is in the line too
    assert "Heart rate" not in ablation.without_rows(LATE, {6, 7})


def test_dropped_kept_and_categories():
    def text(**options):
        return serialize(EVENTS, datetime(2000, 2, 1), VOCABULARY, SerializationOptions(**options)).text

    assert "## Recent Lab" not in text(drop=("lab_results",))
    kept = text(keep=("past_visits",))
    assert [line for line in kept.splitlines() if line.startswith("## ")] == ["## Past Medical Visits"]
    assert "Pneumonia" not in text(drop=("conditions",))
    assert "## Detailed" in text(drop=("conditions",))
    assert text(keep=("visit_details", "conditions")).count("#### ") == 1
    codes = text(strategy="recent_codes", keep=("visits",))
    assert codes == "Outpatient Visit"
    without = text(strategy="recent_codes", drop=("demographics",)).splitlines()
    assert without == ["Heart rate: 120", "Pain score: 4", "Outpatient Visit", "Pneumonia"]
    assert "- Heart rate: 70, 120\n" in text(values=0)  # LOINC is left out, but not the codes of concepts
