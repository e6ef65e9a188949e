"""`python -m core score`: the risk scores of one patient at one time."""

import argparse
from pathlib import Path

HELP = "score one patient at one time on the tasks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="MEDS dataset")
    parser.add_argument("--subject", type=int, required=True, metavar="ID")
    parser.add_argument("--at", required=True, metavar="ISO_TIME", help="prediction time, e.g. 2019-05-01T23:59")
    parser.add_argument("--tasks", metavar="A,B", help="tasks (default: all that have a head)")
    parser.add_argument("--encoder", metavar="NAME", help="encoder (default: the one of the settings)")
    parser.add_argument("--heads", type=Path, metavar="DIR", help="folder of heads (default: the encoder's)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Print the scores as a table or JSON."""
    import json
    from datetime import datetime

    from core.ehr.store import open_dataset
    from core.ehr.task_scope import outside_definitions
    from core.ehr.timepoints import labels_by_subject, labels_of, tasks_labelled_at
    from core.embedding.cache import EmbeddingCache
    from core.embedding.encoders import load_encoder
    from core.errors import InputError, MissingError
    from core.risk.documents import scores_document
    from core.risk.heads import load_heads
    from core.risk.report_table import scores_text
    from core.risk.score import score_subject
    from core.risk.subtasks import parse_tasks
    from core.safety import NOTICE
    from core.settings import get_settings

    try:
        at = datetime.fromisoformat(args.at)
    except ValueError:
        raise InputError(f"{args.at!r} is not an ISO time", "write it like 2019-05-01T23:59") from None
    if at.tzinfo is not None:
        raise InputError(f"{args.at!r} has a time zone", "give the record's own local time without zone")
    tasks = parse_tasks(args.tasks) if args.tasks else None
    dataset = open_dataset(args.dataset)
    events = dataset.events(args.subject)  # an unknown subject is told before a model is loaded
    settings = get_settings()
    name = args.encoder or settings.encoder
    folder = args.heads or settings.heads / name
    try:
        heads = load_heads(folder)
    except MissingError as error:
        made_by = f"python -m core train-heads {folder} --dataset DATASET --encoder {name}"
        raise MissingError(error.what, f"name their folder with --heads, or make them: {made_by}") from None
    scores = score_subject(dataset, args.subject, at, load_encoder(name), heads, tasks, EmbeddingCache())
    labelled = tasks_labelled_at(labels_of(labels_by_subject(dataset), args.subject), at)
    found = outside_definitions(events, at, dataset.vocabulary, labelled)
    outside = {task: why.text(lambda time: f"{time:%Y-%m-%d}") for task, why in found.items()}
    if args.json:
        document = scores_document(dataset, args.subject, at.isoformat(), scores, outside)
        print(json.dumps(document, indent=1, ensure_ascii=False))
        return
    print(scores_text(dataset, scores, outside))
    print(f"\n{NOTICE}")
