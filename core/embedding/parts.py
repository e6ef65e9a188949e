"""A cohort's work in parts of whole subjects: the records of each, as text and as an encoder's pieces.

A record that no encoder can read (from before it begins, empty in the serialisation, too long) stops nothing: its row
has a kind of :data:`core.ehr.usable_labels.LEFT_OUT` and no vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from core.ehr.chart import BeforeBirthError
from core.ehr.markdown import SerializationOptions, serialize_many
from core.ehr.store import Dataset
from core.ehr.tasks import get_task
from core.ehr.vocabulary import Vocabulary
from core.embedding.cached import AnyEncoder, EmbedStats, plan_texts
from core.embedding.checks import check_text
from core.embedding.encoders import Piece
from core.embedding.features import ALL_TASKS
from core.errors import InputError

ROWS = (64, 1024)  # of a part, at least and at most, unless one subject has more
PARTS = 2000  # of a large cohort


@dataclass(frozen=True)
class Part:
    """A unit of work: the rows (``subject_id``, ``prediction_time``, ``task``) of consecutive subjects."""

    number: int
    rows: pl.DataFrame

    @property
    def file(self) -> str:
        """Name of the part's file."""
        return f"part-{self.number:05d}.parquet"


@dataclass(frozen=True, eq=False)
class PartResult:
    """An embedded part.

    Attributes:
        part: what was asked for.
        left_out: kind by position in ``part.rows``, for the rows without a vector.
        vectors: float32 ``(rows - left out, dimension)``, in the order of the rows.
        stats: what was computed.
    """

    part: Part
    left_out: dict[int, str]
    vectors: np.ndarray
    stats: EmbedStats


def cut_parts(rows: pl.DataFrame) -> list[Part]:
    """Cut rows into parts of whole subjects: small ones, so that little is lost in a kill, but not too many files."""
    size = min(max(len(rows) // PARTS, ROWS[0]), ROWS[1])
    counts = rows.group_by("subject_id", maintain_order=True).len()["len"].to_list()
    parts: list[Part] = []
    start = filled = 0
    for count in counts:
        if filled and filled + count > size:
            parts.append(Part(len(parts), rows[start : start + filled]))
            start, filled = start + filled, 0
        filled += count
    return [*parts, Part(len(parts), rows[start:])] if filled else parts


def kept_rows(rows: pl.DataFrame, left_out: dict[int, str]) -> pl.DataFrame:
    """The rows of a part that are not left out."""
    return rows.filter(~pl.int_range(pl.len()).is_in(list(left_out))) if left_out else rows


def readable_texts(
    events: pl.DataFrame, moments: Sequence[datetime], vocabulary: Vocabulary, options: SerializationOptions
) -> list[tuple[str, str | None]]:
    """One subject's record at each time: the text and None, or "" and why an encoder cannot read it.

    Args:
        events: of the subject.
        moments: prediction times.
        vocabulary: of the dataset.
        options: of the serialisation.
    """
    try:
        records = serialize_many(events, moments, vocabulary, options)
    except BeforeBirthError:
        if len(moments) == 1:
            # the profile paper takes the first event that has a time for the birth, whatever it is
            return [("", "before_first_event" if options.profile == "paper" else "before_birth")]
        return [readable_texts(events, [moment], vocabulary, options)[0] for moment in moments]
    return [_checked(record.text) for record in records]


def _checked(text: str) -> tuple[str, str | None]:
    if not text.strip():
        return "", "empty_record"
    try:
        check_text(text)
    except InputError:
        return "", "unfit_record"
    return text, None


def plan_part(
    dataset: Dataset, encoder: AnyEncoder, part: Part, options: SerializationOptions
) -> tuple[list[list[Piece]], dict[int, str]]:
    """Write a part's records and cut them into the encoder's pieces: all that comes before computing.

    Returns:
        The pieces of each row that can be read, and the kind of each that cannot, by position.
    """
    found: dict[tuple[int, datetime], tuple[str, str | None]] = {}
    times = part.rows.group_by("subject_id", maintain_order=True).agg(pl.col("prediction_time").unique().sort())
    for subject, moments in times.iter_rows():
        written = readable_texts(dataset.events(subject), moments, dataset.vocabulary, options)
        found |= {(subject, moment): one for moment, one in zip(moments, written, strict=True)}
    texts, instructions, left_out = [], [], {}
    for position, row in enumerate(part.rows.iter_rows(named=True)):
        text, kind = found[row["subject_id"], row["prediction_time"]]
        if kind is not None:
            left_out[position] = kind
            continue
        texts.append(text)
        task = row["task"]
        instructions.append(None if task == ALL_TASKS else get_task(task).instruction_for(options.strategy))
    return plan_texts(encoder, texts, instructions), left_out
