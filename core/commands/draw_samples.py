"""``python -m core draw-samples DEST``: draw sample images with their truth."""

import argparse
from pathlib import Path

HELP = "draw sample images (phantoms) with their truth, for a radiograph, ultrasound, microscopy and MR"
KINDS = ("radiograph", "ultrasound", "microscopy", "brain")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder to write PNG and JSON files into")
    parser.add_argument("--kind", choices=KINDS, help="only this kind (default: the samples of the app)")
    parser.add_argument("--seed", type=int, default=0, help="first seed, with --kind (default 0)")
    parser.add_argument("--count", type=int, default=1, help="how many, with --kind (default 1)")


def run(args: argparse.Namespace) -> None:
    """Draw and print the files' names."""
    from core.errors import InputError
    from core.imaging.samples import SEEDS, write_samples

    if args.seed < 0 or args.count < 1:
        raise InputError("--seed must be at least 0 and --count at least 1", "give other numbers")
    if args.dest.exists() and not args.dest.is_dir():
        raise InputError(f"{args.dest} is a file", "name a folder")
    seeds = [(args.kind, seed) for seed in range(args.seed, args.seed + args.count)] if args.kind else SEEDS
    wanted = {f"{kind}-{seed}" for kind, seed in seeds}
    for sample in write_samples(args.dest, seeds):
        if sample.name in wanted:
            print(f"{sample.image.name}\t{sample.title}\t{sample.model}")
