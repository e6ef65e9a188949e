"""``python -m core train-segmenter NAME --data DIR --out DIR``: train a shipped segmenter, or measure one again."""

import argparse
import json
from pathlib import Path

from core.errors import InputError

HELP = "train a segmenter on a data folder, or measure a trained one on its held-out cases"
NAMES = ("chest-xray", "nuclei", "ultrasound-nerve", "hippocampus")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data set's folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write; an interrupted training goes on")
    parser.add_argument("--evaluate", type=Path, metavar="DIR", help="do not train: measure this segmenter folder")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the weights and the order (default 0)")
    parser.add_argument("--epochs", type=int, help="epochs instead of the recipe's")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")


def run(args: argparse.Namespace) -> None:
    """Train or evaluate; print the metrics on the held-out cases as JSON."""
    from core.imaging.training.run import evaluate_folder, train_segmenter
    from core.progress import terminal_bar

    if (args.out is None) == (args.evaluate is None):
        raise InputError("train-segmenter needs either --out or --evaluate", "give one of the two")
    if (args.epochs is not None and args.epochs < 1) or args.threads < 1 or args.seed < 0:
        raise InputError("--epochs and --threads must be at least 1 and --seed at least 0", "give other numbers")
    if args.evaluate:
        with terminal_bar(f"measure {args.name}") as progress:
            metrics = evaluate_folder(args.name, args.data, args.evaluate, args.seed, args.threads, progress)
    else:
        with terminal_bar(f"train {args.name}", "step") as progress:
            card = train_segmenter(args.name, args.data, args.out, args.seed, args.epochs, args.threads, progress)
        metrics = card["metrics"]
    print(json.dumps(metrics, indent=2))
