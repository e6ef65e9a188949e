"""``python -m core import ehrshot|omop SRC DEST``."""

import argparse

HELP = "import an EHRSHOT release or OMOP CDM tables into a MEDS dataset"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("format", choices=("ehrshot", "omop"), help="what SRC is")
    parser.add_argument("source", metavar="SRC", help="folder of the source; for omop also a zip")
    parser.add_argument("dest", metavar="DEST", help="dataset folder to write")
    parser.add_argument(
        "--concepts", metavar="CONCEPT.csv", help="Athena CONCEPT.csv, or its folder, that describes the codes"
    )


def run(args: argparse.Namespace) -> None:
    """Import and print the report."""
    from core.ehr.importers.ehrshot import import_ehrshot
    from core.ehr.importers.omop import import_omop
    from core.progress import terminal_bar

    with terminal_bar(f"import {args.format}", unit="B") as progress:
        if args.format == "ehrshot":
            report = import_ehrshot(args.source, args.dest, args.concepts, progress)
        else:
            report = import_omop(args.source, args.dest, args.concepts, progress)
    print(*report.lines(), sep="\n")
