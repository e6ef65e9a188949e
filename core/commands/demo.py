"""``python -m core demo DEST``: write the synthetic demo cohort."""

import argparse
from pathlib import Path

HELP = "write the synthetic demo cohort (MEDS, labels of all 15 tasks)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder to write")
    parser.add_argument("--subjects", type=int, default=2000, metavar="N", help="number of subjects (default 2000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed (default 0); one seed, one cohort")


def run(args: argparse.Namespace) -> None:
    """Generate the cohort and say what it holds."""
    from core.ehr.demo import generate_demo
    from core.ehr.store import open_dataset
    from core.progress import terminal_bar

    with terminal_bar("Demo cohort", unit="subject") as progress:
        generate_demo(args.dest, subjects=args.subjects, seed=args.seed, progress=progress)
    dataset = open_dataset(args.dest)
    print(f"{args.dest}: {dataset.n_subjects} synthetic subjects, {dataset.n_events} events")
    for task in dataset.tasks():
        print(f"  {task}: {dataset.labels(task).height} labels")
