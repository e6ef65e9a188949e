"""Train a segmenter: seeded, resumable.

One epoch is one pass over the training cases and the drawn phantoms. The weights that are kept are an exponential
moving average: that of the best epoch by validation Dice, or, after a round on the validation cases too, that of the
round's end; a recipe may then move the operating point. Every epoch's end is written to
``<out>.partial/checkpoint.pt``; the same command goes on from there and ends with the same weights as one that was
never stopped (on the same machine and thread count).
"""

import hashlib
import io
import math
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import InputError
from core.files import write_atomic
from core.imaging.overlap import dice
from core.imaging.phantoms import draw_phantom
from core.imaging.training.augment import augment, build_pipeline
from core.imaging.training.cases import Case, Split
from core.imaging.training.evaluate import count_units
from core.imaging.training.imagenet import start_encoder
from core.imaging.training.losses import dice_ce_loss
from core.imaging.training.network import build_network, predict
from core.imaging.training.operating_point import best_offset, lower_background
from core.imaging.training.recipes import Recipe, Round
from core.progress import Progress, silent

EMA_DECAY = 0.995
VALIDATE_FROM = 0.7  # share of the epochs before which validation is skipped
PHANTOM_SEED = 10_000  # training phantoms count from here; the samples in assets have small seeds


def draw_cases(recipe: Recipe, n: int, first_seed: int) -> list[Case]:
    """Draw phantoms as cases."""
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


@cache
def has_bfloat16() -> bool:
    """Whether the CPU computes with bfloat16; one that only imitates it takes ten times as long as in float32."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and bool({"avx512_bf16", "amx_bf16"} & set(cpuinfo.read_text().split()))


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Linear warm-up over the first 10 %, then a cosine to zero."""
    warm = max(1, steps // 10)
    if step < warm:
        return highest * (step + 1) / warm
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def fit(
    recipe: Recipe, split: Split, work: Path, seed: int, progress: Progress = silent
) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """Train; return the weights to keep and a record for the card (epochs, best epoch, minutes, validation Dice).

    Raises:
        InputError: ``work`` holds the checkpoint of another training, or a damaged one.
    """
    rounds, identity = recipe.rounds, _identity(recipe, split, seed)
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint.pt"
    torch.manual_seed(seed)
    model = build_network(recipe)
    best = {name: value.clone() for name, value in model.state_dict().items()}
    saved: dict[str, Any] = {
        "state": {"round": 0, "epoch": 0, "step": 0, "minutes": 0.0, "best_dice": -1.0, "best_epoch": 0}
    }
    if checkpoint.is_file():
        saved = _read_checkpoint(checkpoint, identity)
        best = saved["best"]
    elif recipe.imagenet:
        best |= start_encoder(recipe.encoder, best)
    state: dict[str, Any] = saved["state"]

    n_phantoms = round(recipe.phantom_share / (1 - recipe.phantom_share) * len(split.train))
    inputs = cache_inputs(recipe, split.train + draw_cases(recipe, n_phantoms, PHANTOM_SEED))
    held = cache_inputs(recipe, split.validation) if any(one.everything for one in rounds) else []
    judge = build_network(recipe).eval()

    def judged(weights: dict[str, torch.Tensor]) -> float:
        judge.load_state_dict(weights)
        return mean_dice(judge, recipe, split.validation)

    total = sum(one.epochs for one in rounds)
    for number in range(state["round"], len(rounds)):
        one = rounds[number]
        before = sum(other.epochs for other in rounds[:number])
        cases = inputs + held if one.everything else inputs
        trainer = _Trainer(recipe, one, _repeat_bright(cases, one, recipe.crop), model, seed)
        trainer.start(best, saved if state["epoch"] > before else None)
        while state["epoch"] < before + one.epochs:
            begun, epoch = time.monotonic(), state["epoch"]
            loss = trainer.run_epoch(epoch, progress)
            state["epoch"] += 1
            score = float("nan")
            if one.everything:
                if state["epoch"] == before + one.epochs:
                    best = {name: value.clone() for name, value in trainer.average.items()}
            elif state["epoch"] - before >= VALIDATE_FROM * one.epochs:
                score = judged(trainer.average)
                if score > state["best_dice"]:
                    state["best_dice"], state["best_epoch"] = score, state["epoch"]
                    best = {name: value.clone() for name, value in trainer.average.items()}
            state["minutes"] += (time.monotonic() - begun) / 60
            state["step"] = trainer.step
            if state["epoch"] == before + one.epochs:
                state["round"] = number + 1
                if recipe.operating_point and not one.everything:
                    state["offset"], state["offset_dice"] = best_offset(best, judged)
            written = io.BytesIO()  # in memory first: what torch raises on a full disk does not say that it is full
            torch.save({**trainer.to_save(), "best": best, "state": state, "of": identity}, written)
            write_atomic(checkpoint, written.getvalue())
            line = f"epoch {state['epoch']}/{total} loss {loss:.4f} validation Dice {score:.4f} "
            with (work / "log.txt").open("a") as log:
                log.write(line + f"minutes {state['minutes']:.1f}\n")
    record: dict[str, object] = {
        "epochs": total,
        "minutes": round(state["minutes"], 1),
    }
    record["n_phantoms"] = n_phantoms
    if state["best_epoch"]:
        record |= {"best_epoch": state["best_epoch"], "validation_dice": round(state["best_dice"], 4)}
    if "offset" in state:
        best = lower_background(best, state["offset"])
        record |= {"background_offset": state["offset"], "validation_dice_with_it": round(state["offset_dice"], 4)}
    return best, record


def _identity(recipe: Recipe, split: Split, seed: int) -> str:
    """Hash of what makes a training this one: recipe, seed, and the cases with their parts."""
    digest = hashlib.sha256(repr((recipe, seed)).encode())
    for part in (split.train, split.validation, split.test):
        digest.update(f"{len(part)} cases".encode())
        for case in part:
            for array in (case.pixels, case.mask):
                digest.update(f"{case.name} {array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read_checkpoint(path: Path, identity: str) -> dict[str, Any]:
    again = f"remove {path.parent} to begin anew, or give another --out"
    try:
        saved = torch.load(path, weights_only=True)
    except Exception as error:  # torch.load raises many kinds; none of them is worth a traceback
        raise InputError(f"the checkpoint {path} cannot be read ({type(error).__name__})", again) from error
    if not isinstance(saved, dict) or saved.get("of") != identity:  # its test cases may be among those learned from
        raise InputError(
            f"{path.parent} is of another training (other data, name, --seed, --epochs or version of Chartlight)",
            f"{again}, or give the same command as before to go on",
        )
    return saved


def _repeat_bright(
    cases: list[tuple[np.ndarray, np.ndarray]], one: Round, crop: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The cases once, and after them those that are mostly bright again, as often as the round says."""
    bright = [pair for pair in cases if pair[0].mean() > 0.5]
    more = bright * (one.bright - 1)
    if one.by_area:
        for pair in bright:
            more += [pair] * (round(pair[1].size / crop**2) - one.bright)
    return cases + more


class _Trainer:
    """Network, optimizer and moving average of one round."""

    def __init__(
        self,
        recipe: Recipe,
        one: Round,
        inputs: list[tuple[np.ndarray, np.ndarray]],
        model: torch.nn.Module,
        seed: int,
    ):
        self._recipe, self._round, self._inputs, self._model, self._seed = recipe, one, inputs, model, seed
        self._pipeline = build_pipeline(recipe.augmentation, recipe.crop)
        self._per_epoch = len(inputs) // recipe.batch
        self.steps = self._per_epoch * one.epochs
        self.step = 0
        decayed = [value for value in model.parameters() if value.ndim > 1]
        plain = [value for value in model.parameters() if value.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=one.learning_rate)
        self.average: dict[str, torch.Tensor] = {}

    def start(self, weights: dict[str, torch.Tensor], saved: dict[str, Any] | None) -> None:
        """Begin with these weights, or go on where a saved round was."""
        if saved is None:
            self._model.load_state_dict(weights)
            self.average = {name: value.clone() for name, value in weights.items()}
        else:
            self._model.load_state_dict(saved["model"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self.average, self.step = saved["average"], saved["state"]["step"]

    def run_epoch(self, epoch: int, progress: Progress) -> float:
        """One pass over the inputs; returns the mean loss."""
        recipe, one = self._recipe, self._round
        given = (recipe.preprocessing.mean, recipe.preprocessing.std)
        mean, std = (torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1) for values in given)
        losses = []
        self._model.train()
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._inputs))
        for number in range(self._per_epoch):
            chosen = order[number * recipe.batch : (number + 1) * recipe.batch]
            pairs = []
            for index in chosen:
                image, mask = self._inputs[index]
                pairs.append(augment(self._pipeline, image, mask, self._seed + epoch * 100_003 + int(index)))
            images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
            images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
            target = torch.from_numpy(np.stack([mask for _, mask in pairs])).long()
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate(self.step, self.steps, one.learning_rate)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16 and has_bfloat16()):
                logits = self._model(images)
            loss = dice_ce_loss(logits.float(), target)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), 5.0)
            self._optimizer.step()
            _update_average(self.average, self._model, self.step)
            self.step += 1
            losses.append(loss.item())
            progress(self.step, self.steps, f"epoch {epoch + 1} loss {losses[-1]:.3f}")
        return float(np.mean(losses))

    def to_save(self) -> dict[str, object]:
        """What the checkpoint needs to go on."""
        state = {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}
        return {**state, "average": self.average}


def mean_dice(model: torch.nn.Module, recipe: Recipe, cases: list[Case]) -> float:
    """Mean Dice over units and foreground classes, units without the class left out."""
    units = count_units(cases, lambda pixels: predict(model, recipe.preprocessing, pixels), len(recipe.classes))
    return float(np.nanmean(dice(np.stack(list(units.values())))[:, 1:], axis=0).mean())


@torch.no_grad()
def _update_average(average: dict[str, torch.Tensor], model: torch.nn.Module, step: int) -> None:
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)
