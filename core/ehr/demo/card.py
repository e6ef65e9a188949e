"""The dataset card of a demo cohort, in words and with its own numbers."""

from pathlib import Path

import polars as pl

from core.ehr.tasks import TASKS

TEMPLATE = Path(__file__).parent / "card_template.md"


def write_card(folder: Path, subjects: int, seed: int, labels: dict[str, pl.DataFrame], splits: pl.DataFrame) -> None:
    """Write ``metadata/card.md``."""
    lines = []
    for task in TASKS:
        frame = labels.get(task.id)
        cells = []
        for split in ("train", "tuning", "held_out"):
            if frame is None:
                cells.append("0")
                continue
            values = frame.join(splits.filter(pl.col("split") == split), "subject_id", "semi")["value"]
            # a chest X-ray without finding is 8192, or 8193 with support devices only
            positive = ~values.is_in([8192, 8193]) if task.label_type == "findings" else values.cast(pl.Int64) > 0
            cells.append(f"{values.len()} ({int(positive.cast(pl.Int64).sum())})")
        lines.append(f"| {task.id} | {' | '.join(cells)} |")
    text = TEMPLATE.read_text(encoding="utf-8").format(subjects=subjects, seed=seed, table="\n".join(lines))
    (folder / "metadata" / "card.md").write_text(text, encoding="utf-8")
