"""The EHRSHOT release (Wornow et al. 2023) to MEDS.

Read are ``data/ehrshot.csv`` (patient_id, start, end, code, value, unit, visit_id, omop_table),
``splits/person_id_map.csv`` and ``benchmark/<task>/labeled_patients.csv`` with ``all_shots_data.json`` beside it;
columns by name, in any order. Codes stay as they are: birth is ``SNOMED/3950001``. Events of one time keep the order
of the file.
"""

import shutil
from collections import Counter
from pathlib import Path

import polars as pl

from core.ehr.concepts import concept_files, describe_codes, sibling_table
from core.ehr.importers.cells import parse_integers, parse_times, typed_events
from core.ehr.importers.event_writer import EventWriter, Written
from core.ehr.importers.labelling import add_labels
from core.ehr.importers.report import ImportReport
from core.ehr.index import load_index
from core.ehr.meds_layout import (
    created_now,
    new_dataset,
    write_codes,
    write_dataset_json,
    write_labels,
    write_splits,
)
from core.ehr.tables import MALFORMED, TableFile, check_not_cut, table_file
from core.ehr.vocabulary import Vocabulary, coverage
from core.errors import InputError
from core.progress import Progress, silent
from core.settings import get_settings
from core.wording import counted

_REQUIRED = ("patient_id", "start", "code")
_OPTIONAL = ("end", "value", "unit", "visit_id", "omop_table")
_SPLITS = {"train": "train", "val": "tuning", "test": "held_out", "tuning": "tuning", "held_out": "held_out"}
_BYTES_PER_ROW = 60
NO_DESCRIPTIONS = "without a CONCEPT.csv (--concepts) codes have no descriptions, and these are what the model reads"
SHOTS_FILES = ("all_shots_data.json", "few_shots_data.json", "long_shots_data.json")
_FINDING_BITS = 14


def import_ehrshot(
    source: str | Path, dest: str | Path, concepts: str | Path | None = None, progress: Progress | None = None
) -> ImportReport:
    """Import an EHRSHOT release into a new MEDS dataset.

    Args:
        source: the release's folder (EHRSHOT_ASSETS), or a folder that holds it.
        dest: the dataset to write; one that Chartlight wrote there before is replaced.
        concepts: an Athena CONCEPT.csv, or the folder that holds it, to describe the codes; the default is a
            CONCEPT.csv in the source folder, then the setting ``CHARTLIGHT_CONCEPTS``.
        progress: called with bytes read.

    Raises:
        InputError: the source is missing, cut short or has other columns, or ``dest`` cannot be written.
    """
    progress = progress or silent
    root, events_path = find_release(Path(source).expanduser())
    dest = Path(dest).expanduser()
    vocabulary_source = _concepts(root, concepts)
    if vocabulary_source is not None:
        concept_files(vocabulary_source)  # a wrong path is known before the work
    file = table_file(events_path)
    notes = [] if vocabulary_source else [NO_DESCRIPTIONS]
    if not events_path.name.endswith(".gz") and not check_not_cut(events_path, events_path.name):
        notes.append(f"{events_path.name} does not end with a line break; if it was cut, copy it again")
    rejected: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    with new_dataset(dest) as folder:
        rows, written = _import_events(file, folder, rejected, repaired, progress)
        counts, subjects = written.counts, written.subjects
        progress(file.size, file.size, "describing codes")
        codes = _describe(counts["code"].to_list(), vocabulary_source)
        write_codes(folder, codes)
        labels_rejected: Counter[str] = Counter()
        notes += _import_splits(root, folder, subjects)
        labels = _import_labels(root, folder, subjects, labels_rejected)
        computed, missing, label_notes = add_labels(folder, labels, lambda note: progress(file.size, file.size, note))
        if computed:
            notes.append(f"the release has no labels for {', '.join(computed)}: computed by the EHRSHOT definitions")
        write_dataset_json(folder, dest.name, "import-ehrshot", created_at=created_now())
        described = codes.drop_nulls("description")["code"].to_list()
        report = ImportReport(
            dest=dest,
            subjects=len(subjects),
            rows_read=rows,
            rows_kept=written.events,
            rejected=dict(rejected),
            repaired=dict(repaired),
            events=written.events,
            coverage=coverage(counts, Vocabulary(dict.fromkeys(described, ""))),
            labels=labels | computed,
            labels_rejected=dict(labels_rejected),
            tasks_missing=missing,
            notes=notes + label_notes,
        )
        report.save(folder)
    load_index(dest)  # so that the first page view does not wait for it
    return report


def find_release(source: Path) -> tuple[Path, Path]:
    """The release's root folder and its events file.

    Raises:
        InputError: there is no ``data/ehrshot.csv`` there.
    """
    if not source.exists():
        raise InputError(f"there is no {source}", "give the folder of the EHRSHOT release")
    roots = [source.parent] if source.name == "data" else [source, source / "EHRSHOT_ASSETS"]
    for root in roots:
        for name in ("data/ehrshot.csv", "data/ehrshot.csv.gz", "ehrshot.csv"):
            if (root / name).is_file():
                return root, root / name
    raise InputError(
        f"{source} holds no data/ehrshot.csv",
        "give the unpacked EHRSHOT release, the folder that has data, splits, benchmark",
    )


def _concepts(root: Path, concepts: str | Path | None) -> Path | None:
    if concepts is not None:
        return Path(concepts).expanduser()
    beside = (root / name for name in ("CONCEPT.csv", "concept.csv"))
    return next((path for path in beside if path.is_file()), get_settings().concepts)


def _describe(codes: list[str], concepts: Path | None) -> pl.DataFrame:
    """The rows of ``codes.parquet``."""
    if concepts is None:
        return pl.DataFrame({"code": codes, "description": pl.Series([None] * len(codes), dtype=pl.String)})
    relationships, ancestors = (sibling_table(concepts, f"concept_{name}") for name in ("relationship", "ancestor"))
    return describe_codes(codes, concept_files(concepts), relationships, ancestors)


def _import_events(
    file: TableFile, folder: Path, rejected: Counter[str], repaired: Counter[str], progress: Progress
) -> tuple[int, Written]:
    """Return the rows read and what was written."""
    read = 0

    def position(done: int) -> None:
        progress(min(done, file.size), file.size, "reading events")

    with EventWriter(folder, file.size // _BYTES_PER_ROW, grouped=True) as writer:
        for batch in file.batches(_REQUIRED, _OPTIONAL, rejected, position):
            read += batch.height
            frame = batch.rename({"patient_id": "subject_id", "omop_table": "table"})
            writer.add(typed_events(frame, rejected, repaired))
        written = writer.finish(lambda note: progress(file.size, file.size, note))
    if not written.events:
        raise InputError(
            f"{file.name} holds no usable row"
            + "".join(f"; {n:,} rejected because {reason}" for reason, n in rejected.most_common(2)),
            "give a file of EHRSHOT's format",
        )
    return read + rejected[MALFORMED], written


def _import_splits(root: Path, folder: Path, subjects: pl.Series) -> list[str]:
    path = root / "splits" / "person_id_map.csv"
    if not path.is_file():
        return ["the release has no splits/person_id_map.csv, so the dataset has no splits"]
    batches = list(table_file(path).batches(("split", "omop_person_id")))
    if not batches:
        return [f"{path.name} is empty, so the dataset has no splits"]
    frame = pl.concat(batches)
    splits = pl.DataFrame(
        {
            "subject_id": parse_integers(frame["omop_person_id"]),
            "split": frame["split"].str.strip_chars().str.to_lowercase().replace_strict(_SPLITS, default=None),
        }
    ).unique(maintain_order=True)
    bad = splits.filter(pl.any_horizontal(pl.all().is_null())).height
    splits = splits.drop_nulls()
    twice = splits.filter(pl.col("subject_id").is_duplicated())
    if twice.height:
        raise InputError(
            f"{path.name} puts subject {twice['subject_id'][0]} in two splits", "keep one split for each subject"
        )
    strangers = splits.filter(~pl.col("subject_id").is_in(subjects.implode())).height
    write_splits(folder, splits.filter(pl.col("subject_id").is_in(subjects.implode())))
    notes = [f"{counted(bad, 'row')} of {path.name} without a known split or subject id"] if bad else []
    return notes + ([f"{counted(strangers, 'subject')} of {path.name} without events"] if strangers else [])


def _import_labels(root: Path, folder: Path, subjects: pl.Series, rejected: Counter[str]) -> dict[str, int]:
    written = {}
    for path in sorted((root / "benchmark").glob("*/labeled_patients.csv")):
        task = path.parent.name
        labels = read_labels(path, rejected)
        unknown = ~labels["subject_id"].is_in(subjects.implode())
        rejected[f"{task}: subject has no events"] += int(unknown.sum())
        write_labels(folder, task, labels.filter(~unknown))
        written[task] = int((~unknown).sum())
        for name in SHOTS_FILES:
            if (path.parent / name).is_file():
                shutil.copyfile(path.parent / name, folder / "labels" / task / name)
    return written


def read_labels(path: Path, rejected: Counter[str]) -> pl.DataFrame:
    """Read a ``labeled_patients.csv``: ``subject_id``, ``prediction_time``, ``value`` by the file's ``label_type``.

    boolean gives bool; categorical, integer and numeric whole numbers give int64; other numbers float32. The integers
    of ``chexpert`` are 14 bits, 0 to 16383.
    """
    task = path.parent.name
    malformed: Counter[str] = Counter()
    parts = list(table_file(path).batches(("patient_id", "prediction_time", "value"), ("label_type",), malformed))
    frame = (
        pl.concat(parts)
        if parts
        else pl.DataFrame(schema=dict.fromkeys(("patient_id", "prediction_time", "value", "label_type"), pl.String))
    )
    rejected[f"{task}: {MALFORMED}"] += malformed[MALFORMED]
    text = frame["value"].cast(pl.String).str.strip_chars().str.to_lowercase()
    kinds = set(frame["label_type"].drop_nulls().str.to_lowercase().unique().to_list())
    truth = text.replace_strict(
        {"true": True, "false": False, "1.0": True, "0.0": False, "1": True, "0": False},
        default=None,
        return_dtype=pl.Boolean,
    )
    if kinds <= {"boolean"} and (kinds or truth.null_count() == 0):
        value: pl.Series = truth
    else:
        value = parse_integers(text)
        number = text.cast(pl.Float64, strict=False)
        if kinds & {"numeric", "float", "regression"} and value.null_count() > number.null_count():
            value = number.cast(pl.Float32)
    if task == "chexpert":
        value = value.set((value < 0) | (value >= 1 << _FINDING_BITS), None)
    labels = pl.DataFrame(
        {
            "subject_id": parse_integers(frame["patient_id"]),
            "prediction_time": parse_times(frame["prediction_time"]),
            "value": value,
        }
    )
    rejected[f"{task}: unreadable subject, time or value"] += labels.filter(
        pl.any_horizontal(pl.all().is_null())
    ).height
    return labels.drop_nulls()
