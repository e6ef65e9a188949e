"""Train a segmenter into a folder, or measure a folder on its held-out cases."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from core.errors import InputError
from core.files import alone
from core.imaging.segmenters import load_segmenter, segment
from core.imaging.training.card import make_card
from core.imaging.training.cases import Case, load_cases, split_cases
from core.imaging.training.evaluate import count_units, summarize
from core.imaging.training.fit import draw_cases, fit
from core.imaging.training.network import write_folder
from core.imaging.training.recipes import Recipe, get_recipe
from core.progress import Progress, silent

N_PHANTOMS = 20
TEST_PHANTOM_SEED = 0  # the first ones are the samples in assets


def train_segmenter(
    name: str,
    data: Path,
    out: Path,
    seed: int = 0,
    epochs: int | None = None,
    threads: int = 2,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train on ``data`` and write the segmenter's folder ``out``; returns its card.

    ``epochs`` replaces the recipe's rounds by its first one at that length.

    The held-out test cases are read once, at the end, for the card, through the same calls as the app. An interrupted
    run goes on from ``<out>.partial`` when called again in the same way.

    Raises:
        InputError: unknown name, wrong data folder, ``out`` exists and is no segmenter, its ``.partial`` is of
            another training, or another process is at it.
    """
    recipe = get_recipe(name)
    if epochs:
        recipe = replace(recipe, rounds=(replace(recipe.rounds[0], epochs=epochs),))
    if out.exists() and not (out / "config.json").is_file():
        raise InputError(f"{out} exists and is no segmenter", "name a new folder for --out")
    torch.set_num_threads(threads)
    split = split_cases(name, load_cases(name, data), recipe.fractions, seed)
    work = out.with_name(out.name + ".partial")
    work.mkdir(parents=True, exist_ok=True)
    with alone(work / ".lock", out):
        weights, record = fit(recipe, split, work, seed, progress)
        sizes = {part: len({case.unit for case in getattr(split, part)}) for part in ("train", "validation", "test")}
        draft = work / recipe.name
        write_folder(draft, recipe, weights, make_card(recipe, seed, epochs, sizes, record, {}, {}))
        metrics, phantoms = _measure(draft, recipe, split.test)
        card = make_card(recipe, seed, epochs, sizes, record, metrics, phantoms)
        write_folder(out, recipe, weights, card)
        shutil.rmtree(work)
    return card


def evaluate_folder(
    name: str, data: Path, folder: Path, seed: int = 0, threads: int = 2, progress: Progress = silent
) -> dict[str, Any]:
    """Measure a segmenter folder, through the same calls as the app, on the test cases that ``seed`` holds out.

    Raises:
        InputError: unknown name, wrong data folder, or no segmenter in ``folder``.
    """
    recipe = get_recipe(name)
    torch.set_num_threads(threads)
    split = split_cases(name, load_cases(name, data), recipe.fractions, seed)
    progress(0, 0, f"{len(split.test)} cases")
    metrics, phantoms = _measure(folder, recipe, split.test)
    return {"held_out": metrics, "drawn_phantoms": phantoms}


def _measure(folder: Path, recipe: Recipe, test: list[Case]) -> tuple[dict[str, Any], dict[str, Any]]:
    segmenter = load_segmenter(folder)
    summaries = [
        summarize(
            count_units(cases, lambda pixels: segment(segmenter, pixels).mask, len(recipe.classes)),
            recipe.class_names,
            unit,
        )
        for cases, unit in ((test, recipe.unit), (draw_cases(recipe, N_PHANTOMS, TEST_PHANTOM_SEED), "image"))
    ]
    return summaries[0], summaries[1]
