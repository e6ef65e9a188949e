"""The scores of a patient as a document to keep: JSON or a self-contained HTML page, with where they come from."""

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.ehr.tasks import GROUPS, TASK_BY_ID
from core.risk.score import TaskScore, cohort_notes, percentile_text
from core.safety import EXPORT_NOTICE
from core.wording import counted, part

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #d5dde5;vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".notice{border-left:4px solid #d55e00;background:#fff4e3;padding:.5rem .8rem}"
    "dt{color:#566573}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dd{margin:0}"
)


def scores_document(
    dataset: Any, subject: int | str, at: str, scores: Sequence[TaskScore], outside: Mapping[str, str]
) -> dict[str, Any]:
    """Plain JSON values with everything that a reader needs to judge the scores.

    Args:
        dataset: the open dataset.
        subject: the subject's id, or its pseudonym where ids are not to leave.
        at: the prediction time as text, or an age where dates are not to leave; it stands in every score.
        scores: of :func:`core.risk.score.score_subject`.
        outside: by task, why it is not defined for this record; it stands in every score, "" where it is defined.
    """
    return {
        "notice": EXPORT_NOTICE,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": dataset.name,
        "synthetic": dataset.synthetic,
        "cohort_notes": cohort_notes(scores, dataset),
        "subject_id": subject,
        "prediction_time": at,
        "scores": [
            {**score.to_dict(), "prediction_time": at, "outside_definition": outside.get(score.task, "")}
            for score in scores
        ],
    }


def scores_html(document: dict[str, Any]) -> str:
    """The same as one HTML page without scripts, styles or images from elsewhere; every value is escaped."""
    facts = {
        "Dataset": _cohort(document["dataset"], document["synthetic"]),
        "Heads trained on": ", ".join(
            dict.fromkeys(_cohort(score["cohort"], score["cohort_synthetic"]) for score in document["scores"])
        ),
        "Patient": document["subject_id"],
        "Prediction time": document["prediction_time"],
        "Made": document["made"],
    }
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Risk scores</title><style>{_STYLE}</style>',
        f'<p class="notice">{_text(document["notice"])}</p><h1>Risk scores</h1><dl>',
        *(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items()),
        "</dl>",
        *(f'<p class="notice">{_text(note)}</p>' for note in document["cohort_notes"]),
    ]
    for group, title in GROUPS.items():
        rows = [score for score in document["scores"] if _group(score) == group]
        if rows:
            parts.append(f"<h2>{_text(title)}</h2><table><tr><th>Task</th><th>Probability</th><th>95 % interval</th>")
            parts.append("<th>Average</th><th>Percentile</th><th>In words</th><th>Behind it</th></tr>")
            parts += [_row(score) for score in rows]
            parts.append("</table>")
    parts.append(
        "<p>Average and percentile are those of the held-out cases that the heads were evaluated on. The interval is "
        "that of the calibration on validation data; it does not hold the uncertainty of the head's training nor that "
        "of another population.</p></html>"
    )
    return "\n".join(parts)


def _percent(probability: float) -> str:
    return part(100 * probability, 1, whole=100)


def _row(score: dict[str, Any]) -> str:
    behind = (
        f"{score['n_positive']} of {score['n']} held-out cases of {score['cohort']} positive, of "
        f"{counted(score['n_patients_with'], 'patient')}; {score['encoder']}; head {score['head_version']}"
    )
    if score["reliable"]:
        lower, upper = score["interval"]
        numbers = [
            f"{_percent(score['probability'])} %",
            f"{_percent(lower)} to {_percent(upper)} %",
            f"{_percent(score['prevalence'])} %",
            percentile_text(score["percentile"]),
        ]
    else:
        numbers = ["no reliable estimate", "", f"{_percent(score['prevalence'])} %", ""]
    cells = "".join(f'<td class="n">{_text(number)}</td>' for number in numbers)
    sentence, name = _text(score["natural_frequency"]), _text(score["name"])
    if score["outside_definition"]:
        sentence += f"<br>Outside the task: {_text(score['outside_definition'])}"
    return f"<tr><td>{name}</td>{cells}<td>{sentence}</td><td>{_text(behind)}</td></tr>"


def _cohort(name: str, synthetic: bool) -> str:
    return f"{name} (synthetic patients)" if synthetic else name


def _group(score: dict[str, Any]) -> str:
    return TASK_BY_ID[score["task"]].group


def _text(value: object) -> str:
    return html.escape(str(value))
