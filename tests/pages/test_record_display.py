"""A record as the Patients page draws it: our headings, lists and marks, and no markup that came from data."""

from datetime import datetime

import pytest

from core.ehr.markdown import SerializationOptions, serialize
from core.ehr.record import Line
from core.ehr.relative_time import Clock
from core.ehr.vocabulary import Vocabulary
from pages.shared.patients.display import markdown
from tests.core.ehr.charts import person
from tests.core.ehr.test_escape import HOSTILE, tokens_of

AT = datetime(2000, 1, 5)
DATES = Clock(False, datetime(1950, 1, 1))
MARKUP = {"image", "link_open", "html_inline", "html_block", "code_inline", "fence", "hr", "table_open"} | {
    "em_open",
    "s_open",
    "blockquote_open",
    "ordered_list_open",
}


@pytest.fixture
def events():
    time = datetime(2000, 1, 1)
    return person(
        {"time": time, "code": "Visit/IP", "visit_id": 1, "end": time},
        *({"time": time, "code": f"SNOMED/{i}", "text_value": text} for i, text in enumerate(HOSTILE)),
    )


@pytest.fixture
def vocabulary():
    return Vocabulary({f"SNOMED/{i}": text for i, text in enumerate(HOSTILE)})


@pytest.mark.parametrize("profile", ["paper", "corrected"])
@pytest.mark.parametrize("strategy", ["markdown", "recent_codes"])
@pytest.mark.parametrize("relative", [False, True])
def test_nothing_of_the_data_renders(events, vocabulary, profile, strategy, relative):
    record = serialize(events, AT, vocabulary, SerializationOptions(profile, strategy))
    drawn = markdown(record.lines, strategy == "markdown", Clock(relative, DATES.reference))
    assert not set(tokens_of(drawn)) & (MARKUP | {"strong_open"})
    assert ("heading_open" in tokens_of(drawn)) == (strategy == "markdown")


@pytest.mark.parametrize("words", [*HOSTILE, "a", "]", ":", "**"])
def test_marked_words_render_nothing_but_their_mark(events, vocabulary, words):
    record = serialize(events, AT, vocabulary)
    drawn = markdown(record.lines, True, DATES, words)
    assert not set(tokens_of(drawn)) & MARKUP


def test_lines_keep_their_own_marks():
    lines = [
        Line("### Inpatient Visit on [2023-12-29](2023-12-29) (2 days)", "visits"),
        Line("", "visits"),
        Line("- # not a heading", "visits"),
        Line("####### seven", "visits"),
    ]
    assert markdown(lines, True, DATES) == (
        "\n##### Inpatient Visit on 2023\\-12\\-29 \\(2 days\\)\n\n\n- \\# not a heading\n\\#\\#\\#\\#\\#\\#\\# seven"
    )
    assert markdown(lines[2:3], False, DATES) == "- \\- \\# not a heading"
