"""Train a segmenter: seeded, resumable, best epoch by validation Dice.

One epoch is one pass over the training cases and the drawn phantoms. The weights that are kept are an exponential
moving average. Every epoch's end is written to ``<out>.partial/checkpoint.pt``; the same command goes on from there
and ends with the same weights as one that was never stopped (on the same machine and thread count).
"""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from core.imaging.phantoms import draw_phantom
from core.imaging.training.augment import augment, build_pipeline
from core.imaging.training.cases import Case, Split
from core.imaging.training.evaluate import count_units, dice
from core.imaging.training.losses import dice_ce_loss
from core.imaging.training.network import build_network, predict
from core.imaging.training.recipes import Recipe
from core.progress import Progress, silent

EMA_DECAY = 0.995
VALIDATE_FROM = 0.7  # share of the epochs before which validation is skipped
PHANTOM_SEED = 10_000  # training phantoms count from here; the samples in assets have small seeds


def draw_cases(recipe: Recipe, n: int, first_seed: int) -> list[Case]:
    """Draw phantoms as cases, at half their usual size where they are resized anyway."""
    cases = []
    for seed in range(first_seed, first_seed + n):
        phantom = draw_phantom(recipe.phantom, seed)
        cases.append(Case(f"phantom{seed}", f"phantom{seed}", f"phantom{seed}", phantom.image, phantom.mask))
    return cases


def cache_inputs(recipe: Recipe, cases: list[Case]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images float32 (H, W, channels) in 0..1 and masks uint8 (H, W) on the model's grid."""
    plain = replace(recipe.preprocessing, mean=0.0, std=1.0, stride=1)
    inputs = []
    for case in cases:
        tensor, geometry = plain.prepare(case.pixels)
        inputs.append((np.ascontiguousarray(tensor[0].permute(1, 2, 0).numpy()), geometry.to_grid(case.mask)))
    return inputs


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Linear warm-up over the first 10 %, then a cosine to zero."""
    warm = max(1, steps // 10)
    if step < warm:
        return highest * (step + 1) / warm
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def fit(
    recipe: Recipe, split: Split, work: Path, seed: int, epochs: int | None = None, progress: Progress = silent
) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """Train; return the best weights and a record for the card (epochs, best epoch, minutes, validation Dice)."""
    epochs = epochs or recipe.epochs
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint.pt"
    torch.manual_seed(seed)
    model = build_network(recipe)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    decayed = [value for value in model.parameters() if value.ndim > 1]
    plain = [value for value in model.parameters() if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    state: dict[str, Any] = {"epoch": 0, "step": 0, "minutes": 0.0, "best_dice": -1.0, "best_epoch": 0}
    best = average
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        average, best, state = saved["average"], saved["best"], saved["state"]

    n_phantoms = round(recipe.phantom_share / (1 - recipe.phantom_share) * len(split.train))
    inputs = cache_inputs(recipe, split.train + draw_cases(recipe, n_phantoms, PHANTOM_SEED))
    pipeline = build_pipeline(recipe.augmentation, recipe.crop)
    per_epoch = len(inputs) // recipe.batch
    steps = per_epoch * epochs
    judge = build_network(recipe).eval()
    mean, std = recipe.preprocessing.mean, recipe.preprocessing.std

    while state["epoch"] < epochs:
        epoch, begun, losses = state["epoch"], time.monotonic(), []
        model.train()
        order = np.random.default_rng([seed, epoch]).permutation(len(inputs))
        for number in range(per_epoch):
            chosen = order[number * recipe.batch : (number + 1) * recipe.batch]
            pairs = [augment(pipeline, *inputs[i], seed=seed + epoch * 100_003 + i) for i in map(int, chosen)]
            images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
            images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
            target = torch.from_numpy(np.stack([mask for _, mask in pairs])).long()
            if epoch < recipe.early[0] * epochs:
                images, target = _smaller(images, target, recipe.early[1])
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(state["step"], steps, recipe.learning_rate)
            loss = dice_ce_loss(model(images), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            _update_average(average, model, state["step"])
            state["step"] += 1
            losses.append(loss.item())
            progress(state["step"], steps, f"epoch {epoch + 1} loss {losses[-1]:.3f}")
        state["epoch"] += 1
        score = float("nan")
        if state["epoch"] >= VALIDATE_FROM * epochs or state["epoch"] == epochs:
            judge.load_state_dict(average)
            score = mean_dice(judge, recipe, split.validation)
            if score > state["best_dice"]:
                state["best_dice"], state["best_epoch"] = score, state["epoch"]
                best = {name: value.clone() for name, value in average.items()}
        state["minutes"] += (time.monotonic() - begun) / 60
        _save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average, "best": best,
               "state": state}, checkpoint)  # fmt: skip
        line = f"epoch {state['epoch']}/{epochs} loss {np.mean(losses):.4f} validation Dice {score:.4f} "
        with (work / "log.txt").open("a") as log:
            log.write(line + f"minutes {state['minutes']:.1f}\n")
    record: dict[str, object] = {
        "epochs": epochs,
        "best_epoch": state["best_epoch"],
        "minutes": round(state["minutes"], 1),
    }
    record |= {"validation_dice": round(state["best_dice"], 4), "n_phantoms": n_phantoms}
    return best, record


def mean_dice(model: torch.nn.Module, recipe: Recipe, cases: list[Case]) -> float:
    """Mean Dice over units and foreground classes, units without the class left out."""
    units = count_units(cases, lambda pixels: predict(model, recipe.preprocessing, pixels), len(recipe.classes))
    return float(np.nanmean(dice(np.stack(list(units.values())))[:, 1:], axis=0).mean())


def _smaller(images: torch.Tensor, target: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch at a smaller scale: the early epochs learn the coarse shapes at less than half the cost."""
    size = [round(side * scale) for side in target.shape[-2:]]
    small = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
    mask = functional.interpolate(target[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
    return small.contiguous(memory_format=torch.channels_last), mask


@torch.no_grad()
def _update_average(average: dict[str, torch.Tensor], model: torch.nn.Module, step: int) -> None:
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def _save(values: dict[str, object], path: Path) -> None:
    partial = path.with_suffix(".new")
    torch.save(values, partial)
    partial.replace(path)
