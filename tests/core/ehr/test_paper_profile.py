"""The profile ``paper`` against the paper's own output and against the rules followed event by event."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._naive_serializer import naive_events, naive_markdown, naive_recent_codes
from core.ehr.markdown import SerializationOptions, serialize, serialize_many
from tests.core.ehr.charts import VOCABULARY, charts, person, sample

PAPER = {name: SerializationOptions("paper", name) for name in ("markdown", "recent_codes")}
NAIVE = {"markdown": naive_markdown, "recent_codes": naive_recent_codes}
AT = datetime(2000, 1, 12, 23, 59)


def test_the_60_golden_files_come_out_byte_for_byte(shared_data):
    subjects, vocabulary = sample(shared_data)
    files = sorted((shared_data / "ehrshot-shaped" / "golden").iterdir())
    assert len(files) == 60
    for path in files:
        subject, time = path.name.split(".")[0].split("_")
        strategy = "markdown" if path.suffix == ".md" else "recent_codes"
        at = datetime.strptime(time, "%Y-%m-%dT%H%M%S")
        assert serialize(subjects[int(subject)], at, vocabulary, PAPER[strategy]).text == path.read_text(), path.name


@pytest.mark.parametrize("strategy", PAPER)
def test_every_subject_of_the_sample_at_other_times_follows_the_rules(shared_data, strategy):
    subjects, vocabulary = sample(shared_data)
    for events in subjects.values():
        plain = naive_events(events)
        times = [events["time"][int(k * (len(events) - 1) / 4)] + timedelta(hours=k) for k in range(5)]
        for at, record in zip(times, serialize_many(events, times, vocabulary, PAPER[strategy])):
            assert record.text == NAIVE[strategy](plain, at, vocabulary)


@pytest.mark.parametrize("strategy", PAPER)
@given(events=charts(), hours=st.integers(0, 500), lookback=st.sampled_from([None, 24, 100]))
@settings(max_examples=120, deadline=None)
def test_drawn_charts_follow_the_rules(strategy, events, hours, lookback):
    at = max(datetime(2000, 1, 1) + timedelta(hours=hours), events["time"][0])
    span = None if lookback is None else timedelta(hours=lookback)
    options = SerializationOptions("paper", strategy, lookback=span)
    expected = NAIVE[strategy](naive_events(events), at, VOCABULARY, span)
    assert serialize(events, at, VOCABULARY, options).text == expected


def test_the_reference_example_is_reproduced():
    visit = {"visit_id": 2, "time": datetime(2020, 5, 1)}
    events = person(
        {"time": datetime(2018, 1, 1), "code": "SNOMED/2", "text_value": "Former smoker"},
        {"time": datetime(2018, 10, 1), "code": "Visit/IP", "visit_id": 1, "end": datetime(2018, 10, 6)},
        {"time": datetime(2018, 10, 2), "code": "CVX/88", "visit_id": 1},
        visit | {"code": "Visit/IP", "end": datetime(2020, 5, 20)},
        visit | {"code": "SNOMED/233604007"},
        visit | {"code": "SNOMED/233604007"},
        *(visit | {"code": "SNOMED/3", "numeric_value": v, "unit": "score"} for v in (4.0, 5.0, 6.0, 3.25)),
        visit | {"code": "RxNorm/1"},
        visit | {"code": "CPT4/71045"},
        *(
            {"time": datetime(2020, 5, 2, hour), "code": "LOINC/2951-2", "numeric_value": value}
            for hour, value in enumerate((128.0, 131.0, 137.0, 1370.0))
        ),
    )
    text = serialize(events, datetime(2020, 5, 3, 23, 59), VOCABULARY, PAPER["markdown"]).text
    assert text.startswith("\n\n# Electronic Healthcare Record\n\nCurrent time: [2024-01-01](2024-01-01)\n\n")
    assert "- Patient age: 69\n- White\n- FEMALE\n- Not Hispanic or Latino\n\n## Recent Body" in text
    assert "- Sodium (mmol/L): 137 (normal), 131 (low), 128 (low)\n" in text
    assert text.endswith(
        """## Past Medical Visits

- Inpatient Visit on [2023-12-29](2023-12-29) (2 days before prediction time, current visit)
- Inpatient Visit on [2022-05-30](2022-05-30) (580 days before prediction time, duration: 5 days)

## General Medical Events

- Tobacco smoking status: Former smoker

## Detailed Past Medical Visits (most recent first)

### Inpatient Visit on [2023-12-29](2023-12-29) (2 days before prediction time, current visit)

#### Conditions

- Pneumonia
- Pain score (score): 5, 6, 3.25

#### Medications

- ceftriaxone 1000 MG Injection

#### Procedures

- Radiologic examination, chest; single view

### Inpatient Visit on [2022-05-30](2022-05-30) (580 days before prediction time, duration: 5 days)

#### Conditions

- influenza vaccine"""
    )


def test_values_print_as_they_were_recorded_not_as_float32():
    events = person(
        {"time": datetime(2000, 1, 1), "code": "SNOMED/3", "numeric_value": 12.35},
        {"time": datetime(2000, 1, 1), "code": "LOINC/29463-7", "numeric_value": 416.05},
        {"time": datetime(2000, 1, 1), "code": "LOINC/789-8", "numeric_value": 4.2},
    )
    text = serialize(events, AT, VOCABULARY, PAPER["markdown"]).text
    assert "- Pain score: 12.35\n" in text
    assert f"- Body weight (oz): {416.05:.1f}\n" in text
    assert "- Erythrocytes (10^6/uL): 4.20 (normal)\n" in text  # the float32 of 4.2 lies below 4.2


def test_ties_keep_record_order():
    same = {"time": datetime(2000, 1, 1)}
    events = person(
        *(same | {"code": "LOINC/8867-4", "numeric_value": v} for v in (61.0, 62.0, 63.0, 64.0)),
        *(same | {"code": "SNOMED/3", "numeric_value": v} for v in (1.0, 2.0, 3.0, 4.0)),
    )
    text = serialize(events, AT, VOCABULARY, PAPER["markdown"]).text
    assert "- Heart rate (bpm): 61 (normal), 62 (normal), 63 (normal)\n" in text
    assert "- Pain score: 2, 3, 4\n" in text
    assert "\nPain score: 1\n" in "\n" + serialize(events, AT, VOCABULARY, PAPER["recent_codes"]).text


def test_ethnicity_in_third_place_makes_three_demographics():
    events = person({"time": datetime(1999, 1, 1), "code": "SNOMED/233604007"}).filter(pl.col("code") != "Race/5")
    text = serialize(events, AT, VOCABULARY, PAPER["markdown"]).text
    assert "- FEMALE\n- Not Hispanic or Latino\n\n## Recent" in text
    assert "## General Medical Events\n\n- Pneumonia\n" in text


def test_a_value_with_line_breaks_keeps_the_paper_text_and_the_lines_whole():
    events = person(
        {"time": datetime(1999, 1, 1), "code": "SNOMED/2", "text_value": "a\n\n\n\nb\n"},
        {"time": datetime(1999, 1, 1), "code": "SNOMED/3", "text_value": "c\n\n"},
    )
    record = serialize(events, AT, VOCABULARY, PAPER["markdown"])
    assert record.text == naive_markdown(naive_events(events), AT, VOCABULARY)
    assert "\n".join(line.text for line in record.lines) == record.text
