import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.imaging.overlap import count_overlap, dice
from core.imaging.training import fit as fitting
from core.imaging.training.cases import Case, Split
from core.imaging.training.fit import draw_cases, fit, mean_dice
from core.imaging.training.network import build_network
from core.imaging.training.operating_point import HEAD, OFFSETS, best_offset, lower_background
from core.imaging.training.recipes import Round
from tests.core.imaging.training.tiny import TINY

RECIPE = replace(TINY, bfloat16=False, operating_point=True, rounds=(Round(2, learning_rate=1e-2),))
WIDE = replace(RECIPE, preprocessing=replace(RECIPE.preprocessing, low=0.0, high=100.0, mean=0.0, std=1.0, stride=8))


class Shift(torch.nn.Module):
    """A bias for each class, as the last convolution of a network has it."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(2), requires_grad=False)

    def forward(self, logits):
        return logits + self.bias[:, None, None]


class Fixed(torch.nn.Module):
    """Two classes; the object's logit at a pixel is the picture's value there, scaled to -4 .. 4."""

    def __init__(self):
        super().__init__()
        self.segmentation_head = torch.nn.Sequential(Shift())

    def forward(self, images):
        value = (images[:, :1] - images.min()) / (images.max() - images.min()) * 8 - 4
        return self.segmentation_head(torch.cat([torch.zeros_like(value), value], 1))


def ramp(truth_from: float) -> Case:
    """A ramp whose object begins where the logit is ``truth_from``."""
    values = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (16, 1))
    return Case("a", "a", "a", values, (values.astype(float) / 255 * 8 - 4 >= truth_from).astype(np.uint8))


def judge(model, recipe, cases):
    """What training scores weights by."""

    def score(weights):
        model.load_state_dict(weights)
        return mean_dice(model, recipe, cases)

    return score


@pytest.mark.parametrize(("truth_from", "expected"), [(0.0, 0.0), (-1.0, 1.0), (-2.5, 2.5), (2.0, 0.0), (-9.0, 3.0)])
def test_the_offset_meets_where_the_objects_begin(truth_from, expected):
    recipe = replace(WIDE, classes=RECIPE.classes[:2])
    model = Fixed()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    assert set(weights) == {HEAD}
    offset, reached = best_offset(weights, judge(model, recipe, [ramp(truth_from)]))
    assert offset == expected
    if -3 <= truth_from <= 0:
        assert reached == pytest.approx(1.0, abs=0.02)


def test_every_offset_is_what_lowered_logits_give():
    """Against the logits of the one network, each lowered here: the background loses, the objects stay."""
    torch.manual_seed(3)
    model, other = build_network(RECIPE).eval(), build_network(RECIPE).eval()
    cases = draw_cases(RECIPE, 4, 50)
    means = []
    for lowered in OFFSETS:
        counts = []
        for case in cases:
            tensor, geometry = RECIPE.preprocessing.prepare(case.pixels)
            with torch.no_grad():
                background, *objects = geometry.to_image(model(tensor))[0]
            mask = torch.stack([background - lowered, *objects]).argmax(0).numpy()
            counts.append(count_overlap(mask, case.mask, 3))
        means.append(np.nanmean(dice(np.stack(counts))[:, 1:], axis=0).mean())
    assert len(set(means)) > 1
    offset, reached = best_offset(model.state_dict(), judge(other, RECIPE, cases))
    assert offset == OFFSETS[int(np.argmax(means))] and reached == pytest.approx(max(means), abs=1e-6)


def test_only_the_background_moves():
    torch.manual_seed(0)
    model = build_network(RECIPE).eval()
    image = torch.rand(1, 1, 32, 32)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    changed = build_network(RECIPE).eval()
    changed.load_state_dict(lower_background(weights, 1.5))
    with torch.no_grad():
        difference = model(image) - changed(image)
    assert torch.allclose(difference[:, 0], torch.tensor(1.5), atol=1e-5) and (difference[:, 1:] == 0).all()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())  # not in place


def test_training_sets_it_from_cases_that_it_had_not_seen(tmp_path):
    torch.set_num_threads(1)
    split = Split(draw_cases(RECIPE, 12, 100), draw_cases(RECIPE, 3, 200), [])
    plain, before = fit(replace(RECIPE, operating_point=False), split, tmp_path / "plain", seed=0)
    moved, record = fit(RECIPE, split, tmp_path / "moved", seed=0)
    model = build_network(RECIPE).eval()
    offset, reached = best_offset(plain, judge(model, RECIPE, split.validation))
    assert "background_offset" not in before and record["background_offset"] == offset
    assert record["validation_dice_with_it"] == pytest.approx(reached, abs=1e-4) and math.isfinite(reached)
    model.load_state_dict(moved)
    assert mean_dice(model, RECIPE, split.validation) == pytest.approx(reached)
    assert record["validation_dice"] == before["validation_dice"] <= record["validation_dice_with_it"] + 1e-4
    # a round on the validation cases too moves the weights, not the offset
    longer = replace(RECIPE, rounds=(*RECIPE.rounds, Round(2, learning_rate=5e-3, everything=True)))
    assert fit(longer, split, tmp_path / "longer", seed=0)[1]["background_offset"] == offset


def test_an_interrupted_training_keeps_its_offset(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    split = Split(draw_cases(RECIPE, 8, 100), draw_cases(RECIPE, 2, 200), [])
    recipe = replace(RECIPE, rounds=(*RECIPE.rounds, Round(1, learning_rate=5e-3, everything=True)))
    monkeypatch.setattr(fitting, "best_offset", lambda *_: (2.0, 0.5))

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("epoch 3 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(recipe, split, tmp_path / "work", seed=0, progress=stop)
    _, record = fit(recipe, split, tmp_path / "work", seed=0)
    assert record["background_offset"] == 2.0
