"""Import an EHRSHOT-shaped CSV: rows per second and peak memory, against a plain Polars conversion of the same file.

``python -m benchmarks.import_speed [--subjects N] [--events N] [--release FOLDER] [--rounds N] [--no-peer]``

The peer casts, sorts by subject and time and writes one Parquet file: no shards, index, vocabulary, splits, labels,
rejections or report. Each run is a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._common import median, report
from benchmarks._ehrshot_sized import EVENTS, SUBJECTS, write_release

TARGET_ROWS, TARGET_GB = 400_000, 3.0

OURS_SETUP = """
from core.ehr.importers.ehrshot import import_ehrshot
from core.settings import get_settings
get_settings().home = dest.parent / "home"
"""
OURS = """
rows = import_ehrshot(release, dest).rows_read
"""
POLARS_SETUP = "import polars as pl"
POLARS = """
csv = pl.scan_csv(release / "data" / "ehrshot.csv", infer_schema=False)
value = pl.col("value").cast(pl.Float32, strict=False)
times = [pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False) for name in ("start", "end")]
csv.select(
    pl.col("patient_id").cast(pl.Int64), *times, "code", value.alias("numeric_value"),
    pl.when(value.is_null()).then("value").alias("text_value"), "unit",
    pl.col("visit_id").cast(pl.Int64, strict=False), "omop_table",
).sort("patient_id", "start", maintain_order=True).sink_parquet(dest, compression_level=1)
rows = pl.scan_parquet(dest).select(pl.len()).collect().item()
"""
FRAME = """
import json, resource, sys, time
from pathlib import Path
from benchmarks._common import peak_memory_mib
release, dest = Path(sys.argv[1]), Path(sys.argv[2])
{setup}
start = time.perf_counter()
{body}
seconds = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps(dict(
    rows=rows, seconds=seconds, cpu_s=usage.ru_utime + usage.ru_stime, peak_gb=peak_memory_mib() * 2**20 / 1e9
)))
"""


def measure(setup: str, body: str, release: Path, dest: Path) -> dict[str, float]:
    command = [sys.executable, "-c", FRAME.format(setup=setup, body=body), str(release), str(dest)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--release", type=Path, help="made-up release to use instead of a new one")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--no-peer", action="store_true", help="leave the Polars conversion out (it takes much memory)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chartlight-bench-") as scratch:
        folder = Path(scratch)
        release = args.release or write_release(folder / "release", args.subjects, args.events)
        ours, peer = [], []
        for _ in range(args.rounds):
            ours.append(measure(OURS_SETUP, OURS, release, folder / "dataset"))
            if not args.no_peer:
                peer.append(measure(POLARS_SETUP, POLARS, release, folder / "peer.parquet"))
        speed = median([run["rows"] / run["seconds"] for run in ours])
        peer_speed = median([run["rows"] / run["seconds"] for run in peer]) if peer else None
        peak = max(run["peak_gb"] for run in ours)
        report(
            "import_speed",
            ours=speed,
            peer=peer_speed if peer_speed is not None else 0.0,
            unit="rows/s from an EHRSHOT-shaped CSV (peer 0: not run)",
            ratio=speed / peer_speed if peer_speed else speed / TARGET_ROWS,
            target=f"ours >= {TARGET_ROWS:,} rows/s and peak <= {TARGET_GB:.0f} GB",
            met=speed >= TARGET_ROWS and peak <= TARGET_GB,
            rounds=args.rounds,
            peak_gb=peak,
            peer_peak_gb=max(run["peak_gb"] for run in peer) if peer else 0.0,
            cpu_s=median([run["cpu_s"] for run in ours]),
            rows_per_cpu_second=median([run["rows"] / run["cpu_s"] for run in ours]),
            rows=ours[0]["rows"],
            load_average=os.getloadavg()[0],
        )


if __name__ == "__main__":
    main()
