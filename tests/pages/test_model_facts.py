"""The Model facts page: every kind of card is drawn whole, and what a card lacks is said."""

import json

import pytest

from core.ehr.escape import escape_markdown
from core.embedding.registry import encoder_specs
from tests.pages.conftest import shown
from tests.pages.test_patients import sound

PAGE = "pages/model_facts.py"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Risk heads", ["Intended use", "triage", "Known limits", "Warnings"]),
        ("Text encoders", ["How it reads a record", "Known traps", "Licence"]),
        ("Segmenters", ["Attribution", "Known limits", "How cases were split"]),
    ],
)
def test_a_card_is_drawn_whole(open_page, kind, words):
    app = open_page(PAGE, query={"facts-kind": kind})
    sound(app)
    text = shown(app)
    assert [word for word in words if word not in text] == []
    assert "The card lacks" not in text


@pytest.mark.parametrize("title", [spec.title for spec in encoder_specs().values()])
def test_every_encoder_has_its_facts(open_page, title):
    app = open_page(PAGE, query={"facts-kind": "Text encoders", "model": title})
    sound(app)
    assert app.selectbox[-1].value == title


def test_a_server_bounds_what_is_read_and_the_card_says_so(open_page):
    (server,) = [spec.title for spec in encoder_specs().values() if spec.remote]
    text = shown(open_page(PAGE, query={"facts-kind": "Text encoders", "model": server}))
    assert "no bound" not in text
    assert escape_markdown("as many as the server takes; it cuts longer records or refuses them") in text
    assert "that of the model behind the server" in text
    local = shown(open_page(PAGE, query={"facts-kind": "Text encoders", "model": encoder_specs()["minilm"].title}))
    assert "behind the server" not in local and "as many as the server" not in local


def test_without_heads_the_page_says_so(open_page, tmp_path):
    app = open_page(PAGE, heads=tmp_path / "none")
    sound(app)
    assert "There are no risk heads here" in shown(app)


def test_an_incomplete_card_is_marked(open_page, tmp_path):
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "card.yaml").write_text("title: Mine\nclasses: [background, spot]\n")
    app = open_page(PAGE, query={"facts-kind": "Segmenters", "model": "mine"}, models=tmp_path / "models")
    sound(app)
    assert "The card lacks" in shown(app) and "Mine" in shown(app)


def test_a_count_has_no_decimals(open_page):
    app = open_page(PAGE, query={"facts-kind": "Risk heads"})
    (metrics,) = [frame for frame in app.dataframe if "Metric" in frame.value]
    columns = json.loads(metrics.proto.columns)
    assert "%.3f" in json.dumps(columns["Value"]) and "Undefined replicates" in metrics.value
    assert "%.3f" not in json.dumps(columns.get("Undefined replicates", {}))
