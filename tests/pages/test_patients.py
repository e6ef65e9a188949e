"""The Patients page in its states: data, no data, no model, short records, hostile text, hidden dates, bad links."""

import re
from datetime import datetime

import pandas as pd
import polars as pl
import pytest
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from core.ehr.budget import Packed, SectionTokens
from core.ehr.relative_time import Clock
from core.ehr.store import open_dataset
from core.ehr.vocabulary import Vocabulary
from pages.shared.patients import budget, chart, record, sources
from tests.pages import cohort
from tests.pages.conftest import shown

PAGE = "pages/patients.py"
TABS = ("Record", "Timeline", "Labs and vitals", "Events", "Compare")
CALENDAR_DATE = re.compile(r"(?:19|20)\d\d-\d\d")


def sound(app: AppTest) -> None:
    """No exception, no error card, and the banner is there."""
    assert not app.exception
    text = shown(app)
    assert "Something went wrong" not in text
    assert "Not a medical device" in text


def link_of(app: AppTest) -> dict[str, str]:
    """Query parameters as a link carries them."""
    return {name: value if isinstance(value, str) else value[0] for name, value in app.query_params.items()}


def as_shown(frame) -> pd.DataFrame:
    """A table as the page shows it: words in place of numbers where it has some."""
    shown = frame.proto.arrow_data.styler.display_values
    return convert_arrow_bytes_to_pandas_df(shown) if shown else frame.value


def tables(app: AppTest) -> str:
    return "\n".join(as_shown(frame).to_csv() for frame in app.dataframe)


def figures(app: AppTest) -> str:
    return "\n".join(chart.proto.spec for chart in app.get("plotly_chart"))


def test_list_shows_subjects(open_page):
    app = open_page(PAGE)
    sound(app)
    frame = app.dataframe[0].value
    assert frame["Subject id"].tolist() == ["1", "2", "3", "4", "5"]
    assert frame["Patient"].str.startswith("P-").all()


def test_filters_narrow_the_list(open_page):
    app = open_page(PAGE)
    app.text_input[0].set_value("4").run()
    assert app.dataframe[0].value["Subject id"].tolist() == ["4"]
    for text in ("99", "zzz", "P-4"):  # no number begins with letters: a pseudonym's digits are no part of an id
        app.text_input[0].set_value(text).run()
        assert "No patient fits" in shown(app)


def test_code_filter_finds_words_of_a_description(open_page):
    app = open_page(PAGE)
    app.text_input(key="f-code-text").set_value("metfor").run()
    sound(app)
    assert app.dataframe[0].value["Subject id"].tolist() == [str(cohort.RICH)]


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("subject", [cohort.RICH, cohort.STATIC, cohort.ONE, cohort.TWO, cohort.HOSTILE])
def test_every_tab_of_every_kind_of_record(open_page, tab, subject):
    app = open_page(PAGE, query={"subject": str(subject), "tab": tab})
    sound(app)


def test_link_restores_subject_time_and_tab(open_page):
    at = cohort.AT.replace(year=2014).isoformat()
    app = open_page(PAGE, query={"subject": "1", "at": at, "tab": "Events"})
    sound(app)
    assert app.selectbox(key="at-1").value.isoformat() == at
    assert link_of(app)["at"] == at
    rows = app.dataframe[0].value
    assert not rows["Time"].str.startswith("2014-03-05").any()
    assert rows["Time"].str.startswith("2014-03-03").any()


def test_default_time_is_the_newest_label(open_page):
    app = open_page(PAGE, query={"subject": "1"})
    assert app.selectbox(key="at-1").value == cohort.AT


def test_record_counts_tokens_and_checks_leaks(open_page):
    text = shown(open_page(PAGE, query={"subject": "1"}))
    assert re.search(r"\*\*[\d,]+ tokens\*\* of minilm", text)
    assert "coded at discharge" in text  # its newest label lies inside a stay


def test_all_views_of_a_record_count_the_same_lines(open_page, monkeypatch):
    monkeypatch.setattr(record, "PART", 20)
    app = open_page(PAGE, query={"subject": "1"})
    total = int(re.search(r"(\d+) lines", shown(app))[1])
    parts = next(group.label for group in app.button_group if "parts" in group.label)
    assert parts.startswith(f"{total} lines in ") and total > 40
    raw = open_page(PAGE, query={"subject": "1", "show": "raw"}).code[0].value
    lines = open_page(PAGE, query={"subject": "1", "show": "lines"}).dataframe[0].value
    assert len(raw.split("\n")) == total
    for number, text in zip(lines["Line"], lines["Text"]):
        if "](" not in raw.split("\n")[number - 1]:  # a date is shown without its link
            assert raw.split("\n")[number - 1] == text


def test_the_page_explains_the_date_that_every_record_has(open_page):
    words = "the as-of time is always 2024-01-01"
    for view in ("read", "raw"):
        assert shown(open_page(PAGE, query={"subject": "1", "show": view})).count(words) == 1
    assert words not in shown(open_page(PAGE, query={"subject": "1", "strategy": "recent_codes"})), "it has no date"
    assert words not in shown(open_page(PAGE, query={"subject": "1", "times": "relative"}))


def test_the_list_says_how_a_row_is_chosen_by_keyboard(open_page):
    assert any("Shift and Space" in caption.value for caption in open_page(PAGE).caption)


def test_without_the_encoder_the_record_is_still_read(open_page, tmp_path):
    entry = '[absent]\nsource = "folder:/nowhere"\narchitecture = "bert"\ndimension = 8\npooling = "mean"\n'
    encoders = tmp_path / "encoders.toml"
    encoders.write_text(entry + 'attention = "bidirectional"\nlicence = "none"\n')
    for view in ("read", "model"):
        app = open_page(PAGE, query={"subject": "1", "show": view}, encoders=encoders, encoder="absent")
        sound(app)
        assert "no token count" in shown(app)


def test_empty_dataset_says_what_to_do(open_page, empty_folder):
    app = open_page(PAGE, datasets=empty_folder)
    sound(app)
    assert "This dataset has no subjects" in shown(app)


def test_missing_dataset_says_what_to_do(open_page, tmp_path):
    app = open_page(PAGE, datasets=tmp_path / "nowhere")
    sound(app)
    assert "python \\-m core demo" in shown(app)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"subject": "99"}, "subject 99 is not in"),
        ({"subject": "../etc/passwd"}, "names no subject id"),
        ({"dataset": "/etc"}, "not offered here"),
        ({"subject": "1", "at": "yesterday"}, "no time that can be read"),
        ({"subject": "1", "at": "1900-01-01T00:00:00"}, "before the subject's birth"),
    ],
)
def test_bad_links_are_answered_in_a_sentence(open_page, query, words):
    app = open_page(PAGE, query=query)
    sound(app)
    assert words.lower() in shown(app).replace("\\", "").lower()


@pytest.mark.parametrize("tab", TABS)
def test_relative_times_show_no_calendar_date(open_page, tab):
    app = open_page(PAGE, query={"subject": "1", "tab": tab, "times": "relative"})
    sound(app)
    labels = " ".join(str(option) for box in app.selectbox for option in box.options)
    for text in (shown(app), tables(app), figures(app), labels, str(app.query_params)):
        assert not CALENDAR_DATE.search(text), CALENDAR_DATE.search(text)


@pytest.mark.parametrize("script", [PAGE, "pages/risk.py"])
def test_a_relative_link_does_not_keep_the_dates_hidden(open_page, script):
    app = open_page(script, query={"subject": "1", "times": "relative"})
    app.toggle(key="choose-relative").set_value(False).run()
    assert not app.exception
    assert not app.toggle(key="choose-relative").value
    assert "times" not in app.query_params
    assert link_of(app)["subject"] == "1"
    assert app.run().toggle(key="choose-relative").value is False  # and the run after does not hide them again


def test_relative_link_restores_the_time(open_page):
    app = open_page(PAGE, query={"subject": "1", "times": "relative"})
    link = link_of(app)
    assert link["at"].startswith("t")
    again = open_page(PAGE, query=link)
    assert again.selectbox(key="at-1").value == cohort.AT


def test_hostile_text_is_escaped_where_it_would_be_read_as_markup(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.HOSTILE)})
    text = "\n".join(element.value for element in app.markdown)
    assert "evil" in text
    for mark in (r"!\[x\]\(", r"\[a\]\(http", r"(?<!\\)<img", r":red\[", r"(?<!\\)\$x"):
        assert not re.search(mark, text), mark


def test_paper_profile_and_recent_codes(open_page):
    app = open_page(PAGE, query={"subject": "1", "profile": "paper", "strategy": "recent_codes", "show": "raw"})
    sound(app)
    assert "Electronic Healthcare Record" not in shown(app)


def test_budget_says_what_is_lost(open_page):
    app = open_page(PAGE, query={"subject": "1", "show": "model", "limit": "512"})
    sound(app)
    frame = app.dataframe[0].value
    assert (frame["Lines lost"] > 0).any()


def test_going_back_to_the_list_keeps_nothing_of_the_subject(open_page):
    app = open_page(PAGE, query={"subject": "1"})
    app.button(key="all").click().run()
    sound(app)
    assert "subject" not in app.query_params
    assert app.dataframe[0].value["Subject id"].tolist()[0] == "1"


def test_next_and_previous_walk_the_list(open_page):
    app = open_page(PAGE, query={"subject": "1"})
    assert app.button(key="go-Previous").disabled
    app.button(key="go-Next").click().run()
    sound(app)
    assert link_of(app)["subject"] == "2"


@pytest.mark.parametrize(
    "birth, at, words",
    [
        (datetime(2020, 3, 5), datetime(2020, 3, 6), "1 day"),
        (datetime(2020, 3, 5), datetime(2020, 3, 5, 12), "0 days"),
        (datetime(2021, 8, 31), datetime(2021, 10, 30), "1 month"),
        (datetime(2021, 3, 5), datetime(2022, 3, 4), "11 months"),
        (datetime(2021, 3, 5), datetime(2022, 3, 5), "12 months"),  # the first birthday, 365 days
        (datetime(2021, 3, 5), datetime(2023, 3, 4), "23 months"),
        (datetime(2021, 3, 5), datetime(2023, 3, 5), "2 years"),
        (datetime(1950, 3, 5, 14), datetime(2010, 3, 5, 9), "59 years"),  # as in the list: not yet of that hour
        (datetime(1950, 3, 5, 14), datetime(2010, 3, 5, 14), "60 years"),
        (datetime(1950, 3, 5), datetime(1949, 1, 1), "unknown"),
    ],
)
def test_an_age_is_of_completed_months_and_years(birth, at, words):
    assert chart._age(birth, at) == words


def test_the_record_says_how_its_age_counts(open_page):
    for times in ("", "relative"):
        app = open_page(PAGE, query={"subject": "1", "times": times})
        assert "a year of age has 365 days" in shown(app)


def test_the_events_table_and_its_search_have_the_whole_number(cohort_folder):
    """%g keeps six digits: 1234567.5 would read 1.23457e+06, in the export of source rows too."""
    events = open_dataset(cohort_folder).events(cohort.TWO)
    changed = events.with_columns(
        numeric_value=pl.when(pl.col("numeric_value").is_not_null()).then(1234567.5).cast(pl.Float32)
    )
    clock, words = Clock(False, cohort.AT), Vocabulary({}, {})
    assert set(sources.table(changed, words, clock, cohort.AT)["Value"]) == {"1234567.5", ""}


def test_a_value_is_found_by_its_number(open_page):
    app = open_page(PAGE, query={"subject": "1", "tab": "Events"})
    app.text_input(key="event-words").set_value("3.2").run()
    sound(app)
    assert set(app.dataframe[0].value["Value"]) == {"3.2"}


def test_a_section_of_which_a_line_is_lost_is_not_seen_whole():
    part = SectionTokens("lab_results", "Labs", tokens=1000, kept=999, lines_lost=1)
    frame = budget.rows(Packed("", 999, 999, "truncate", (part,)))
    assert frame["Seen"].tolist() == [99] and frame["Lines lost"].tolist() == [1]
