"""The four first diagnoses that are made in the observed window, with a stay before them: cancer of the pancreas,
celiac disease, lupus, myocardial infarction.

Who gets one depends on risk factors. Their rates are above nature's, so that a test split of some 700 subjects
holds enough positives to judge a model (the dataset's card says so).
"""

import math
from datetime import datetime, timedelta

from core.ehr.demo.content import PRODROMAL_REASONS
from core.ehr.demo.person import YEAR, Draw, Person

MIMICS = 0.03
"""Probability, for each of the four, to have its signs without it."""
SILENT = {"pancan": 0.15, "celiac": 0.17, "lupus": 0.27, "infarction": 0.22}
"""Share of diagnoses without signs before them."""
OTHER_REASONS = ("pneumonia", "urinary", "cellulitis", "diverticulitis", "rib_fracture", "bleeding")


def _probabilities(person: Person, at: datetime) -> dict[str, float]:
    age, female = person.age(at), float(person.female)
    smoke = {"never": 0.0, "former": 0.5, "current": 1.0}[person.smoking]

    def has(condition: str) -> float:
        return float(person.has(condition, at))

    return {
        "pancan": 0.032
        * math.exp(0.03 * (age - 62) + 0.8 * smoke + 1.5 * has("chronic_pancreatitis") + 0.4 * has("diabetes")),
        "celiac": 0.044 * math.exp(1.0 * has("thyroid") + 1.3 * has("type1") + 0.5 * has("iron_deficiency")),
        "lupus": 0.029 * math.exp(1.3 * female - 0.02 * (age - 55) + 0.8 * has("sjogren")),
        "infarction": 0.040
        * math.exp(
            0.03 * (age - 62)
            + 1.1 * has("cad")
            + 0.6 * smoke
            + 0.4 * has("diabetes")
            + 0.3 * has("hyperlipidemia")
            - 0.4 * female
        ),
    }


def draw_arcs(person: Person, draw: Draw) -> list[tuple[datetime, str]]:
    """Draw first diagnoses into ``person``; return the admissions (time, reason) that come before them.

    Some diagnoses come without signs before them, and some people have the signs and never the diagnosis.
    """
    admissions: list[tuple[datetime, str]] = []
    middle = person.start + (person.end - person.start) / 2
    first, last = person.start + 1.5 * YEAR, person.end - timedelta(days=20)
    if first >= last:
        return admissions
    for condition, probability in _probabilities(person, middle).items():
        ill, mimic = draw.chance(min(0.6, probability)), draw.chance(MIMICS)
        onset = first + draw.random() * (last - first)
        before = onset - draw.days(25, 300)
        if ill:
            person.onset[condition] = person.diagnosed[condition] = onset
        if (ill and draw.chance(1 - SILENT[condition])) or (mimic and not ill):
            person.suspected[condition] = onset
            if draw.chance(0.95):
                admissions.append((before, draw.choice(PRODROMAL_REASONS[condition])))
            person.consultations += [before - draw.days(4, 60), before - draw.days(60, 140)]
        elif ill:
            admissions.append((before, draw.choice(OTHER_REASONS)))
    return admissions
