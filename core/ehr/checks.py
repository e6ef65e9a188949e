"""What is wrong, odd or leaking in a dataset: schema, invariants, coverage, labels and splits, leakage."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import meds
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from flexible_schema import PyArrowSchema, SchemaValidationError

from core.ehr.index import check_columns, list_shards, naive_time, parquet_files
from core.ehr.leakage import RULES, find_leaks
from core.ehr.markdown import serialize
from core.ehr.meds_layout import read_dataset_json
from core.ehr.store import Dataset, open_dataset
from core.ehr.tasks import TASK_BY_ID
from core.ehr.vocabulary import Coverage, coverage
from core.errors import InputError
from core.progress import Progress, silent
from core.wording import counted

Level = Literal["error", "warning", "note"]
_TEXT = (pa.string(), pa.large_string(), pa.string_view())
LEAK_SAMPLE = 20
"""Labels per task whose records are looked at for leaks."""


@dataclass(frozen=True)
class CheckFinding:
    """One finding.

    Attributes:
        level: ``error`` (breaks MEDS or tells the future), ``warning`` (works, but mind it) or ``note``.
        rule: short name ("schema", "split", a leakage rule ...).
        message: what and how many, in a sentence.
    """

    level: Level
    rule: str
    message: str


@dataclass(frozen=True)
class CheckReport:
    """The findings on a dataset, the worst first, with its size and vocabulary coverage."""

    dataset: Dataset
    findings: list[CheckFinding]
    coverage: list[Coverage]

    @property
    def broken(self) -> int:
        """Number of errors in the dataset itself. A leak is an error of a record, and the dataset may be sound."""
        return sum(finding.level == "error" and finding.rule not in RULES for finding in self.findings)

    def lines(self) -> Iterator[str]:
        """The report as text, line by line."""
        size = f"{counted(self.dataset.n_subjects, 'subject')}, {counted(self.dataset.n_events, 'event')}"
        yield f"{self.dataset.name}: {size}"
        for item in self.coverage:
            tenths = 1000 * item.events_described // max(1, item.events)  # cut off: 100% is all
            yield (
                f"  {item.vocabulary}: {item.described:,} of {item.codes:,} codes described ({tenths / 10}% of events)"
            )
        yield from (f"{finding.level}: {finding.rule}: {finding.message}" for finding in self.findings)
        if not self.findings:
            yield "no findings"


def check_dataset(
    path: str | Path, concepts: str | Path | None = None, sample: int = LEAK_SAMPLE, progress: Progress | None = None
) -> CheckReport:
    """Check a dataset in the MEDS layout.

    Args:
        path: its folder.
        concepts: an Athena CONCEPT.csv for codes that the dataset leaves undescribed.
        sample: labels per task whose records are searched for leaks; 0 for none.
        progress: called with steps done.

    Raises:
        InputError: it cannot be opened at all.
    """
    progress = progress or silent
    dataset = open_dataset(path, concepts, progress)
    progress(1, 5, "schema")
    findings = [*_schema_findings(dataset), *_metadata_findings(dataset)]
    progress(2, 5, "events")
    counts, more = _event_findings(dataset)
    covered = coverage(counts, dataset.vocabulary)
    findings += more + _code_findings(dataset, counts)
    progress(3, 5, "labels and splits")
    findings += [*_split_findings(dataset), *_label_findings(dataset)]
    progress(4, 5, "leakage")
    findings += _leak_findings(dataset, sample) if sample else []
    progress(5, 5, "")
    order = ("error", "warning", "note")
    return CheckReport(dataset, sorted(findings, key=lambda finding: order.index(finding.level)), covered)


def _schema_findings(dataset: Dataset) -> Iterator[CheckFinding]:
    """Each kind of schema trouble once, with the number of files."""
    wrong: Counter[str] = Counter()
    for shard in list_shards(dataset.path):
        schema = check_columns(dataset.path / shard.path)
        if reason := _mismatch(meds.DataSchema, schema):
            wrong[reason] += 1
    for reason, n in wrong.items():
        yield CheckFinding("warning", "schema", f"{counted(n, 'event file')} unlike the MEDS schema: {reason}")


def _mismatch(schema: type[PyArrowSchema], actual: pa.Schema) -> str:
    """Why a file's schema is not MEDS's, or "". Text is text, whatever the width of its offsets."""
    expected = schema.schema()
    for i, field in enumerate(actual):
        wanted = expected.field(field.name).type if field.name in expected.names else None
        lists = wanted == pa.list_(pa.string()) and field.type == pa.large_list(pa.large_string())
        if lists or (wanted in _TEXT and field.type in _TEXT):
            actual = actual.set(i, field.with_type(wanted))
    try:
        schema.validate(actual)
        return ""
    except SchemaValidationError as error:
        return str(error)


def _metadata_findings(dataset: Dataset) -> Iterator[CheckFinding]:
    files = [
        (dataset.path / meds.code_metadata_filepath, meds.CodeMetadataSchema),
        (dataset.path / meds.subject_splits_filepath, meds.SubjectSplitSchema),
        *((path, meds.LabelSchema) for path in parquet_files(dataset.path / "labels")),
    ]
    for path, schema in files:
        name = path.relative_to(dataset.path).as_posix()
        if not path.is_file():
            yield CheckFinding("warning", "schema", f"there is no {name}")
            continue
        try:
            reason = _mismatch(schema, pq.read_schema(path))
        except (OSError, pa.ArrowException) as error:
            yield CheckFinding("error", "schema", f"{name} cannot be read: {str(error).splitlines()[0][:120]}")
            continue
        if reason:
            yield CheckFinding("warning", "schema", f"{name} differs from the MEDS schema: {reason}")
    record = read_dataset_json(dataset.path)
    if not record:
        yield CheckFinding("note", "schema", f"there is no readable {meds.dataset_metadata_filepath}")
    version = str(record.get("meds_version") or meds.__version__)
    if version.split(".")[:2] != meds.__version__.split(".")[:2]:
        yield CheckFinding("note", "schema", f"written for MEDS {version}, read as {meds.__version__}")


def _event_findings(dataset: Dataset) -> tuple[pl.DataFrame, list[CheckFinding]]:
    """Events per code (``code``, ``n``), and findings on times, values and order."""
    findings = []
    if dataset.n_rejected:
        findings.append(
            CheckFinding(
                "warning",
                "time",
                f"{counted(dataset.n_rejected, 'row')} left out: no code, or a time outside 1850 to 2300",
            )
        )
    unsorted = infinite = 0
    counts = []
    for shard in list_shards(dataset.path):
        path = dataset.path / shard.path
        schema = check_columns(path)
        columns = [pl.col("subject_id"), naive_time(schema, "time"), pl.col("code").cast(pl.String)]
        if "numeric_value" in schema.names:
            columns.append(pl.col("numeric_value").cast(pl.Float32, strict=False))  # as the store reads it
        frame = pl.scan_parquet(path, glob=False).select(columns)
        earlier = (pl.col("time") < pl.col("time").shift(1)) & (pl.col("subject_id") == pl.col("subject_id").shift(1))
        late_null = (
            pl.col("time").is_null()
            & pl.col("time").shift(1).is_not_null()
            & (pl.col("subject_id") == pl.col("subject_id").shift(1))
        )
        bad = ~pl.col("numeric_value").is_finite() if "numeric_value" in schema.names else pl.lit(False)
        row = frame.select(unsorted=(earlier | late_null).sum(), infinite=bad.sum()).collect().row(0)
        unsorted, infinite = unsorted + int(row[0] or 0), infinite + int(row[1] or 0)
        counts.append(frame.group_by("code").agg(n=pl.len()).collect(engine="streaming"))
    if unsorted:
        findings.append(
            CheckFinding(
                "warning", "order", f"{counted(unsorted, 'event')} before an earlier one; all are read in order"
            )
        )
    if infinite:
        findings.append(
            CheckFinding("warning", "value", f"{counted(infinite, 'value')} NaN or infinite, read as missing")
        )
    if not counts:
        findings.append(CheckFinding("warning", "empty", "the dataset has no events"))
        return pl.DataFrame(schema={"code": pl.String, "n": pl.UInt32}), findings
    total = pl.concat(counts).drop_nulls("code").group_by("code").agg(pl.col("n").sum())
    return total, findings


def _code_findings(dataset: Dataset, counts: pl.DataFrame) -> list[CheckFinding]:
    unknown = counts.filter(~pl.col("code").is_in(list(dataset.vocabulary.descriptions))).sort("n", descending=True)
    if not unknown.height:
        return []
    tenths = -(-1000 * int(unknown["n"].sum()) // max(1, int(counts["n"].sum())))  # rounded up: 0% is none
    most = ", ".join(unknown["code"].head(3).to_list())
    return [
        CheckFinding(
            "warning",
            "coverage",
            f"{counted(unknown.height, 'code')} ({tenths / 10}% of the events) without a description, "
            f"for example {most}; "
            "name an Athena CONCEPT.csv with --concepts",
        )
    ]


def _split_findings(dataset: Dataset) -> Iterator[CheckFinding]:
    splits = dataset.splits()
    if splits.is_empty():
        yield CheckFinding("warning", "split", "there are no splits, so no head can be trained or judged on it")
        return
    twice = splits.filter(pl.col("subject_id").is_duplicated())["subject_id"].n_unique()
    if twice:
        yield CheckFinding("error", "split", f"{counted(twice, 'subject')} in two splits")
    ids = dataset.index.table.select("subject_id")
    without = ids.join(splits, on="subject_id", how="anti").height
    strangers = splits.join(ids, on="subject_id", how="anti").height
    if without:
        yield CheckFinding("warning", "split", f"{counted(without, 'subject')} without a split")
    if strangers:
        yield CheckFinding("note", "split", f"{counted(strangers, 'subject')} of the splits without events")
    names = sorted(set(splits["split"].to_list()) - {"train", "tuning", "held_out"})
    if names:
        yield CheckFinding(
            "warning", "split", f"splits are called {', '.join(names)}; expected train, tuning, held_out"
        )


def _label_findings(dataset: Dataset) -> Iterator[CheckFinding]:
    if not dataset.tasks():
        yield CheckFinding("note", "label", "there are no labels")
    spans = dataset.index.table.select("subject_id", "birth", "first", "last")
    for task in dataset.tasks():
        try:
            labels = dataset.labels(task)
        except InputError as error:
            yield CheckFinding("error", "label", f"{task}: {error.what}")
            continue
        joined = labels.join(spans, on="subject_id", how="left")
        at = pl.col("prediction_time")
        figures = joined.select(
            strangers=(~pl.col("subject_id").is_in(spans["subject_id"].implode())).sum(),
            before=(at < pl.coalesce("birth", "first")).sum(),
            after=(at > pl.col("last").dt.offset_by("1d")).sum(),
        ).row(0, named=True)
        keys = ["subject_id", "prediction_time"]
        conflicts = labels.group_by(keys).agg(pl.col("value").n_unique()).filter(pl.col("value") > 1).height
        for n, level, what, text in (
            (figures["strangers"], "warning", "label", "of subjects without events"),
            (figures["before"], "warning", "label", "before birth or the first event"),
            (figures["after"], "note", "label", "after the subject's last event"),
            # by the tasks' definitions, of a test repeated within a minute or two stays begun on one day
            (conflicts, "warning", "time", "with two different labels of a subject, which the benchmark leaves out"),
        ):
            if n:
                yield CheckFinding(level, "label", f"{task}: {counted(n, what)} {text}")  # type: ignore[arg-type]


def _leak_findings(dataset: Dataset, sample: int) -> list[CheckFinding]:
    """Serialise the records of some labels of every known task as the app does, and search them for leaks."""
    findings = []
    known = set(dataset.index.subject_ids.tolist())
    for task in (name for name in dataset.tasks() if name in TASK_BY_ID):
        try:
            labels = dataset.labels(task)
        except InputError:
            continue
        labels = labels.filter(pl.col("subject_id").is_in(list(known)))
        chosen = labels.sample(min(sample, labels.height), seed=0).sort("subject_id", "prediction_time")
        hits: Counter[tuple[str, str]] = Counter()
        looked = 0
        for (subject,), group in chosen.group_by("subject_id", maintain_order=True):
            events = dataset.events(int(subject))
            for at in group["prediction_time"]:
                try:
                    record = serialize(events, at, dataset.vocabulary)
                except InputError:  # a time before birth; counted with the labels
                    continue
                looked += 1
                leaks = find_leaks(events, at, record, TASK_BY_ID[task], dataset.vocabulary)
                hits.update({(leak.rule, leak.severity) for leak in leaks})
        findings += [
            CheckFinding(severity, rule, f"{task}: {n} of {looked} records looked at: {RULES[rule]}")  # type: ignore[arg-type]
            for (rule, severity), n in hits.most_common()
        ]
    return findings
