"""`python -m core benchmark`: the EHRSHOT benchmark on one dataset."""

import argparse
from pathlib import Path
from typing import Any

HELP = "run the EHRSHOT benchmark: heads on features, full data and few-shot, with intervals and a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="MEDS dataset with labels and splits")
    parser.add_argument(
        "--features", action="append", default=[], metavar="[NAME=]PATH", help="features of `embed` (repeatable)"
    )
    parser.add_argument("--clmbr", type=Path, metavar="FILE", help="precomputed CLMBR features (.npz or .parquet)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; a stopped run goes on")
    parser.add_argument("--tasks", metavar="A,B", help="tasks (default: all that the dataset has)")
    parser.add_argument(
        "--shots",
        action="append",
        default=[],
        metavar="[MODEL=]K,K|all|paper",
        help="shots per class: numbers, all, or paper for the paper's list and all; repeat with MODEL= for a model "
        "that has its own, e.g. --shots paper --shots count:gbm=8,all",
    )
    parser.add_argument(
        "--models",
        metavar="NAME,...",
        help="of the given features, count, count:gbm, count:lr_lbfgs, clmbr, A+B (joined)",
    )
    parser.add_argument(
        "--ablate",
        action="append",
        default=[],
        metavar="NAME=V,V",
        help="context, chunk, instruction, sections, lookback, "
        "strategy, profile or encoder (repeatable), e.g. context=512,1024",
    )
    parser.add_argument(
        "--ablate-shots", metavar="K,K|all|paper", default="all", help="shots of the ablations (default: all data)"
    )
    parser.add_argument("--encoder", metavar="NAME", help="encoder of the ablations (default: the settings')")
    parser.add_argument("--paper-exact", action="store_true", help="reproduce the quirks of the paper's code")
    parser.add_argument("--shots-data", type=Path, metavar="DIR", help="folder with <task>/all_shots_data.json")
    parser.add_argument(
        "--replicates", type=int, default=1000, metavar="N", help="bootstrap replicates (default 1000)"
    )
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Run, write the tables and the report, print the macro values."""
    from core.ehr.store import open_dataset
    from core.errors import InputError
    from core.progress import terminal_bar
    from core.risk.fewshot import parse_shots, parse_shots_by_model
    from core.risk.models import choose_models
    from core.risk.report import write_report
    from core.risk.report_table import groups_text
    from core.risk.run_record import command_line
    from core.risk.runner import RunOptions, load_labels, run_benchmark
    from core.risk.subtasks import parse_tasks
    from core.wording import counted

    if args.replicates < 20:
        raise InputError(f"{args.replicates} bootstrap replicates are too few", "give 20 or more")
    check_paths(args)
    shots, shots_of = parse_shots_by_model(args.shots)
    dataset = open_dataset(args.dataset)
    tasks = parse_tasks(args.tasks) if args.tasks else parse_tasks(None)
    if not args.tasks:
        tasks = [task for task in tasks if task in dataset.tasks()]
    labels, problems = load_labels(dataset, tasks)
    if not labels:
        raise InputError(
            f"{dataset.name} has no labels for {', '.join(tasks) if args.tasks else 'any task'} that can be used",
            f"name a task that it has ({', '.join(dataset.tasks()) or 'none'}), or compute labels: "
            f"python -m core label {args.dataset}",
        )
    problems += other_records(dataset, args.features)
    ablation_shots = tuple(parse_shots(args.ablate_shots))
    features = choose_models(
        dataset,
        labels,
        args.features,
        args.clmbr,
        args.models,
        args.ablate,
        args.encoder,
        problems,
        ablation_shots,
        shots_of,
    )
    options = RunOptions(tuple(shots), args.paper_exact, args.replicates, args.seed, args.shots_data)
    with terminal_bar("benchmark", "units") as progress:
        result = run_benchmark(
            dataset, features, args.out, tasks, options, progress, labels, problems, command_line(args.words)
        )
    path = write_report(result, args.out, dataset.name)
    print(groups_text(result.groups) if result.groups.height else "No model could be evaluated; the notes say why.")
    for problem in result.problems:
        print(f"note: {problem.task}: {problem.message}")
    print(f"\n{counted(result.computed, 'unit')} computed, {result.reused} reused. Report: {path}")


def check_paths(args: argparse.Namespace) -> None:
    """Refuse a path with nothing there. A damaged file stops its model alone, but a slip of the hand is told at once.

    Raises:
        InputError: there is nothing at one of the paths.
    """
    from core.errors import InputError

    named = [("--features", Path(text.rpartition("=")[2])) for text in args.features]
    named += [("--clmbr", args.clmbr), ("--shots-data", args.shots_data)]
    for option, path in named:
        if path is not None and not path.exists():
            raise InputError(f"there is no {path}", f"check the path that {option} names")


def other_records(dataset: Any, features: list[str]) -> list[Any]:
    """A problem for each features folder that says it was made from other records than the dataset's."""
    from core.ehr.content import records_sha256
    from core.embedding.features import MANIFEST, read_json
    from core.errors import ChartlightError
    from core.risk.cohort import Problem

    found, own = [], ""
    for text in features:
        name, _, path = text.rpartition("=")
        try:
            manifest = read_json(Path(path) / MANIFEST)
        except (ChartlightError, OSError):  # not of `embed`, or damaged: told where it is read
            continue
        made_from = manifest.get("records_sha256")
        own = own or (records_sha256(dataset) if made_from else "")  # once: it reads all events
        if made_from and made_from != own:
            message = (
                f"the features {path} were made from other records ({manifest.get('dataset')}) than those of "
                f"{dataset.name}: other events, or other descriptions of codes"
            )
            found.append(Problem(name or Path(path).name, "other_records", 0, message))
    return found
