import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from core.embedding.chunks import Chunk, structure_chunks, window_texts


def offsets(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", text)]


def count(text: str) -> int:
    return len(offsets(text))


def chunks(text: str, limit: int = 20):
    return structure_chunks(text, limit, count, offsets)


RECORD = """

# Electronic Healthcare Record

Current time: [2024-01-01](2024-01-01)

## Patient Demographics

- Patient age: {age}
- White

## Past Medical Visits

- Inpatient Visit on [2023-12-29](2023-12-29) ({a} days before prediction time, current visit)
- Outpatient Visit on [2022-05-30](2022-05-30) ({b} days before prediction time)

## Detailed Past Medical Visits (most recent first)

### Inpatient Visit on [2023-12-29](2023-12-29) ({a} days before prediction time, current visit)

#### Conditions

- Pneumonia

### Outpatient Visit on [2022-05-30](2022-05-30) ({b} days before prediction time)

#### Conditions

- influenza vaccine
"""


def test_visit_bodies_and_sections_stay_the_same_at_another_prediction_time():
    one = {chunk.text for chunk in chunks(RECORD.format(age=67, a=2, b=580))}
    other = {chunk.text for chunk in chunks(RECORD.format(age=68, a=300, b=878))}
    assert "#### Conditions\n- Pneumonia" in one & other
    assert "#### Conditions\n- influenza vaccine" in one & other
    changed = one - other
    assert len(changed) == 3  # the age and the two dates; each date once, though it stands in a list and in a heading
    assert all("Visit on" in text or "age" in text for text in changed)


def test_a_visits_heading_and_its_line_in_the_list_are_one_text():
    texts = [chunk.text for chunk in chunks(RECORD.format(age=67, a=2, b=580))]
    assert Counter(texts)["Outpatient Visit on [2022-05-30](2022-05-30) (580 days before prediction time)"] == 2


LINE = st.sampled_from(
    [
        "# Title",
        "## Section",
        "### Visit (3 days before prediction time)",
        "#### Conditions",
        "",
        "- a b c",
        "- d: e, 2",
    ]
) | st.text(st.characters(codec="ascii", exclude_characters="\n\r"), max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINE, max_size=60), st.integers(2, 30))
def test_every_word_is_in_exactly_one_chunk_and_no_chunk_is_too_long(lines, limit):
    text = "\n".join(lines)
    out = chunks(text, limit)
    assert all(0 < chunk.tokens <= limit for chunk in out)
    words = Counter(re.findall(r"\S+", text))
    got = Counter(word for chunk in out for word in re.findall(r"\S+", chunk.text))
    lost = words - got
    assert set(lost) <= {"#", "##", "###", "####", "-", "#####"} or all(re.fullmatch("#+|-", w) for w in lost)
    assert not got - words
    assert out == chunks(text, limit)


def test_each_value_is_a_chunk_with_its_name_and_counts_once():
    line = "- Sodium (mmol/L): 137 (normal), 131 (low), -2.5"
    assert chunks(line) == [
        Chunk("Sodium (mmol/L): 137 (normal)", 4),
        Chunk("Sodium (mmol/L): 131 (low)", 3),  # the comma stands by itself in this test's count
        Chunk("Sodium (mmol/L): -2.5", 2),
    ]
    assert [chunk.text for chunk in chunks("- Smoking: 1, or more")] == ["Smoking: 1, or more"]
    assert [chunk.text for chunk in chunks("### Visit\n- Pain: 5, 6")] == ["### Visit\n- Pain: 5, 6"]


def test_a_line_added_to_a_long_visit_changes_few_chunks():
    body = [f"- condition number {n} of the list" for n in range(200)]
    before = {chunk.text for chunk in chunks("### Visit\n" + "\n".join(body), 40)}
    body.insert(20, "- a new condition")
    after = {chunk.text for chunk in chunks("### Visit\n" + "\n".join(body), 40)}
    assert len(after) > 20
    assert len(after - before) <= 6


def test_windows_are_consecutive_and_complete():
    text = " ".join(f"w{n}" for n in range(25))
    windows = window_texts(text, 10, offsets(text))
    assert [window.tokens for window in windows] == [10, 10, 5]
    assert " ".join(window.text for window in windows) == text


def test_a_window_does_not_end_within_a_word():
    text = "aa bb cc dd ee ff gg hh"
    letters = [(n, n + 1) for n, letter in enumerate(text) if letter != " "]  # a token a letter
    windows = window_texts(text, 5, letters)
    assert [window.text for window in windows] == ["aa bb", "cc dd", "ee ff", "gg hh"]
    assert [window.tokens for window in windows] == [4, 4, 4, 4]
    assert [window.text for window in window_texts("abcdefg", 3, [(n, n + 1) for n in range(7)])] == [
        "abc",
        "def",
        "g",
    ]


def test_one_line_longer_than_a_chunk_is_cut_into_windows():
    out = chunks("- " + " ".join(["word"] * 95), 20)
    assert [chunk.tokens for chunk in out] == [20, 20, 20, 20, 16]
