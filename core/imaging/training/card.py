"""The card of a trained segmenter: what it is for, what it was made of, how well it does, where it fails."""

import os
import platform
import shlex
from typing import Any

import torch

from core.imaging.training.recipes import Recipe

VERSION = "1.0"

_OPERATING_POINT = (
    "the background's logit is lowered by background_offset, the value with the best Dice on validation cases before "
    "any of them was trained on"
)


def make_card(
    recipe: Recipe,
    seed: int,
    epochs: int | None,
    sizes: dict[str, int],
    training: dict[str, Any],
    metrics: dict[str, Any],
    phantoms: dict[str, Any],
) -> dict[str, Any]:
    """The card as a mapping; ``weights_sha256`` is added when the folder is written.

    Args:
        recipe: what was trained.
        seed: of the split and of the training.
        epochs: what replaced the recipe's, or None.
        sizes: cases in train, validation and test.
        training: record of the fit.
        metrics: summary on the held-out test cases.
        phantoms: summary on drawn phantoms that were not trained on.
    """
    command = (
        f"python -m core train-segmenter {shlex.quote(recipe.name)} --data DATA/{recipe.name} --out OUT --seed {seed}"
    )
    return {
        "name": recipe.name,
        "version": VERSION,
        "title": recipe.title,
        "purpose": recipe.purpose,
        "modality": recipe.modality,
        "classes": [
            {"index": index, "name": name, "colour": colour} for index, (name, colour) in enumerate(recipe.classes)
        ],
        **({"view": recipe.view} if recipe.view else {}),
        "preprocessing": recipe.preprocessing.to_card(),
        "data": recipe.data,
        "licence": recipe.licence,
        "attribution": recipe.attribution,
        "split": {"rule": recipe.split, "seed": seed, **sizes},
        "metrics": {"held_out": metrics, "drawn_phantoms": phantoms},
        "training": {
            "command": command + (f" --epochs {epochs}" if epochs else ""),
            "evaluate_command": command.replace("--out OUT", "--evaluate OUT"),
            "seed": seed,
            **training,
            "rounds": [
                f"{one.epochs} epochs, learning rate to {one.learning_rate:g}"
                + (f", mostly bright pictures {one.bright} times" if one.bright > 1 else "")
                + (" or as often as crops fit into them" if one.by_area else "")
                + (", on training and validation cases together" if one.everything else "")
                for one in recipe.rounds
            ],
            "optimizer": f"AdamW, weight decay {recipe.weight_decay}, warm-up and cosine in each round",
            "loss": "cross-entropy + soft Dice",
            "batch": recipe.batch,
            "precision": "bfloat16 autocast where the CPU has it, else float32" if recipe.bfloat16 else "float32",
            "weights": f"{_start(recipe)}, exponential moving average, best epoch by validation Dice"
            + (", then the end of the last round, as trained" if recipe.rounds[-1].everything else ""),
            **({"operating_point": _OPERATING_POINT} if recipe.operating_point else {}),
            "augmentation": f"albumentations, pipeline {recipe.augmentation}",
            "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores, torch {torch.__version__.split('+')[0]}",
        },
        "limits": list(recipe.limits),
        "warnings": list(recipe.warnings),
    }


def _start(recipe: Recipe) -> str:
    return "start from the encoder's ImageNet weights (requirements-train.txt)" if recipe.imagenet else "random start"
