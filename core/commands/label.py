"""``python -m core label DATASET``: compute the EHRSHOT labels of a dataset that has none."""

import argparse
from pathlib import Path

HELP = "compute the labels of the EHRSHOT tasks and write them into a MEDS dataset's labels folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="MEDS dataset folder; its data stay untouched")
    parser.add_argument("--tasks", default="", metavar="A,B", help="task ids (default: all that have no labels yet)")
    parser.add_argument("--emergency", action="store_true", help="count emergency visits as hospital stays too")


def run(args: argparse.Namespace) -> None:
    """Compute, write task by task, and say what the data cannot carry."""
    import shutil

    from core.ehr.label_codes import INPATIENT_CODES
    from core.ehr.labels import compute_labels
    from core.ehr.meds_layout import write_labels
    from core.ehr.store import open_dataset
    from core.ehr.tasks import TASKS
    from core.errors import InputError
    from core.files import alone
    from core.progress import terminal_bar
    from core.wording import counted

    dataset = open_dataset(args.dataset)
    named = [task.strip() for task in args.tasks.split(",") if task.strip()]
    have = [task for task in named if task in dataset.tasks()]
    if have:
        raise InputError(
            f"{dataset.name} has labels for {have[0]} already", "name other tasks or move its folder away"
        )
    wanted = named or [task.id for task in TASKS if task.id not in dataset.tasks()]
    if not wanted:
        print("all tasks have labels already")
        return
    admissions = (*INPATIENT_CODES, "Visit/ER") if args.emergency else INPATIENT_CODES
    part = args.dataset / ".labels.partial"
    with alone(args.dataset / ".labels.lock", args.dataset / "labels"):
        with terminal_bar("Labels", unit="task") as progress:
            computed = compute_labels(dataset, wanted, admissions=admissions, progress=progress)
        try:
            for task, labels in computed.labels.items():
                write_labels(part, task, labels)
            for task in computed.labels:
                (args.dataset / "labels").mkdir(exist_ok=True)
                (part / "labels" / task).rename(args.dataset / "labels" / task)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    for task, labels in computed.labels.items():
        positive = int((labels["value"].cast(int) > 0).sum())
        print(f"{task}: {counted(labels.height, 'label')}, {positive:,} positive")
        if task in computed.notes:
            print(f"  {computed.notes[task]}")
    for task, reason in computed.missing.items():
        print(f"{task}: no labels: {reason}")
