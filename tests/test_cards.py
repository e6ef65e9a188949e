"""Every shipped head, encoder and segmenter has a complete card, and the checks notice what is missing."""

import pytest

from core.embedding.registry import encoder_specs
from core.imaging import cards as segmenter_cards
from core.imaging.segmenters import SHIPPED_MODELS, read_card
from core.risk import cards as head_cards
from core.risk.heads import load_heads
from core.risk.subtasks import ALL_SUBTASKS
from core.settings import PROJECT_ROOT

HEADS = PROJECT_ROOT / "assets" / "heads" / "minilm"
MODELS = sorted(path.parent for path in SHIPPED_MODELS.glob("*/config.json"))


def test_all_heads_ship_with_complete_cards():
    heads = load_heads(HEADS)
    assert set(heads) == {subtask.key for subtask in ALL_SUBTASKS}
    assert {key: head_cards.missing_items(head.card) for key, head in heads.items()} == {key: [] for key in heads}


def test_the_chest_radiograph_segmenter_ships():
    assert "chest-xray" in {folder.name for folder in MODELS}


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_segmenter_cards_are_complete_and_folders_small(folder):
    assert segmenter_cards.missing_items(read_card(folder)) == []
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12e6


@pytest.mark.parametrize("spec", encoder_specs().values(), ids=lambda spec: spec.name)
def test_encoder_cards_say_licence_traps_and_size(spec):
    assert spec.licence and spec.traps and spec.title
    assert spec.remote or (spec.parameters > 0 and spec.url and spec.dimension > 0 and spec.context > 0)


@pytest.mark.parametrize("module", [head_cards, segmenter_cards])
def test_an_empty_card_lacks_every_item(module):
    assert set(module.ITEMS) <= set(module.missing_items({}))
