"""Token budgets, with a tokenizer of the test's own: words and punctuation marks, white space before them included."""

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ehr.budget import LIMITS, _max_min, count_tokens, pack
from core.ehr.markdown import SerializationOptions, serialize
from core.errors import InputError
from tests.core.ehr.charts import VOCABULARY, charts, person

T = datetime(2000, 1, 1)


def offsets(text):
    return [match.span() for match in re.finditer(r"\s*\w+|\s*[^\w\s]|\s+$", text)]


def long_record(strategy="markdown", visits=60):
    events = [
        event
        for n in range(visits)
        for event in (
            {"time": T + timedelta(days=n), "code": "Visit/OP", "visit_id": n, "end": T + timedelta(days=n)},
            {"time": T + timedelta(days=n), "code": "SNOMED/233604007", "visit_id": n},
            {"time": T + timedelta(days=n), "code": "SNOMED/3", "numeric_value": float(n), "visit_id": n},
        )
    ]
    events.append({"time": T + timedelta(days=visits), "code": "LOINC/8867-4", "numeric_value": 70.0})
    return serialize(person(*events), T + timedelta(days=visits), VOCABULARY, SerializationOptions(strategy=strategy))


def test_section_tokens_add_up():
    record = long_record()
    counted = count_tokens(record, offsets)
    assert counted.total == len(offsets(record.text))
    assert sum(section.tokens for section in counted.sections) == counted.total == counted.per_line.sum()
    assert [section.id for section in counted.sections] == [section.id for section in record.sections()]
    vitals = next(section for section in counted.sections if section.id == "vital_signs")
    assert vitals.tokens == pytest.approx(len(offsets(record.sections()[3].text)), abs=1)


@pytest.mark.parametrize("limit", [0, 1, 50, 333, *LIMITS])
def test_truncation_is_the_tokenizers_own(limit):
    record = long_record()
    packed = pack(record, limit, offsets)
    spans = offsets(record.text)
    assert packed.text == (record.text if len(spans) <= limit else record.text[: spans[limit - 1][1]] if limit else "")
    assert packed.tokens == min(limit, len(spans))
    assert sum(section.kept for section in packed.sections) == packed.tokens
    assert any(section.lost for section in packed.sections) == (len(spans) > limit)


@pytest.mark.parametrize("strategy", ["markdown", "recent_codes"])
def test_the_cut_line_is_the_first_line_that_is_not_whole(strategy):
    record = long_record(strategy)
    counted = count_tokens(record, offsets)
    for limit in range(0, counted.total, 17):
        cut = counted.cut(limit)
        kept = record.text[: cut.offset].split("\n")
        assert kept[: cut.line] == list(record.texts[: cut.line])
        assert not record.text[: cut.offset].startswith("\n".join(record.texts[: cut.line + 1]) + "\n")
    assert counted.cut(counted.total).line is None


@pytest.mark.parametrize("strategy", ["markdown", "recent_codes"])
@pytest.mark.parametrize("limit", [10, 200, 300, 600, 1024])
def test_fair_packing_stays_in_the_limit_and_says_what_was_cut(strategy, limit):
    record = long_record(strategy)
    packed = pack(record, limit, offsets, "fair")
    assert packed.tokens == len(offsets(packed.text)) <= limit
    if not any(section.lost for section in packed.sections):
        assert packed.text == record.text
    elif limit >= 300:
        by_id = {section.id: section for section in packed.sections}
        assert by_id["lab_results"].kept > 0
        assert by_id["visit_details"].kept >= 50
        assert re.search(r"- \(\d+ more lines cut\)", packed.text)
        assert "## Detailed Past Medical Visits" in packed.text
        lost = sum(int(n) for n in re.findall(r"\((\d+) more lines? cut\)", packed.text))
        assert lost == sum(section.lines_lost for section in packed.sections)


def test_fair_packing_keeps_the_newest_visits_and_no_dangling_heading():
    packed = pack(long_record(), 600, offsets, "fair")
    details = packed.text.partition("## Detailed")[2]
    assert "Pain score: 59" in details
    assert "Pain score: 1\n" not in details
    assert not re.search(r"#### Conditions\n+- \(", details)


def test_fair_packing_at_any_limit_keeps_whole_sections_word_for_word_and_no_heading_over_nothing():
    record = long_record()
    whole = {section.id: section.text for section in record.sections()}
    seen = 0
    title, *_ = record.text.partition("## ")
    headings = [text for text in record.texts if text.startswith("## ")]
    for limit in range(60, 1200, 23):
        packed = pack(record, limit, offsets, "fair")
        if not packed.text.count("more line"):
            continue  # not even the headings fit: truncated
        seen += 1
        assert all(whole[section.id] in packed.text for section in packed.sections if not section.lost), limit
        assert not re.search(r"[^\n]\n## ", packed.text), limit  # blank lines between sections stay
        assert packed.text.startswith(title)
        assert [line for line in packed.text.split("\n") if line.startswith("## ")] == headings, limit
        lines = [line for line in packed.text.split("\n") if line]
        for line, below in zip(lines, [*lines[1:], ""]):
            if line.startswith("###"):  # of a visit or a category: an event follows, or a heading of lower rank
                own, other = len(line.split()[0]), len(below.split()[0]) if below.startswith("#") else 9
                assert below and other > own and not re.match(r"- \(\d+ more", below), (limit, line)
    assert seen > 30


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 300))
def test_shares_are_those_of_water_that_fills_unequal_glasses(glasses, room):
    """Nothing is wasted, no glass runs over, and who has less than another is full (to a token)."""
    demand = {str(n): glass for n, glass in enumerate(glasses)}
    shares = _max_min(demand, room)
    assert sum(shares.values()) == min(room, sum(glasses)) and all(isinstance(one, int) for one in shares.values())
    for section, share in shares.items():
        assert share == demand[section] or demand[section] > share >= max(shares.values()) - 1


@given(events=charts(max_size=60), limit=st.integers(0, 700), packing=st.sampled_from(["truncate", "fair"]))
@settings(max_examples=40, deadline=None)
def test_no_packing_exceeds_its_limit(events, limit, packing):
    record = serialize(events, datetime(2001, 1, 1), VOCABULARY)
    packed = pack(record, limit, offsets, packing)
    assert len(offsets(packed.text)) <= limit
    assert packed.tokens == len(offsets(packed.text))
    if limit >= len(offsets(record.text)):
        assert packed.text == record.text


def test_bad_input():
    record = long_record(visits=1)
    with pytest.raises(InputError, match="packing"):
        pack(record, 10, offsets, "best")
    with pytest.raises(InputError, match="limit"):
        pack(record, -1, offsets)
