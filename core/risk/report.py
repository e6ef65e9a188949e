"""A self-contained HTML report of a benchmark run: no script, no font, no picture from elsewhere."""

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from core.ehr.tasks import GROUPS, TASK_BY_ID
from core.files import write_atomic
from core.risk.comparison import p_text
from core.risk.fewshot import ALL
from core.risk.model_names import model_key, model_name
from core.risk.published import CHEXPERT_NOTE, LEAK_NOTE, VERSIONS, published
from core.risk.results import partial_mean, scarcest
from core.risk.run_record import PATIENTS_NOTES, is_synthetic, record_rows
from core.risk.runner import BenchmarkResult
from core.risk.score import MIN_CASES
from core.safety import EXPORT_NOTICE

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b2430;background:#fff;max-width:88rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #cfd6df;padding-bottom:.2rem}
table{border-collapse:collapse;margin:.8rem 0;font-variant-numeric:tabular-nums}
td{white-space:nowrap}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #e4e8ee}
th{background:#f3f5f8;text-align:right}td:first-child,th:first-child{text-align:left}
.notice{border:2px solid #8a5300;background:#fff6e5;padding:.5rem .8rem;font-weight:600}
.wide{overflow-x:auto}
.made td,.made th{text-align:left;white-space:normal;vertical-align:top;overflow-wrap:anywhere}
.few{color:#8a5300}.small{color:#4b5866;font-size:.9rem}svg{max-width:100%;height:auto}
"""


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "<p class=small>Nothing to show.</p>"
    head = "".join(f"<th scope=col>{escape(str(cell))}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _interval(value: float | None, lower: float | None, upper: float | None) -> str:
    if value is None or value != value:
        return "not defined"
    if lower is None or lower != lower or upper is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({max(lower, 0):.3f} to {min(upper, 1):.3f})"  # no score lies beyond


_P = ("p_value", "p_holm")


def _signed(value: float, lower: float, upper: float) -> str:
    """A difference with its interval, alone where no replicate is defined."""
    return f"{value:+.3f}" if lower != lower else f"{value:+.3f} ({lower:+.3f} to {upper:+.3f})"


def _shots(k: int) -> str:
    return "all" if k == ALL else str(k)


def _model(row: dict) -> str:
    return model_name(model_key(row["model"], row["head"], row["variant"]))


def _macro(groups: pl.DataFrame) -> str:
    rows = []
    for k in sorted(groups["k"].unique().to_list(), key=lambda k: (k == ALL, k)):
        part = groups.filter((pl.col("k") == k) & (pl.col("score") == "auroc"))
        for key, cells in part.group_by(["model", "head", "variant"], maintain_order=True):
            by_group = {row["group"]: row for row in cells.iter_rows(named=True)}
            values = [_mean(by_group[group]) if group in by_group else "-" for group in [*GROUPS, "macro"]]
            rows.append((_model(dict(zip(("model", "head", "variant"), key))), _shots(k), *values))
    return _table(("Model", "k", *GROUPS.values(), "Macro"), rows)


def _mean(row: dict) -> str:
    missing = partial_mean(row["group"], row["n_tasks"], row["n_groups"])
    return _interval(row["value"], row["lower"], row["upper"]) + (f", {missing}" if missing else "")


def _tasks(results: pl.DataFrame) -> str:
    rows = []
    wanted = results.filter((pl.col("k") == ALL) & pl.col("score").is_in(["auroc", "auprc", "brier_calibrated"]))
    wanted = wanted.with_columns(few=scarcest(wanted) < MIN_CASES)
    keys = ["labeling_function", "sub_task", "model", "head", "variant"]
    for key, cells in wanted.group_by(keys, maintain_order=True):
        about = dict(zip(keys, key))
        by_score = {row["score"]: row for row in cells.iter_rows(named=True)}
        first = next(iter(by_score.values()))
        task = TASK_BY_ID[about["labeling_function"]]
        name = about["sub_task"] if task.label_type == "findings" else task.name
        few = " too few patients" if first["few"] else ""
        shown = [
            _interval(*(by_score[s][c] for c in ("value", "lower", "upper"))) if s in by_score else "-"
            for s in ("auroc", "auprc", "brier_calibrated")
        ]
        rows.append((name, _model(about), f"{first['n']:,}", f"{first['n_positive']:,}{few}", *shown, first["chosen"]))
    header = ("Task", "Model", "Held out", "Positives", "AUROC", "AUPRC", "Brier (calibrated)", "Chosen")
    return _table(header, rows)


def _differences(differences: pl.DataFrame) -> str:
    rows = [
        (
            TASK_BY_ID[row["task"]].name,
            _shots(row["k"]),
            model_name(row["a"]),
            model_name(row["b"]),
            row["score"].upper(),
            _signed(row["difference"], row["lower"], row["upper"]),
            *(p_text(row[name]) for name in _P),
            row.get("undefined", "not counted"),  # of a run of an older version
        )
        for row in differences.iter_rows(named=True)
    ]
    return _table(
        ("Task", "k", "Model A", "Model B", "Score", "A minus B", "p", "p (Holm)", "Undefined replicates"), rows
    )


def _published() -> str:
    table = published().filter(
        (pl.col("level") == "macro") & (pl.col("ablation") == "") & (pl.col("k") == ALL) & (pl.col("score") == "auroc")
    )
    rows = [
        (r["model"], r["version"], _interval(r["value"], r["lower"], r["upper"])) for r in table.iter_rows(named=True)
    ]
    notes = "".join(f"<li><b>{escape(v)}</b>: {escape(text)}</li>" for v, text in VERSIONS.items())
    return (
        _table(("Model", "Paper version", "Macro AUROC"), rows)
        + f"<p>{escape(LEAK_NOTE)}</p><p>{escape(CHEXPERT_NOTE)}</p><ul>{notes}</ul>"
    )


def few_shot_figure(groups: pl.DataFrame) -> str:
    """Macro AUROC over k with the band of one standard deviation over replicates, as SVG text; "" without few-shot."""
    macro = groups.filter((pl.col("group") == "macro") & (pl.col("score") == "auroc") & (pl.col("k") != ALL))
    if not macro.height:
        return ""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4))
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    colours, marks = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#6b5b00"), "osD^v"
    for i, (key, part) in enumerate(macro.group_by(["model", "head", "variant"], maintain_order=True)):
        part = part.sort("k")
        k, value, spread = (part[name].to_numpy() for name in ("k", "value", "replicate_std"))
        name = _model(dict(zip(("model", "head", "variant"), key)))
        axes.plot(k, value, marker=marks[i % 5], color=colours[i % 5], label=name)
        axes.fill_between(k, value - spread, value + spread, color=colours[i % 5], alpha=0.15, linewidth=0)
    axes.set_xscale("log", base=2)
    shown = sorted(macro["k"].unique().to_list())
    axes.set_xticks(shown, [str(k) for k in shown])
    axes.minorticks_off()
    axes.set_xlabel("labelled examples of each class (k)")
    axes.set_ylabel("macro AUROC")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def render_report(result: BenchmarkResult, title: str) -> str:
    """The report as HTML; how the run was made is told from its record.

    Args:
        result: of the run.
        title: name of the dataset.
    """
    problems = _table(
        ("Task or model", "What", "Count", "What was done"), [tuple(vars(p).values()) for p in result.problems]
    )
    if not result.problems:
        problems = "<p>Nothing was wrong with the input.</p>"
    figure = few_shot_figure(result.groups)
    parts = [
        f"<p class=notice role=note>{EXPORT_NOTICE}</p>",
        f"<h1>EHRSHOT benchmark on {escape(title)}</h1>",
        f"<p class=notice>{escape(PATIENTS_NOTES[is_synthetic(result.record)])}</p>",
        "<p class=small>Intervals: 95 % over patient-level bootstrap replicates of the held-out split (tasks), or "
        "1.96 standard deviations by the paper's rule (groups and macro). AUROC and AUPRC are those of the scores as "
        f"the model gives them. Tasks with fewer than {MIN_CASES} held-out patients with the outcome, or without it, "
        "are marked: their figures say little.</p>",
        "<h2>Groups and macro values (AUROC)</h2>",
        "<p class=small>Macro is the mean of the four groups, a group the mean of its tasks. Where a value says of "
        "how many (“4 of 6 tasks”), it compares only with values over the same tasks.</p>",
        _macro(result.groups),
        f"<h2>Few-shot</h2>{figure}" if figure else "",
        "<h2>Tasks, all training data</h2>",
        _tasks(result.results),
        "<h2>Models compared in pairs</h2>",
        "<p class=small>Same patient resamples for both models; Holm's correction across the tasks of a pair. A "
        "replicate in which a task, or one of its findings, has one class is undefined and left out: the more there "
        "are, the less an interval says.</p>",
        _differences(result.differences),
        "<h2>What was wrong with the input</h2>",
        problems,
        "<h2>Published figures, for orientation</h2>",
        "<p class=small>Other patients, other encoders: not comparable with a run on another dataset.</p>",
        _published(),
        "<h2>How this was made</h2>",
        _made(result),
    ]
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>Benchmark: {escape(title)}</title>"
    return f"{head}<style>{_STYLE}</style><body>{''.join(parts)}</body></html>\n"


def _made(result: BenchmarkResult) -> str:
    if result.record is None:
        return "<p>The run has no record (run.json).</p>"
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(text)}</td></tr>"
        for name, text in record_rows(result.record)
    )
    return f"<table class=made><tbody>{rows}</tbody></table>"


def write_report(result: BenchmarkResult, out: Path, title: str) -> Path:
    """Write ``report.html`` into the output folder, atomically; returns its path."""
    path = Path(out) / "report.html"
    write_atomic(path, render_report(result, title).encode())
    return path
