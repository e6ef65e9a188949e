"""``python -m core check DATASET``."""

import argparse

HELP = "check a dataset: MEDS schema, vocabulary coverage, labels and splits, leakage"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", metavar="DATASET", help="MEDS dataset folder")
    parser.add_argument(
        "--concepts", metavar="CONCEPT.csv", help="Athena CONCEPT.csv for codes that the dataset does not describe"
    )
    parser.add_argument(
        "--sample", type=int, default=20, metavar="N", help="records per task that are searched for leaks (default 20)"
    )


def run(args: argparse.Namespace) -> None:
    """Print the findings; errors in the dataset itself give exit status 2."""
    from core.ehr.checks import check_dataset
    from core.errors import InputError
    from core.progress import terminal_bar
    from core.wording import counted

    if args.sample < 0:
        raise InputError(f"--sample {args.sample} is negative", "give 0 or more")
    with terminal_bar("check", unit="step") as progress:
        report = check_dataset(args.dataset, args.concepts, args.sample, progress)
    print(*report.lines(), sep="\n")
    if report.broken:
        raise InputError(
            f"{counted(report.broken, 'error')} in {report.dataset.name}",
            "mend what the lines `error:` above name",
        )
