"""Published EHRSHOT results, each with the paper version that it belongs to.

"Large Language Models are Powerful EHR Encoders" (arXiv 2502.17403) describes three different systems under one
number, and its first version read future lengths of stay. A published figure therefore never stands without version.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from core.errors import InputError
from core.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "assets" / "published"
LEADERBOARD = "EHRSHOT leaderboard v3.2"

VERSIONS: dict[str, str] = {
    "v1/v2": "February 2025: Markdown, 4,096 tokens. With the length-of-stay leak.",
    "May 2025": "The authors' own figures after the leak was mended: Markdown, 4,096 tokens.",
    "v3/v4": "Autumn 2025: Markdown, 8,192 tokens where nothing else is said.",
    "v5": "April 2026: list of unique codes, most recent first, 8,192 tokens; strong count baseline.",
    LEADERBOARD: "Wornow et al. 2023 and later entries; baselines on the original count features.",
}
"""What each version was."""

LEAK_NOTE = (
    "Figures of v1/v2 come from before 23 March 2025, when the text still told the full duration of the current "
    "visit, so that future lengths of stay leaked into it. The authors' macro AUROC of GTE-Qwen2-7B went from 0.774 "
    "to 0.755 after the fix; that the fix is the cause is our inference."
)
"""To be shown with every v1/v2 figure."""

CHEXPERT_NOTE = (
    "The leaderboard gives 0.752 for CLMBR-T-Base on chest X-ray findings; the mean of its own 14 rows is 0.713, "
    "which is also the paper's figure."
)

_SCHEMA = {
    "source": pl.String,
    "version": pl.String,
    "model": pl.String,
    "ablation": pl.String,
    "level": pl.String,
    "name": pl.String,
    "score": pl.String,
    "k": pl.Int64,
    "value": pl.Float64,
    "std": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "note": pl.String,
}


@lru_cache
def published(folder: Path = FOLDER) -> pl.DataFrame:
    """All published figures.

    Returns:
        Columns ``source``, ``version`` (a key of :data:`VERSIONS`), ``model``, ``ablation`` ("" or "context=512"),
        ``level`` (macro, group, task), ``name`` ("macro", a group id or a sub-task key), ``score``, ``k`` (-1: all
        training data), ``value``, ``std`` (over few-shot replicates), ``lower``, ``upper``, ``note``.

    Raises:
        InputError: the files are missing or damaged.
    """
    try:
        papers = pl.read_csv(folder / "papers.csv", schema_overrides=_types("ablation", "lower", "upper"))
        board = pl.read_csv(folder / "leaderboard.csv", schema_overrides=_types("std", "lower", "upper"))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"the published numbers cannot be read ({type(error).__name__})", "restore assets/published"
        ) from None
    level = pl.when(pl.col("name") == "macro").then(pl.lit("macro")).otherwise(pl.lit("group"))
    papers = papers.with_columns(
        source=pl.lit("arXiv 2502.17403"),
        level=level,
        ablation=pl.col("ablation").fill_null(""),
        std=pl.lit(None, pl.Float64),
        note=pl.when(pl.col("version") == "v1/v2").then(pl.lit(LEAK_NOTE)).otherwise(pl.lit("")),
    )
    board = board.with_columns(
        source=pl.lit("som-shahlab/ehrshot-website (MIT)"),
        version=pl.lit(LEADERBOARD),
        ablation=pl.lit(""),
        note=pl.when((pl.col("name") == "chexpert") & (pl.col("model") == "CLMBR-T-Base"))
        .then(pl.lit(CHEXPERT_NOTE))
        .otherwise(pl.lit("")),
    )
    return pl.concat([frame.select([pl.col(c).cast(t) for c, t in _SCHEMA.items()]) for frame in (papers, board)])


def _types(*names: str) -> dict[str, Any]:
    return {name: _SCHEMA[name] for name in names}
