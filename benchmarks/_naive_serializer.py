"""The rules of the paper's serialisation, followed event by event: peer of `serialize.py`, reference of tests.

Written from the rules (reference section 1) with none of the tricks of `core.ehr.markdown`: plain objects and loops.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from core.ehr.aggregated_concepts import CONCEPTS

DROPPED_MARKDOWN = {
    "LOINC",
    "DOMAIN",
    "CARE_SITE",
    "ICDO3",
    "MEDICARE_SPECIALTY",
    "CMS_PLACE_OF_SERVICE",
    "OMOP_EXTENSION",
    "CONDITION_TYPE",
}
DROPPED_LIST = {"CARE_SITE", "ICDO3"}
MEDICATIONS = ("RxNorm", "RxNorm Extension")
PROCEDURES = ("CPT4", "ICD10PCS", "ICD9Proc")
SHOWN = datetime(2024, 1, 1)


@dataclass
class Event:
    start: datetime
    code: str
    value: float | str | None = None
    unit: str | None = None
    end: datetime | None = None
    visit_id: int | None = None
    description: str = ""


@dataclass
class Visit:
    start: datetime
    end: datetime | None
    description: str
    events: list[Event] = field(default_factory=list)


def naive_events(frame: pl.DataFrame) -> list[Event]:
    """Events of one subject as objects."""
    events = []
    for row in frame.iter_rows(named=True):
        number = row["numeric_value"]
        value = float(str(np.float32(number))) if number is not None else row["text_value"]
        events.append(Event(row["time"], row["code"], value, row["unit"], row["end"], row["visit_id"]))
    return events


def describe(code: str, vocabulary, dropped: set[str], keep_birth: bool) -> str | None:
    prefix = code.split("/")[0].strip()
    if prefix.replace(" ", "_").upper() in dropped and not any(
        code in concept.codes and code.startswith("LOINC") for concept in CONCEPTS
    ):
        return None
    if code.startswith("Patient age: "):
        return code
    if prefix == "Cancer Modifier" and "OMOP" not in code:
        return code.split("/", 1)[1].replace("_", " ").replace("-", " ").replace("/", " ").strip()
    text = vocabulary.describe(code)
    if text is None or (text.startswith("Birth") and not keep_birth):
        return None
    return text.strip()


def number_text(value: float) -> str:
    text = f"{value:.2f}".rstrip("0")
    return text[:-1] if text.endswith(".") else text


def value_text(value: float | str) -> str:
    return number_text(value) if isinstance(value, float) else value


def bullet_list(events: list[Event], values: bool = True) -> str:
    by_description: dict[str, list[Event]] = {}
    for event in events:
        by_description.setdefault(event.description, []).append(event)
    lines = []
    for description, group in by_description.items():
        last = [event.value for event in group if event.value is not None][-3:]
        shown = ", ".join(value_text(value) for value in last)
        unit = f" ({group[-1].unit})" if group[-1].unit is not None else ""
        lines.append(f"- {description}{unit}: {shown}" if values and shown else f"- {description}")
    return "\n".join(lines)


def visit_title(visit: Visit, at: datetime) -> str:
    start = SHOWN - (at - visit.start)
    date = start.strftime("%Y-%m-%d")
    days = (SHOWN - start).days
    text = f"{visit.description} on [{date}]({date}) ({days} day{'' if days == 1 else 's'} before prediction time"
    if visit.end is not None:
        if visit.end > at:
            text += ", current visit"
        else:
            stay = (visit.end - visit.start).days
            if stay >= 1:
                text += f", duration: {stay} day{'' if stay == 1 else 's'}"
    return text + ")"


def aggregated(events: list[Event]) -> str:
    blocks = []
    titles = {
        "body_metrics": "Recent Body Metrics",
        "vital_signs": "Recent Vital Signs",
        "lab_results": "Recent Lab Results",
    }
    for section, title in titles.items():
        lines = []
        for concept in CONCEPTS:
            if concept.section != section:
                continue
            fit = []
            for event in events:
                if event.code not in concept.codes or not isinstance(event.value, float):
                    continue
                if concept.window[0] <= event.value <= concept.window[1]:
                    fit.append(event)
            newest = sorted(fit, key=lambda event: event.start, reverse=True)[:3]
            texts = []
            for event in newest:
                text = str(int(event.value)) if concept.decimals == 0 else f"{event.value:.{concept.decimals}f}"
                if concept.normal:
                    flag = "normal"
                    if event.value < concept.normal[0]:
                        flag = "low"
                    elif event.value > concept.normal[1]:
                        flag = "high"
                    text += f" ({flag})"
                texts.append(text)
            lines.append(
                f"- {concept.name} ({concept.unit}): {', '.join(texts)}"
                if texts
                else f"- {concept.name}: No recent data"
            )
        blocks.append(f"## {title}\n\n" + "\n".join(lines))
    return "\n\n".join(blocks) + "\n\n"


def naive_markdown(events: list[Event], at: datetime, vocabulary, lookback: timedelta | None = None) -> str:
    birth = events[0].start
    until = [event for event in events if event.start <= at]
    if lookback is not None:
        until = [event for event in until if event.start >= at - lookback]
    if until:
        age = int((at - birth).days / 365)
        until[0] = Event(until[0].start, f"Patient age: {age}", until[0].value)
    codes = {code for concept in CONCEPTS for code in concept.codes}
    special = [event for event in until if event.code in codes]
    stream = [event for event in until if event.code not in codes]
    visits: dict[int | None, Visit] = {}
    for event in stream:
        if event.code.startswith("Visit/"):
            text = describe(event.code, vocabulary, DROPPED_MARKDOWN, False)
            if text is not None:
                visits[event.visit_id] = Visit(event.start, event.end, text)
    static: list[Event] = []
    for event in stream:
        if event.code.startswith("Visit/"):
            continue
        text = describe(event.code, vocabulary, DROPPED_MARKDOWN, False)
        if text is None:
            continue
        event = Event(event.start, event.code, event.value, event.unit, event.end, event.visit_id, text)
        visit = visits.get(event.visit_id)
        (visit.events if visit is not None else static).append(event)
    latest = datetime.max
    ordered = sorted(visits.values(), key=lambda v: (v.start, v.end is None, v.end or latest), reverse=True)
    n = 3 if len(static) >= 3 and static[2].code.startswith("Ethnicity") else 4
    text = "\n\n# Electronic Healthcare Record\n\nCurrent time: [2024-01-01](2024-01-01)\n\n"
    text += "## Patient Demographics\n\n" + bullet_list(static[:n], values=False) + "\n\n"
    text += aggregated(special)
    text += "## Past Medical Visits\n\n" + "\n".join(f"- {visit_title(v, at)}" for v in ordered) + "\n\n"
    text += "## General Medical Events\n\n" + bullet_list(static[n:]) + "\n\n"
    text += "## Detailed Past Medical Visits (most recent first)\n\n"
    parts = []
    for visit in ordered:
        groups = {"Conditions": [], "Medications": [], "Procedures": []}
        for event in visit.events:
            prefix = event.code.split("/")[0]
            name = "Medications" if prefix in MEDICATIONS else "Procedures" if prefix in PROCEDURES else "Conditions"
            groups[name].append(event)
        parts.append(
            f"### {visit_title(visit, at)}\n\n"
            + "\n\n".join(f"#### {name}\n\n{bullet_list(of)}" for name, of in groups.items() if of)
        )
    return re.sub(r"\n{3,}", "\n\n", text + "\n\n".join(parts))


def naive_recent_codes(events: list[Event], at: datetime, vocabulary, lookback: timedelta | None = None) -> str:
    until = [event for event in events if event.start <= at and (lookback is None or event.start >= at - lookback)]
    seen: set[str] = set()
    lines = []
    for event in sorted(until, key=lambda event: event.start, reverse=True):
        text = describe(event.code, vocabulary, DROPPED_LIST, True)
        if text is None or event.code in seen:
            continue
        seen.add(event.code)
        if event.value is None:
            lines.append(text)
        elif isinstance(event.value, float):
            unit = f" ({event.unit})" if event.unit is not None else ""
            lines.append(f"{text}{unit}: {number_text(event.value)}")
        else:
            lines.append(f"{text}: {event.value}")
    return "\n".join(lines)
