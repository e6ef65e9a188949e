"""Keep what the Benchmark page needs of a run, small enough for the repository.

    python assets/benchmark/pack.py RUN

Results, groups, differences, problems and run.json stay as they are. Of predictions stay those of unchanged models:
with all training data as they are (a saturated booster's ranks rest on the last digits), and at k = 8, 32 and 128 the
mean of the replicates (replicate -1), rounded. 34 MB become about 2.
"""

import shutil
import sys
from pathlib import Path

import polars as pl

KEPT_K = (8, 32, 128, -1)
DIGITS = 4
FOLDER = Path(__file__).resolve().parent / "demo"
_ROW = ["patient_id", "prediction_time", "labeling_function", "sub_task", "model", "head", "variant", "k"]


def small(predictions: pl.DataFrame) -> pl.DataFrame:
    """The predictions that are kept, one row a label, model and k; columns as they were."""
    kept = predictions.filter((pl.col("variant") == "") & pl.col("k").is_in(KEPT_K))
    mean = kept.group_by(_ROW, maintain_order=True).agg(
        pl.when(pl.len() > 1).then(pl.lit(-1)).otherwise(pl.col("replicate").first()).first().alias("replicate"),
        pl.col("label").first(),
        pl.col("proba", "proba_calibrated").mean(),
    )
    few = pl.col("k") != -1
    mean = mean.with_columns(
        pl.when(few).then(pl.col(name).round_sig_figs(DIGITS)).otherwise(name).alias(name)
        for name in ("proba", "proba_calibrated")
    )
    return mean.select(predictions.columns)


def main(run: Path) -> None:
    """Write the tables of a run into ``demo/``."""
    for name in ("results", "groups", "differences", "problems", "predictions"):
        table = pl.read_parquet(run / f"{name}.parquet")
        table = small(table) if name == "predictions" else table
        table.write_parquet(FOLDER / f"{name}.parquet", compression_level=19)
    shutil.copyfile(run / "run.json", FOLDER / "run.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
