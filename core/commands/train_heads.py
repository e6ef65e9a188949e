"""`python -m core train-heads`: fit the risk heads of all tasks on one encoder's embeddings."""

import argparse
from pathlib import Path

HELP = "train the risk heads of all tasks on an encoder's embeddings (the demo cohort by default)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder that the heads and cards are written to")
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="MEDS dataset with labels and splits")
    parser.add_argument("--encoder", metavar="NAME", help="encoder (default: the one of the settings)")
    parser.add_argument("--profile", choices=("corrected", "paper"), default="corrected", help="serialisation profile")
    parser.add_argument("--strategy", choices=("markdown", "recent_codes"), default="markdown")
    parser.add_argument("--tasks", metavar="A,B", help="tasks (default: all)")
    parser.add_argument(
        "--max-labels", type=int, default=2000, metavar="N", help="labels used of each task and split (default 2000)"
    )
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> None:
    """Train, write and print a table of held-out results."""
    from core.ehr.demo import generate_demo
    from core.ehr.markdown import SerializationOptions
    from core.ehr.store import open_dataset
    from core.embedding.cache import EmbeddingCache
    from core.embedding.encoders import load_encoder
    from core.errors import InputError
    from core.progress import terminal_bar
    from core.risk.report_table import heads_table
    from core.risk.run_record import command_line
    from core.risk.subtasks import parse_tasks
    from core.risk.train import TrainingSource
    from core.risk.training_run import TrainingRun
    from core.settings import get_settings

    path = args.dataset or get_settings().demo_path
    if args.dataset is None and not path.is_dir():
        with terminal_bar("demo cohort", "subjects") as progress:
            generate_demo(path, progress=progress)
    dataset = open_dataset(path)
    if args.max_labels < 100:
        raise InputError(f"--max-labels {args.max_labels} is too few to train on", "give 100 or more")
    encoder = load_encoder(args.encoder)
    words = [*args.words] if args.encoder else [*args.words, "--encoder", encoder.spec.name]  # settings may change
    run = TrainingRun(
        dataset,
        encoder,
        SerializationOptions(profile=args.profile, strategy=args.strategy),
        TrainingSource(dataset.name, dataset.synthetic, command_line(words), args.seed),
        EmbeddingCache(),
        parse_tasks(args.tasks),
        args.max_labels,
    )
    with terminal_bar("records", "records") as progress:
        run.embed(progress)
    with terminal_bar("heads", "tasks") as progress:
        trained = run.fit(args.out, progress)
    print(heads_table(trained.heads))
    for problem in [*run.problems, *trained.problems]:
        print(f"note: {problem.task}: {problem.message}")
    if not trained.heads:
        raise InputError("no head could be trained", "give labels of both classes in each split; the notes say more")
