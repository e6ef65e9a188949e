"""The choice of the encoder: its card, what is missing, scores by its own heads and never by those of another."""

import json
from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from core.ehr.store import open_dataset
from core.embedding import shelf as shelf_module
from core.embedding.cache import EmbeddingCache
from core.embedding.encoders import load_encoder
from core.embedding.memory import MemoryCheck
from core.embedding.registry import encoder_specs, get_spec
from core.risk.heads import load_heads
from core.risk.score import score_subject
from core.settings import get_settings
from pages.shared import resources
from pages.shared.encoders import card, loaded
from pages.shared.encoders.state import state_of, steps
from tests.pages import tiny_encoders
from tests.pages.conftest import shown
from tests.pages.test_patients import as_shown, figures, sound, tables
from tests.pages.tiny_encoders import TinyEncoders

RISK, PATIENTS, STATUS = "pages/risk.py", "pages/patients.py", "pages/status.py"
SELECT = "choose-encoder"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyEncoders]:
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARTLIGHT_HOME", str(folder / "home"))
        patch.setenv("CHARTLIGHT_ENCODERS", str(folder / "own.toml"))
        patch.setenv("CHARTLIGHT_DEVICE", "cpu")
        get_settings.cache_clear()
        found = tiny_encoders.write(folder)
        tiny_encoders.train(found)
    get_settings.cache_clear()
    yield found


@pytest.fixture
def open_with(open_page: Callable[..., AppTest], tiny: TinyEncoders) -> Callable[..., AppTest]:
    """Return a function that opens a page on the patient with the test's registry and both encoders' heads."""

    def open_(page: str = RISK, query: dict[str, str] | None = None, **settings: object) -> AppTest:
        own = {"encoders": tiny.registry, "heads": tiny.heads, "device": "cpu"} | settings
        return open_page(page, datasets=tiny.dataset, query=tiny.query | (query or {}), **own)

    return open_


def words(app: AppTest) -> str:
    """All text of the page without Markdown's escapes."""
    return shown(app).replace("\\", "")


def badges(app: AppTest) -> list[str]:
    return [m.value for m in app.markdown if "-badge[" in m.value]


def test_every_encoder_is_offered_with_what_it_lacks_and_the_choice_is_in_the_address(open_with):
    app = open_with()
    sound(app)
    select = app.selectbox(key=SELECT)
    assert select.value == "minilm" and "encoder" not in app.query_params
    assert {option.split(" · ")[0] for option in select.options} == set(encoder_specs())
    assert select.options[0] == "minilm" and "tiny-instructed · no heads" in select.options
    assert "qwen3-embedding-8b · weights not here" in select.options
    assert "openai-compatible · no server" in select.options
    assert "minilm read" in words(app) and any("Has heads" in badge for badge in badges(app))
    select.set_value("tiny").run()
    sound(app)
    assert app.query_params["encoder"] == "tiny"
    assert "tiny read" in words(app) and "minilm read" not in words(app)
    assert any("Weights here" in badge for badge in badges(app))
    app.switch_page(PATIENTS).run()  # the session keeps it, the tokens are this encoder's
    sound(app)
    assert "tokens** of tiny" in words(app) and app.query_params["encoder"] == "tiny"


def test_a_link_scores_with_its_encoder_and_that_ones_heads(open_with, tiny, tmp_path, monkeypatch):
    files: dict[str, str] = {}
    monkeypatch.setattr("pages.shared.downloads.button", lambda label, data, *_, **__: files.update({label: data}))
    sound(open_with(query={"encoder": "tiny"}))
    page = {score["task"]: score for score in json.loads(files["JSON"])["scores"]}
    encoder = load_encoder("tiny")
    scores = score_subject(open_dataset(tiny.dataset), tiny.subject, tiny.at, encoder, load_heads(tiny.heads / "tiny"))
    assert set(page) == {score.task for score in scores} == set(tiny_encoders.TASKS)
    for score in scores:
        assert page[score.task]["probability"] == pytest.approx(score.probability, abs=1e-5)
        assert page[score.task]["encoder"].startswith("tiny@")


def test_an_encoder_without_heads_says_so_and_shows_no_other_ones_scores(open_with):
    app = open_with(query={"encoder": "tiny-instructed"})
    sound(app)
    text = words(app)
    assert "tiny-instructed gives no scores here yet" in text
    assert "There are no risk heads for tiny-instructed" in text
    commands = "\n".join(code.value for code in app.code)
    assert "core embed" in commands and "--encoder tiny-instructed" in commands
    assert "core train-heads" in commands and "core benchmark" in commands
    assert "average of" not in text and not app.get("plotly_chart") and not app.tabs
    assert "Tokens of the record" in text and "the oldest visits are cut" in text
    for computed in ("tokens/s", "from the cache"):  # what can be done without heads
        next(button for button in app.button if button.label == "Embed this record").click()
        app.run()
        sound(app)
        assert "32 numbers, length 1.0000" in words(app) and computed in words(app)


def test_an_encoder_with_instructions_reads_the_record_once_a_task_and_not_again_to_score(
    open_with, settings_of, tiny, tmp_path, monkeypatch
):
    files: dict[str, str] = {}
    monkeypatch.setattr("pages.shared.downloads.button", lambda label, data, *_, **__: files.update({label: data}))
    heads = tmp_path / "heads"
    settings_of(encoders=tiny.registry, device="cpu")
    tiny_encoders.give_heads(tiny, "tiny-instructed", heads)
    app = open_with(query={"encoder": "tiny-instructed"}, heads=heads)
    sound(app)
    page = {score["task"]: score["probability"] for score in json.loads(files["JSON"])["scores"]}
    encoder, loaded_heads = load_encoder("tiny-instructed"), load_heads(heads / "tiny-instructed")
    scores = score_subject(open_dataset(tiny.dataset), tiny.subject, tiny.at, encoder, loaded_heads)
    assert page == pytest.approx({score.task: score.probability for score in scores}, abs=1e-5)
    assert EmbeddingCache().stats().encoders == {"tiny-instructed": len(tiny_encoders.TASKS)}
    assert "read 400 of" in words(app)


def test_the_commands_shown_are_commands(open_with, tiny):
    """The page's train-heads line is the one that made the heads of this test."""
    open_with()
    line = steps(state_of(get_spec("tiny-instructed")), tiny.dataset)[0].command.splitlines()[1]
    assert line.split()[:3] == ["python", "-m", "core"]
    expected = ["train-heads", str(tiny.heads / "tiny-instructed"), "--dataset", str(tiny.dataset), "--encoder"]
    assert line.split()[3:] == [*expected, "tiny-instructed"]


def test_missing_weights_and_too_little_memory_are_said_before_anything_is_loaded(open_with):
    app = open_with(query={"encoder": "qwen3-embedding-8b"})
    sound(app)
    assert "weights of qwen3-embedding-8b" in words(app) and "Without heads" not in words(app)
    assert any("hf download Qwen/Qwen3-Embedding-8B --local-dir" in code.value for code in app.code)
    app.selectbox(key=SELECT).set_value("openai-compatible").run()
    sound(app)
    assert any("export CHARTLIGHT_EMBEDDING_URL=" in code.value for code in app.code)
    app.selectbox(key=SELECT).set_value("huge").run()
    sound(app)
    assert "The encoder huge needs 19200.0 GB of memory and cpu has" in words(app)
    assert any("Does not fit into memory" in badge for badge in badges(app))
    assert not resources.shelf().held()


def test_a_link_to_an_unknown_encoder_shows_no_scores_but_the_choice(open_with):
    app = open_with(query={"encoder": "gpt-9"})
    sound(app)
    assert "encoder gpt-9 is not offered here" in words(app)
    assert app.selectbox(key=SELECT).value is None and not app.get("plotly_chart")
    app.selectbox(key=SELECT).set_value("tiny").run()
    sound(app)
    assert "tiny read" in words(app) and "not offered" not in words(app)


def test_a_registry_with_a_mistake_is_one_sentence(open_with, tmp_path):
    (tmp_path / "bad.toml").write_text('[bad]\nsource = "folder:/x"\narchitecture = "t5"\n')
    app = open_with(encoders=tmp_path / "bad.toml")
    assert not app.exception and "Bad.toml: [bad] lacks" in words(app)


def test_another_choice_makes_room_when_memory_is_short(open_with, monkeypatch):
    room = 1  # encoders that fit

    def check(spec, device):
        return MemoryCheck(100, 100 * (room - len(resources.shelf().held())))

    monkeypatch.setattr(shelf_module, "check_memory", check)
    monkeypatch.setattr(shelf_module.HeldEncoder, "memory", 100)
    app = open_with()
    sound(app)
    held = resources.encoder("minilm")  # as another session holds it
    app.selectbox(key=SELECT).set_value("tiny").run()
    sound(app)
    assert [each.spec.name for each in resources.shelf().held()] == ["tiny"]
    with held.use() as encoder:
        assert encoder.embed(["- Pneumonia"]).shape == (1, 384)
    app.selectbox(key=SELECT).set_value("minilm").run()
    sound(app)
    assert "minilm read" in words(app)


@pytest.mark.parametrize("name", ["minilm", "qwen3-embedding-8b", "llm2vec-llama-3.1-8b", "openai-compatible", "tiny"])
def test_the_card_tells_what_an_encoder_is_needs_and_where_that_is_from(settings_of, tiny, name):
    settings_of(encoders=tiny.registry, device="cpu")
    spec = get_spec(name)

    def draw(name: str) -> None:
        from core.embedding.registry import get_spec
        from pages.shared.encoders import card
        from pages.shared.encoders.state import state_of

        card.show(state_of(get_spec(name)))

    app = AppTest.from_function(draw, args=(name,)).run(timeout=60)
    assert not app.exception
    text = words(app)
    for fact in (spec.title, spec.licence, *spec.traps, *spec.facts):
        assert fact in text
    for title in ("Vector", "Context", "Reads at most", "Pooling", "Attention", "Instruction", "Licence", "Memory"):
        assert title in text
    if not spec.remote:
        assert f"{spec.dimension:,}" in text and "free" in card.memory_words(state_of(spec))


def test_status_shows_device_precision_time_memory_and_speed_of_what_is_loaded(open_with):
    app = open_with(STATUS)
    sound(app)
    assert "None yet" in words(app)
    assert any("hf download Qwen/Qwen3-Embedding-8B" in code.value for code in app.code)
    app.switch_page(RISK).run()
    app.switch_page(STATUS).run()
    sound(app)
    (row,) = [frame.value.iloc[0] for frame in app.dataframe if "Precision" in frame.value]
    held = resources.encoder("minilm")
    assert (row["Encoder"], row["Device"], row["Precision"], row["Runs on"]) == (
        "minilm",
        "cpu",
        "float32",
        "onnxruntime",
    )
    assert row["Tokens read"] == held.tokens > 100 and row["Tokens/s"] == round(held.tokens_per_second)
    assert row["Memory"] == card.gigabytes(held.memory) and 80e6 < held.memory < 120e6
    assert "just now" in row["Loaded"] and row["Took"] > 0 and row["Now"] == "idle"
    assert "memory free" in words(app)


def test_the_encoder_is_a_row_of_the_sensitivity_and_a_side_of_the_comparison(open_with, tiny):
    resources.shelf.clear()
    app = open_with(query={"evidence": "Sensitivity"})
    app.selectbox(key="risk-task").set_value("lab_anemia").run()
    sound(app)
    assert "No other encoder can score" not in words(app)
    pills = app.get("button_group")
    other = next(p for p in pills if p.label.startswith("Other encoders"))
    other.set_value(["tiny"]).run()
    sound(app)
    encoder = load_encoder("tiny")
    heads = load_heads(tiny.heads / "tiny")
    scores = score_subject(open_dataset(tiny.dataset), tiny.subject, tiny.at, encoder, heads, ["lab_anemia"])
    table = next(as_shown(frame) for frame in app.dataframe if "Set to" in frame.value)
    row = table[table["Choice"] == "Encoder"].iloc[0]
    from pages.shared.risk.groups import percent

    assert (row["Set to"], row["Probability"]) == ("tiny", percent(scores[0].probability))
    raw = next(frame.value for frame in app.dataframe if "Set to" in frame.value)
    assert raw[raw["Choice"] == "Encoder"]["Change in log-odds"].isna().all() and "own head" in row["Note"]

    app = open_with(query={"evidence": "Compare"})
    next(g for g in app.get("button_group") if g.label == "Compare with").set_value("Another encoder").run()
    sound(app)
    assert app.selectbox(key="compare-encoder").options == ["tiny"]
    assert "Anemia" in tables(app) and percent(scores[0].probability) in tables(app)
    assert '"name":"tiny"' in figures(app)


@pytest.mark.parametrize(("tab", "key"), [("Sensitivity", "sensitivity"), ("Compare", "compare")])
def test_with_one_encoder_alone_the_tab_says_what_is_missing(open_with, tiny, tab, key):
    app = open_with(query={"evidence": tab}, heads=tiny.only_minilm)
    if tab == "Compare":
        next(g for g in app.get("button_group") if g.label == "Compare with").set_value("Another encoder").run()
    sound(app)
    assert "No other encoder can score here yet: minilm alone has its weights and heads here." in words(app)
    app.selectbox(key=f"others-{key}").set_value("qwen3-embedding-0.6b").run()
    sound(app)
    commands = "\n".join(code.value for code in app.code)
    for command in ("hf download Qwen/Qwen3-Embedding-0.6B", "core embed", "core train-heads", "core benchmark"):
        assert command in commands
    assert "--encoder qwen3-embedding-0.6b" in commands


def test_how_long_ago_a_time_was():
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    spans = {5: "just now", 61: "1 minute ago", 7300: "2 hours ago", 90_000: "1 day ago"}
    assert [loaded.ago(now - timedelta(seconds=span)) for span in spans] == list(spans.values())
