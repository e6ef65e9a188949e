"""The run that is looked at: a folder that `python -m core benchmark` finished, or the published numbers alone."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import streamlit as st

from core.errors import InputError
from core.risk.model_names import model_key, model_name
from core.risk.published import LEADERBOARD, LEAK_NOTE, VERSIONS
from core.risk.results import COLUMNS
from core.risk.run_record import PATIENTS_NOTES, is_synthetic, read_record
from core.risk.runner import BenchmarkResult, read_predictions, read_result
from core.settings import PROJECT_ROOT, get_settings
from core.wording import counted
from pages.shared import empty, url
from pages.shared.errors import plain

DEMO = PROJECT_ROOT / "assets" / "benchmark" / "demo"
DEMO_NAME = "Demo cohort"
SYNTHETIC = "synthetic patients"
PUBLISHED_ONLY = "Published numbers alone"
COMMAND = (
    "python -m core embed DATASET --out FEATURES\n"
    "python -m core benchmark DATASET --features FEATURES --out RESULTS --shots all,8,32,128\n"
    "CHARTLIGHT_RESULTS=RESULTS python -m core serve"
)
_NEEDED = {
    "results": {*COLUMNS, "variant", "n", "n_positive", "chosen"},
    "groups": {
        "model",
        "head",
        "k",
        "variant",
        "score",
        "group",
        "value",
        "lower",
        "upper",
        "replicate_std",
        "n_tasks",
        "n_groups",
    },
    "differences": {"task", "k", "a", "b", "score", "difference", "lower", "upper", "p_value", "p_holm", "n"},
}


@dataclass(frozen=True, eq=False)
class Run:
    """What the tabs draw.

    Attributes:
        name: as offered in the choice.
        folder: of the run; None for the published numbers alone.
        result: its tables; None likewise.
        versions: published versions to show beside it.
        note: what to know before comparing.
    """

    name: str
    folder: Path | None
    result: BenchmarkResult | None
    versions: tuple[str, ...]
    note: str

    @property
    def groups(self) -> pl.DataFrame | None:
        """Group and macro values, None without a run."""
        return None if self.result is None else self.result.groups

    @property
    def results(self) -> pl.DataFrame | None:
        """Values of every sub-task, None without a run."""
        return None if self.result is None else self.result.results

    @property
    def synthetic(self) -> bool | None:
        """Whether the run's patients are synthetic; None without a run, or where it does not say."""
        return None if self.result is None else is_synthetic(self.result.record)

    @property
    def footnote(self) -> str:
        """What a figure on paper has to say: the note, and the leak where figures of the first version are shown."""
        return f"{self.note} {LEAK_NOTE}" if "v1/v2" in self.versions else self.note

    def predictions(self) -> pl.DataFrame:
        """Every prediction of the run.

        Raises:
            InputError: the folder has none.
        """
        assert self.folder is not None
        path = self.folder / "predictions.parquet"
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        return _predictions(str(self.folder), changed)


def folders() -> dict[str, Path]:
    """Return finished runs by name: those of the settings, then the shipped one."""
    found: dict[str, Path] = {}
    root = get_settings().results
    if root is not None and root.is_dir():
        inside = [path for path in sorted(root.iterdir()) if path.is_dir() and _finished(path)]
        for path in [root] * _finished(root) + inside:
            found[path.name] = path
    if _finished(DEMO):
        found[DEMO_NAME] = DEMO
    return found


def choose() -> Run:
    """Draw the choice of run and of published versions; return what was chosen.

    Raises:
        InputError: the folder of the settings is not there, or a run is damaged.
    """
    root = get_settings().results
    if root is not None and not root.is_dir():
        raise InputError(
            f"the results folder {root.name} does not exist", "mend CHARTLIGHT_RESULTS, or leave it unset"
        )
    runs = folders()
    names = [*runs, PUBLISHED_ONLY]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tight-benchmark-source"):
        wanted = url.read("run")
        place = names.index(wanted) if wanted in names else 0
        if url.travelled():  # Back and Forward know better than the session
            st.session_state["benchmark-run"], place = names[place], 0
        name = st.selectbox(
            "Results",
            names,
            place,
            format_func=lambda name: _label(name, runs),
            key="benchmark-run",
            width=320,
            persist_state="session",
        )
        versions = st.pills(
            "Published beside it",
            list(VERSIONS),
            selection_mode="multi",
            default=["v5", LEADERBOARD],
            format_func=lambda version: "Leaderboard v3.2" if version == LEADERBOARD else version,
            key="benchmark-versions",
            help="  \n".join(f"**{version}**: {text}" for version, text in VERSIONS.items()),
            persist_state="session",
        )
    url.write(run=None if name == names[0] else name)
    chosen = tuple(version for version in VERSIONS if version in versions)
    if name == PUBLISHED_ONLY:
        return Run(name, None, None, chosen, PATIENTS_NOTES[False])
    result = _load(str(runs[name]), _stamp(runs[name]))
    return Run(name, runs[name], result, chosen, PATIENTS_NOTES[is_synthetic(result.record)])


def invite() -> None:
    """Say how to get a run of one's own."""
    empty.show(
        "There is no run of your own yet",
        "The page shows the published numbers. A finished benchmark stands beside them once its folder is named:",
        icon="leaderboard",
        command=COMMAND,
        key="no-run",
    )


def missing(what: str) -> None:
    """Say that a tab needs a run."""
    empty.show(
        f"{what} need a run",
        "Publications do not give what this needs. Choose a run above, or make one:",
        icon="leaderboard",
        command=COMMAND,
        key="needs-run",
    )


def describe(run: Run) -> str:
    """Say in a line what a run holds; Markdown, names from data made safe."""
    assert run.result is not None and run.results is not None
    models = run.results.select("model", "head").unique(maintain_order=True).rows()
    names = "; ".join(model_name(model_key(model, head)) for model, head in models)
    tasks = run.results["labeling_function"].n_unique()
    n = run.results["n"].max() or 0
    return f"{plain(names)} · {counted(tasks, 'task')} · up to {counted(n, 'held-out label')} a task"


def _label(name: str, runs: dict[str, Path]) -> str:
    """Name of a run in the choice; one on synthetic patients says so before it is chosen."""
    try:
        synthetic = name in runs and is_synthetic(read_record(runs[name]))
    except InputError:  # told once it is chosen
        synthetic = False
    return f"{name} ({SYNTHETIC})" if synthetic else name


def _finished(folder: Path) -> bool:
    return (folder / "results.parquet").is_file()


def _stamp(folder: Path) -> int:
    return max((path.stat().st_mtime_ns for path in [*folder.glob("*.parquet"), *folder.glob("run.json")]), default=0)


@st.cache_resource(show_spinner="Reading the results …", max_entries=8)
def _load(folder: str, changed: int) -> BenchmarkResult:
    name = Path(folder).name
    fix = "run `python -m core benchmark` with it as --out again"
    try:
        result = read_result(Path(folder))
    except TypeError:
        raise InputError(f"the problems table of {name} has other columns", fix) from None
    for table, needed in _NEEDED.items():
        lacking = needed - set(getattr(result, table).columns)
        if lacking:
            raise InputError(f"the {table} table of {name} lacks {', '.join(sorted(lacking))}", fix)
    return result


@st.cache_resource(show_spinner="Reading the predictions …", max_entries=4)
def _predictions(folder: str, changed: int) -> pl.DataFrame:
    return read_predictions(Path(folder))
