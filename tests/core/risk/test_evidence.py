"""Attribution, trajectory, sensitivity, what-if: evidence for a score, against direct computation."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from core.ehr.markdown import SerializationOptions, serialize
from core.embedding.cache import EmbeddingCache
from core.errors import InputError
from core.risk.attribution import NOISE_COPIES, _ablated, neutral_rewrites, section_attribution
from core.risk.score import score_subject, score_text
from core.risk.sensitivity import sensitivity
from core.risk.trajectory import trajectory
from core.risk.whatif import AddEvent, RemoveCode, RemoveEvent, SetValue, apply_edits, what_if
from tests.core.risk.conftest import HashEncoder

AT = datetime(2022, 9, 1)


def one(heads, key="guo_los"):
    return {key: heads[key]}


def test_attribution_is_the_difference_of_two_scores(dataset, encoder, heads):
    got = section_attribution(dataset, 7, AT, encoder, one(heads))["guo_los"]
    events = dataset.events(7)
    whole = score_subject(dataset, 7, AT, encoder, one(heads))[0].log_odds
    assert got.log_odds == pytest.approx(whole, abs=1e-9)
    for effect in got.effects:
        for changes, value in (
            ({"drop": (effect.section,)}, effect.without),
            ({"keep": (effect.section,)}, effect.only),
        ):
            text = serialize(events, AT, dataset.vocabulary, SerializationOptions(**changes)).text
            direct = score_text(text, AT, encoder, one(heads), options=SerializationOptions())[0].log_odds
            assert value == pytest.approx(direct - whole, abs=1e-6)
    assert any(effect.section == "visit_details" and effect.without != 0 for effect in got.effects)


class InOrder(HashEncoder):
    """Reads earlier pieces with more weight, so that the order of lines moves the score."""

    def combine(self, pieces, vectors):
        return super().combine(pieces, np.asarray(vectors) / np.arange(1, len(vectors) + 1)[:, None])


def test_the_noise_floor_is_the_quantile_of_what_neutral_rewrites_do(dataset, heads):
    encoder, options = InOrder(), SerializationOptions()
    got = section_attribution(dataset, 7, AT, encoder, one(heads))["guo_los"]
    record = serialize(dataset.events(7), AT, dataset.vocabulary, options)

    def raw(text):
        return score_text(text, AT, encoder, one(heads), options=options)[0].log_odds

    changes = [abs(raw(text) - raw(record.text)) for text in neutral_rewrites(record)]
    assert len(set(changes)) > 3 and got.noise == pytest.approx(np.quantile(changes, 0.95), abs=1e-6)
    assert [effect.above_noise for effect in got.effects] == [abs(one.without) > got.noise for one in got.effects]
    assert len({effect.above_noise for effect in got.effects}) == 2


def test_attribution_embeds_each_distinct_chunk_once(dataset, heads, encoder, tmp_path):
    cache = EmbeddingCache(tmp_path / "c.sqlite", 10**8)
    score_subject(dataset, 7, AT, encoder, one(heads), cache=cache)
    before = encoder.pieces_embedded
    section_attribution(dataset, 7, AT, encoder, one(heads), cache)
    assert encoder.pieces_embedded - before < 10  # the lines are those of the record
    before = encoder.pieces_embedded
    section_attribution(dataset, 7, AT, encoder, one(heads, "guo_icu"), cache)
    assert encoder.pieces_embedded == before


def test_ablated_texts_are_what_the_serialiser_writes(dataset):
    for options in (SerializationOptions(), SerializationOptions(strategy="recent_codes")):
        record = serialize(dataset.events(7), AT, dataset.vocabulary, options)
        sections = [s for s in record.section_titles if s != "header"]
        without, only = _ablated(record, dict.fromkeys(sections, ""), dataset.events(7), dataset.vocabulary)
        for section, left_out, alone in zip(sections, without, only):
            for text, changes in ((left_out, {"drop": (section,)}), (alone, {"keep": (section,)})):
                written = serialize(dataset.events(7), AT, dataset.vocabulary, replace(options, **changes)).text
                assert text.rstrip("\n") == written.rstrip("\n"), section


def test_neutral_rewrites_hold_the_same_lines(dataset):
    record = serialize(dataset.events(7), AT, dataset.vocabulary, SerializationOptions())
    rewrites = neutral_rewrites(record)
    assert rewrites
    for text in rewrites:
        assert text != record.text and sorted(text.split("\n")) == sorted(record.text.split("\n"))
        moved = [i for i, (a, b) in enumerate(zip(text.split("\n"), record.text.split("\n"))) if a != b]
        run = record.text.split("\n")[moved[0] : moved[-1] + 1]
        assert all(line.startswith("- ") for line in run), "bullets stay between their headings"
    assert len(set(rewrites)) == len(rewrites)


def test_a_bullet_alone_takes_no_rewrite_from_a_run():
    run = [f"- event {n}" for n in range(12)]
    text = "\n".join(["# One", "- alone", "", "# Two", *run, "", "# Three", "- alone too"])
    rewrites = neutral_rewrites(SimpleNamespace(text=text, options=SerializationOptions()))
    assert len(rewrites) == NOISE_COPIES
    alone = SimpleNamespace(text="# One\n- alone\n\n# Two\n- alone too", options=SerializationOptions())
    assert neutral_rewrites(alone) == []


def test_trajectory_ends_at_the_time_and_never_passes_it(dataset, encoder, heads):
    times = [AT - timedelta(days=days) for days in (900, 500, 100)] + [AT + timedelta(days=5)]
    points = trajectory(dataset, 7, AT, times, encoder, one(heads))
    assert [point.at for point in points] == [*sorted(times[:3]), AT]
    assert [point.current for point in points] == [False, False, False, True]
    for point in points:
        direct = score_subject(dataset, 7, point.at, encoder, one(heads))[0]
        assert point.scores[0].probability == pytest.approx(direct.probability, abs=1e-6)
    born = dataset.events(7)["time"].drop_nulls()[0]
    around = [*times, AT, born, born - timedelta(days=1), born + timedelta(minutes=1)]
    for most, expected in (
        (1, [AT]),
        (2, [times[2], AT]),
        (4, [*sorted(times[:3]), AT]),
        (9, [around[-1], *sorted(times[:3]), AT]),
    ):
        points = trajectory(dataset, 7, AT, around, encoder, one(heads), max_points=most)
        assert [point.at for point in points] == expected


def test_sensitivity_to_lookback_and_instruction(dataset, encoder, heads):
    variants = {(v.kind, v.name): v for v in sensitivity(dataset, 7, AT, encoder, heads["guo_los"])}
    assert variants["lookback", "Whole record"].change == pytest.approx(0, abs=1e-9)
    short = replace(SerializationOptions(), lookback=timedelta(days=365))
    text = serialize(dataset.events(7), AT, dataset.vocabulary, short).text
    direct = score_text(text, AT, encoder, one(heads), options=SerializationOptions())[0]
    assert variants["lookback", "1 year"].score.probability == pytest.approx(direct.probability, abs=1e-9)
    assert variants["instruction", "empty"].score is None and "no instruction" in variants["instruction", "empty"].note


def test_what_if_changes_text_and_score(dataset, encoder, heads):
    events = dataset.events(7)
    code = next(code for code in events["code"] if code.startswith("ICD10CM/X"))
    result = what_if(dataset, 7, AT, [RemoveCode(code)], encoder, heads)
    assert result.text_changed and "Simulation" in result.notice
    word = dataset.vocabulary.describe(code)
    assert word in result.before and word not in result.after
    assert any(real.probability != simulated.probability for real, simulated in result.scores.values())
    assert len(result.scores) == len(heads)


def test_which_tasks_are_defined_is_asked_of_the_edited_record(dataset, encoder, heads):
    admitted, ill = AddEvent("Visit/IP", AT), AddEvent("ICD10CM/K90.0", AT - timedelta(days=1))  # celiac disease

    def outside(*edits, labelled=()):
        return what_if(dataset, 7, AT, edits, encoder, one(heads), labelled=labelled).outside

    assert outside()["guo_los"].reason == "no hospital stay is open" and "guo_los" not in outside(admitted)
    assert outside(ill)["new_celiac"].reason == "diagnosed already," and outside(ill)["new_celiac"].since == ill.time
    # a label of the real record says that the task is asked, and an edit may take that away
    assert "new_celiac" not in outside(labelled=("new_celiac",))
    assert outside(admitted, labelled=("guo_los", "guo_readmission")).keys() == outside(admitted).keys() - {
        "guo_readmission"
    }


def test_edits_do_what_they_say(dataset):
    events = dataset.events(7)
    lab = events.filter(events["code"] == "LOINC/2951-2")
    row, visit = int(lab["row"][0]), lab["time"][0]
    edited = apply_edits(events, [SetValue(row, 99.0)])
    assert edited.filter(edited["row"] == row)["numeric_value"][0] == 99
    assert apply_edits(events, [RemoveEvent(row)]).height == events.height - 1
    added = apply_edits(events, [AddEvent("ICD10CM/X00", visit)])
    assert added.height == events.height + 1 and added["time"].is_sorted(nulls_last=False)
    new = added.filter(added["row"] == added["row"].max())
    assert new["code"][0] == "ICD10CM/X00" and new["time"][0] == visit
    assert dataset.events(7).equals(events)  # the original is as it was


def test_edits_that_cannot_be_made_are_named(dataset):
    events = dataset.events(7)
    code_row = int(events.filter(events["code"].str.starts_with("ICD"))["row"][0])
    for edit, words in (
        (SetValue(10**6, 1.0), "no event"),
        (SetValue(code_row, 1.0), "no numeric value"),
        (SetValue(int(events.filter(events["code"] == "LOINC/2951-2")["row"][0]), float("nan")), "finite"),
        (RemoveEvent(10**6), "no event"),
        (RemoveCode("X/1"), "has no X/1"),
        (AddEvent(" ", AT), "empty"),
    ):
        with pytest.raises(InputError, match=words):
            apply_edits(events, [edit])


def test_an_edit_after_the_prediction_time_changes_nothing(dataset, encoder, heads):
    late = AddEvent("ICD10CM/X00", AT + timedelta(days=1))
    result = what_if(dataset, 7, AT, [late], encoder, one(heads))
    real, simulated = result.scores["guo_los"]
    assert not result.text_changed and real.probability == simulated.probability


def test_no_task_is_an_error_not_an_empty_page(dataset, encoder):
    for call in (
        lambda: section_attribution(dataset, 7, AT, encoder, {}),
        lambda: trajectory(dataset, 7, AT, [], encoder, {}),
        lambda: what_if(dataset, 7, AT, [], encoder, {}),
    ):
        with pytest.raises(InputError, match="no task"):
            call()


def test_log_odds_add_up_over_sections_for_a_linear_encoder(dataset, encoder, heads):
    effects = section_attribution(dataset, 7, AT, encoder, one(heads))["guo_los"].effects
    assert np.isfinite([effect.only for effect in effects]).all()


def test_an_edit_in_words_has_all_digits_of_its_value():
    assert str(SetValue(3, 1234567.5)) == "set the value of event 3 to 1234567.5"
    assert str(AddEvent("LOINC/777-3", AT, 250000.25, "/uL")).startswith("add LOINC/777-3 = 250000.25 /uL at ")
