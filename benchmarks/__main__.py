"""Run every benchmark that fits this machine, one process each, and write the table of benchmarks/README.md.

``python -m benchmarks [NAME ...]``; a script that has nothing to measure here (no GPU, no Ray) says so and exits 3.
"""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks._common import RESULTS

FOLDER = Path(__file__).resolve().parent
START, END = "<!-- results -->", "<!-- /results -->"
SKIPPED = 3


def table() -> str:
    """Return the results on disk as a Markdown table."""
    rows = ["| claim | ours | peer | unit | ratio | target | met |", "|---|---|---|---|---|---|---|"]
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        met = "yes" if result["met"] else "no"
        cells = [result[key] for key in ("claim", "ours", "peer", "unit", "ratio", "target")]
        rows.append("| " + " | ".join(str(cell) for cell in [*cells, met]) + " |")
    return "\n".join(rows)


def write_table() -> None:
    """Replace the table in benchmarks/README.md."""
    readme = FOLDER / "README.md"
    text = readme.read_text()
    before, after = text.split(START)[0], text.split(END)[1]
    readme.write_text(f"{before}{START}\n{table()}\n{END}{after}")


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return the number that failed."""
    known = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"error: no benchmark is called {', '.join(unknown)}; choose from {', '.join(known)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or known:
        print(f"== {name}", file=sys.stderr, flush=True)
        status = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent, check=False
        ).returncode
        failed += status not in (0, SKIPPED)
    write_table()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
