"""Two Ray workers against the local engine, on the same cores: rows per second after start-up.

Both embed the same demo cohort with minilm and no cache; the clock runs from the first finished part of an engine to
its last. Needs the extra of requirements-ray.txt.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._common import machine, median, report
from core.ehr.demo import generate_demo
from core.embedding import parts
from core.embedding.cohort import EncoderChoice, embed_cohort

TARGET = "Ray with two workers >= 0.9 x the local engine's rows/s after start-up"


def rows_per_second(dataset: Path, dest: Path, engine: str, tasks: list[str]) -> float:
    """Rows per second between the first and the last finished part."""
    seen: list[tuple[float, int]] = []
    embed_cohort(
        dataset,
        dest,
        EncoderChoice("minilm", device="cpu", cache=False),
        tasks,
        engine=engine,
        workers=2,
        progress=lambda done, total, note: seen.append((time.perf_counter(), done)),
    )
    (start, first), (stop, last) = seen[0], seen[-1]
    return (last - first) / (stop - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subjects", type=int, default=250)
    args = parser.parse_args()
    if importlib.util.find_spec("ray") is None:
        missing = {"claim": "ray_engine", "ours": None, "peer": None, "unit": "rows/s", "ratio": None, "rounds": 0}
        reason = "ray is not installed: pip install -r requirements-ray.txt"
        print(json.dumps({**missing, "target": TARGET, "met": None, "machine": machine(), "reason": reason}))
        sys.exit(3)  # SKIPPED of benchmarks/__main__.py
    parts.ROWS = (16, 16)  # small parts, so that two workers end at about the same time in a short run
    speeds: dict[str, list[float]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo"
        generate_demo(path, subjects=args.subjects, seed=4)
        for number in range(args.rounds):
            for engine in ("local", "ray") if number % 2 == 0 else ("ray", "local"):
                dest = Path(folder) / f"{engine}-{number}"
                speeds[engine].append(rows_per_second(path, dest, engine, ["guo_los", "guo_icu", "lab_anemia"]))
                print(f"round {number + 1}: {engine} {speeds[engine][-1]:.2f} rows/s", flush=True)
    ratio = median([ours / peer for ours, peer in zip(speeds["ray"], speeds["local"])])
    report(
        "ray_engine",
        ours=median(speeds["ray"]),
        peer=median(speeds["local"]),
        unit="rows/s",
        ratio=ratio,
        target=TARGET,
        met=ratio >= 0.9,
        rounds=args.rounds,
    )


if __name__ == "__main__":
    main()
