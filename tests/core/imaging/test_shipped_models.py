"""What ships in assets/models keeps the promises of its cards."""

import hashlib
import json

import numpy as np
import pytest
import yaml

from core.imaging.phantoms import KINDS, draw_phantom
from core.imaging.preprocess import Preprocessing
from core.imaging.segmenters import SHIPPED_MODELS, load_segmenter, segment
from core.imaging.training.cases import load_cases, split_cases
from core.imaging.training.evaluate import count_units, summarize
from core.imaging.training.recipes import RECIPES

SHIPPED = sorted(path.parent.name for path in SHIPPED_MODELS.glob("[!.]*/config.json"))
FIELDS = (
    "name version title purpose modality classes preprocessing data licence attribution split metrics training limits"
    " warnings weights_sha256"
)


def card_of(name: str) -> dict:
    return yaml.safe_load((SHIPPED_MODELS / name / "card.yaml").read_text())


def test_the_recipes_ship():
    assert set(SHIPPED) == set(RECIPES)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_folder_is_small_complete_and_offline(name):
    folder = SHIPPED_MODELS / name
    assert sorted(path.name for path in folder.iterdir()) == ["card.yaml", "config.json", "model.safetensors"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12_000_000
    card = card_of(name)
    assert set(FIELDS.split()) <= set(card) and card["name"] == name
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == card["weights_sha256"]
    assert json.loads((folder / "config.json").read_text())["encoder_weights"] is None
    assert Preprocessing.from_card(card["preprocessing"]) == RECIPES[name].preprocessing
    assert [item["index"] for item in card["classes"]] == list(range(len(card["classes"])))
    assert card["metrics"]["held_out"]["n"] == card["split"]["test"] > 0
    assert "train-segmenter" in card["training"]["command"] and any("diagnosis" in text for text in card["warnings"])


@pytest.mark.parametrize("name", SHIPPED)
def test_it_reads_the_drawn_samples(name):
    segmenter = load_segmenter(name)
    assert segmenter.classes == RECIPES[name].class_names
    kind = next(kind for kind in KINDS.values() if kind.model == name)
    phantoms = [draw_phantom(kind.name, seed) for seed in range(3)]
    overlap = total = 0
    for phantom in phantoms:
        guess, truth = segment(segmenter, phantom.image.astype(np.float32)).mask, phantom.mask
        assert guess.shape == truth.shape
        overlap += 2 * ((guess == truth) & (truth > 0)).sum()
        total += (guess > 0).sum() + (truth > 0).sum()
    assert overlap / total > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_the_cards_figures_hold_on_held_out_cases(name, shared_data):
    """The first twelve held-out units, through the app's calls, against the card's mean and spread."""
    recipe, card = RECIPES[name], card_of(name)
    test = split_cases(name, load_cases(name, shared_data / name), recipe.fractions, card["split"]["seed"]).test
    units = sorted({case.unit for case in test})[:12]
    segmenter = load_segmenter(name)
    counts = count_units(
        (case for case in test if case.unit in units),
        lambda pixels: segment(segmenter, pixels).mask,
        len(recipe.classes),
    )
    measured = summarize(counts, recipe.class_names, recipe.unit)["classes"]
    for label, said in card["metrics"]["held_out"]["classes"].items():
        dice = said["dice"]
        spread = 4 * dice["sd"] / np.sqrt(max(1, measured[label]["n"]))
        assert abs(measured[label]["dice"]["value"] - dice["value"]) <= spread + 0.005
        assert measured[label]["dice"]["worst"] >= dice["worst"] - 0.002
