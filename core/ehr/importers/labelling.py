"""Labels of the EHRSHOT tasks for a dataset that is being imported."""

from collections.abc import Callable, Collection
from pathlib import Path

import meds
import polars as pl

from core.ehr.labels import compute_labels, write_computed_labels
from core.ehr.tasks import TASKS
from core.ehr.vocabulary import load_vocabulary


def add_labels(
    folder: Path, have: Collection[str], say: Callable[[str], None]
) -> tuple[dict[str, int], dict[str, str], list[str]]:
    """Compute and write the labels of all EHRSHOT tasks but those that the source brought.

    Args:
        folder: a dataset with its event files and ``codes.parquet``.
        have: tasks whose labels came with the source; they are left as they are.
        say: called with what is being done.

    Returns:
        Labels written by task, the reason by task without labels, and notes for the reader.
    """
    wanted = [task.id for task in TASKS if task.id not in have]
    if not wanted:
        return {}, {}, []
    files = sorted((folder / meds.data_subdirectory).glob("*.parquet"))
    events = pl.scan_parquet(files, glob=False)  # the folder may be called "release [2]"
    vocabulary = load_vocabulary(folder / meds.code_metadata_filepath)
    computed = compute_labels(events, wanted, vocabulary, progress=lambda *step: say(f"labels {step[2]}"))
    write_computed_labels(folder, computed)
    notes = [f"{task}: {note}" for task, note in computed.notes.items()]
    return {task: labels.height for task, labels in computed.labels.items()}, dict(computed.missing), notes
