import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sklearn.metrics import f1_score, jaccard_score

from core.cli import main
from core.errors import InputError
from core.files import alone
from core.imaging.overlap import IGNORE, count_overlap, dice, iou
from core.imaging.phantoms import draw_phantom
from core.imaging.training import fit as fitting
from core.imaging.training import run as runner
from core.imaging.training.cases import Split
from core.imaging.training.evaluate import count_units, summarize
from core.imaging.training.fit import draw_cases, fit, learning_rate
from core.imaging.training.losses import dice_ce_loss
from core.imaging.training.recipes import RECIPES, Round, get_recipe
from tests.core.imaging.training.tiny import TINY

RNG = np.random.default_rng(0)


def test_dice_and_iou_equal_scikit_learns():
    truth, guess = (RNG.integers(0, 3, (40, 50)) for _ in range(2))
    truth[:5] = IGNORE
    counts = count_overlap(guess.astype(np.uint8), truth.astype(np.uint8), 3)
    known = truth != IGNORE
    np.testing.assert_allclose(dice(counts), f1_score(truth[known], guess[known], average=None))
    np.testing.assert_allclose(iou(counts), jaccard_score(truth[known], guess[known], average=None))


def test_empty_classes():
    blank, one = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    assert np.isnan(dice(count_overlap(blank, blank, 2))[1])
    assert dice(count_overlap(one, blank, 2))[1] == 0
    for score in (dice, iou):
        np.testing.assert_array_equal(score(count_overlap(one, one, 2)), [np.nan, 1])


def test_a_volume_is_measured_as_a_whole():
    cases = draw_cases(TINY, 4, 0)
    whole = [replace(case, unit="v") for case in cases]
    units = count_units(whole, lambda pixels: np.ones(pixels.shape, np.uint8), 3)
    truth = np.concatenate([case.mask.ravel() for case in cases])
    expected = f1_score(truth == 1, np.ones_like(truth, bool))
    assert dice(units["v"])[1] == pytest.approx(expected)
    summary = summarize(units | {"w": units["v"]}, ("background", "anterior", "posterior"), "volume")
    assert summary["n"] == 2 and summary["classes"]["anterior"]["dice"]["value"] == pytest.approx(expected, abs=1e-4)
    assert summary["classes"]["posterior"]["dice"]["worst"] == 0


def test_intervals_equal_naive_ones():
    """Against resamples drawn here: both classes of a unit together, a class left out where it is absent."""
    rng = np.random.default_rng(5)
    both = rng.integers(1, 90, (40, 3))
    units = {
        str(k): np.stack([b, b + rng.integers(0, 60, 3), b + rng.integers(0, 60, 3)], 1) for k, b in enumerate(both)
    }
    for absent in ("3", "4", "17"):
        units[absent][2] = 0
    summary = summarize(units, ("background", "nerve", "vessel"), "image")
    scores = dice(np.stack(list(units.values())))[:, 1:]
    drawn = [np.nanmean(scores[rng.integers(0, 40, 40)], axis=0) for _ in range(4000)]
    for figures, mean, resamples in (
        (summary["mean_dice"], np.nanmean(scores, axis=0).mean(), np.mean(drawn, axis=1)),
        (summary["classes"]["vessel"]["dice"], np.nanmean(scores[:, 1]), np.array(drawn)[:, 1]),
    ):
        assert figures["value"] == pytest.approx(mean, abs=1e-4)
        assert figures["lower"] == pytest.approx(np.quantile(resamples, 0.025), abs=0.006)
        assert figures["upper"] == pytest.approx(np.quantile(resamples, 0.975), abs=0.006)
    assert summary["classes"]["vessel"]["n"] == 37
    assert summarize(units, ("background", "nerve", "vessel"), "image") == summary  # nothing is left to chance
    alone = summarize({"one": units["0"], "other": units["3"]}, ("background", "nerve", "vessel"), "image")
    assert set(alone["classes"]["vessel"]["dice"]) == {"value", "worst"} and alone["mean_dice"]["lower"] > 0


def test_the_loss_equals_a_naive_one():
    logits = torch.from_numpy(RNG.normal(size=(2, 3, 6, 7)))
    target = torch.from_numpy(RNG.integers(0, 3, (2, 6, 7)))
    target[0, :2] = IGNORE
    probability = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    entropy, shares = [], []
    for n, y, x in np.argwhere(target.numpy() != IGNORE):
        entropy.append(-np.log(probability[n, target[n, y, x], y, x]))
    for index in (1, 2):
        known = target.numpy() != IGNORE
        p, t = probability[:, index][known], (target.numpy() == index)[known]
        shares.append(2 * (p * t).sum() / (p.sum() + t.sum()))
    expected = 0.5 * np.mean(entropy) + 0.5 * (1 - np.mean(shares))
    assert dice_ce_loss(logits, target).item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_without_foreground_and_with_a_perfect_answer():
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    logits = torch.zeros(1, 2, 4, 4)
    assert dice_ce_loss(logits, target).item() == pytest.approx(np.log(2), rel=1e-6)
    target[0, 1, 1] = 1
    perfect = torch.nn.functional.one_hot(target, 2).movedim(-1, 1).float() * 200 - 100
    assert dice_ce_loss(perfect, target).item() < 1e-5


def test_the_learning_rate_rises_and_falls():
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[9] == 1.0 and rates[0] == 0.1 and rates[-1] < 0.01
    assert (np.diff(rates[:10]) > 0).all() and (np.diff(rates[10:]) < 0).all()


def small_split() -> Split:
    return Split(draw_cases(TINY, 12, 100), draw_cases(TINY, 3, 200), draw_cases(TINY, 3, 300))


@pytest.mark.parametrize("bfloat16", [False, True])
def test_training_learns_and_repeats_itself(tmp_path, monkeypatch, bfloat16):
    monkeypatch.setattr(fitting, "has_bfloat16", lambda: True)
    torch.set_num_threads(1)
    split, recipe = small_split(), replace(TINY, bfloat16=bfloat16)
    first, record = fit(recipe, split, tmp_path / "a", seed=0)
    second, _ = fit(recipe, split, tmp_path / "b", seed=0)
    assert record["epochs"] == 4 and 0 <= record["validation_dice"] <= 1
    for name in first:
        assert torch.equal(first[name], second[name]), name
        assert not first[name].is_floating_point() or first[name].dtype == torch.float32


def test_without_bfloat16_in_the_cpu_training_is_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "has_bfloat16", lambda: False)
    torch.set_num_threads(1)
    asked, plain = (
        fit(replace(TINY, bfloat16=bfloat16), small_split(), tmp_path / str(bfloat16), seed=0)[0]
        for bfloat16 in (True, False)
    )
    assert all(torch.equal(asked[name], plain[name]) for name in plain)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path):
    torch.set_num_threads(1)
    split = small_split()
    whole, _ = fit(TINY, split, tmp_path / "whole", seed=3)

    def stop_in(epoch: int):
        def stop(done: int, total: int, note: str) -> None:
            if note.startswith(f"epoch {epoch} "):
                raise KeyboardInterrupt

        return stop

    for epoch in (2, 4):  # the second one of each round
        with pytest.raises(KeyboardInterrupt):
            fit(TINY, split, tmp_path / "parts", seed=3, progress=stop_in(epoch))
    resumed, _ = fit(TINY, split, tmp_path / "parts", seed=3)
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name
    assert len((tmp_path / "parts" / "log.txt").read_text().splitlines()) == 4


def test_the_last_round_learns_the_validation_cases_and_keeps_its_end(tmp_path):
    torch.set_num_threads(1)
    split = small_split()
    chosen = replace(TINY, rounds=TINY.rounds[:1])
    first, before = fit(chosen, split, tmp_path / "first", seed=1)
    both, after = fit(TINY, split, tmp_path / "both", seed=1)
    alone = replace(TINY, rounds=(TINY.rounds[0], replace(TINY.rounds[1], everything=False)))
    without, _ = fit(alone, split, tmp_path / "without", seed=1)
    assert after["validation_dice"] == before["validation_dice"] and after["best_epoch"] == before["best_epoch"] <= 2
    assert any(not torch.equal(first[name], both[name]) for name in first)
    assert any(not torch.equal(without[name], both[name]) for name in first)
    saved = torch.load(tmp_path / "both" / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(saved["average"][name], both[name]) for name in both)


def test_bright_pictures_are_repeated():
    def case(side: int, value: float) -> tuple[np.ndarray, np.ndarray]:
        return np.full((side, side, 3), value, np.float32), np.zeros((side, side), np.uint8)

    cases = [case(32, 0.9), case(96, 0.8), case(96, 0.1)]
    for one, expected in (
        (Round(1), [1, 1, 1]),
        (Round(1, bright=3), [3, 3, 1]),
        (Round(1, bright=3, by_area=True), [3, 9, 1]),
    ):
        seen = fitting._repeat_bright(cases, one, 32)
        assert [sum(pair is other for other in seen) for pair in cases] == expected


def nuclei_folder(tmp_path):
    """Twelve drawn fields in the layout of the real data."""
    data = tmp_path / "data"
    for kind in ("images", "instances"):
        (data / kind).mkdir(parents=True)
    for seed in range(12):
        phantom = draw_phantom("microscopy", 500 + seed, (64, 64))
        Image.fromarray(phantom.image).save(data / "images" / f"{seed:03d}.png")
        Image.fromarray(phantom.mask.astype(np.uint16)).save(data / "instances" / f"{seed:03d}.png")
    return data


def test_the_command_trains_and_measures_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runner, "N_PHANTOMS", 2)
    small = replace(get_recipe("nuclei"), crop=64, batch=4, decoder_channels=(16, 16, 8, 8, 8))
    monkeypatch.setitem(RECIPES, "nuclei", small)
    data, out = nuclei_folder(tmp_path), tmp_path / "out"
    command = ["train-segmenter", "nuclei", "--data", str(data)]
    assert main([*command, "--out", str(out), "--epochs", "1", "--threads", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    card = yaml.safe_load((out / "card.yaml").read_text())
    assert card["metrics"] == printed and card["split"]["test"] == 2 and card["training"]["epochs"] == 1
    assert len(card["training"]["rounds"]) == 1 and card["training"]["command"].endswith("--seed 0 --epochs 1")
    assert sorted(path.name for path in out.iterdir()) == ["card.yaml", "config.json", "model.safetensors"]
    assert not (tmp_path / "out.partial").exists()
    assert main([*command, "--evaluate", str(out), "--threads", "1"]) == 0
    assert json.loads(capsys.readouterr().out) == printed  # the app's calls give the card's numbers


def test_bad_requests(tmp_path, capsys):
    data = str(nuclei_folder(tmp_path))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file.txt").write_text("precious")
    for extra in (
        [],
        ["--out", "a", "--evaluate", "b"],
        ["--out", str(tmp_path / "full")],
        ["--out", str(tmp_path / "x"), "--epochs", "0"],
        ["--evaluate", str(tmp_path / "nowhere")],
    ):
        assert main(["train-segmenter", "nuclei", "--data", data, *extra]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
    assert (tmp_path / "full" / "file.txt").read_text() == "precious"
    assert main(["train-segmenter", "nuclei", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "y")]) == 2
    with pytest.raises(InputError):
        runner.train_segmenter("elbow", tmp_path, tmp_path / "z")


def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path):
    """Of another seed it has learned from cases that are this one's test cases, and the card would say held out."""
    torch.set_num_threads(1)
    split, work = small_split(), tmp_path / "out.partial"

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("epoch 2 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(TINY, split, work, seed=3, progress=stop)
    before = (work / "checkpoint.pt").read_bytes()
    swapped = Split(split.test, split.validation, split.train)
    longer = replace(TINY, rounds=(replace(TINY.rounds[0], epochs=9),))
    for recipe, cases, seed in ((TINY, split, 4), (TINY, swapped, 3), (longer, split, 3)):
        with pytest.raises(InputError, match=r"out\.partial is of another training .*; remove .*, or give the same"):
            fit(recipe, cases, work, seed)
    assert (work / "checkpoint.pt").read_bytes() == before
    for damaged in (before[: len(before) // 2], b"", b"\x80\x02garbage"):
        (work / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(InputError, match=r"checkpoint.* cannot be read .*; remove"):
            fit(TINY, split, work, seed=3)
    (work / "checkpoint.pt").write_bytes(before)
    fit(TINY, split, work, seed=3)


def test_two_trainings_of_one_folder_do_not_run_at_once(tmp_path, capsys):
    """The one that ended first took the other's checkpoint away, which then failed at its own end."""
    (tmp_path / "out.partial").mkdir()
    command = ["train-segmenter", "nuclei", "--data", str(nuclei_folder(tmp_path)), "--out", str(tmp_path / "out")]
    with alone(tmp_path / "out.partial" / ".lock", tmp_path):
        assert main([*command, "--epochs", "1", "--threads", "1"]) == 2
    assert "another run is writing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
