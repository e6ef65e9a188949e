"""When and why a person is admitted, how long the stay lasts, and whether another one follows."""

import math
from datetime import datetime, timedelta

from core.ehr.demo.content import REASONS
from core.ehr.demo.measurements import under_chemotherapy
from core.ehr.demo.person import YEAR, Draw, Person, logistic

MOST_STAYS = 3


def _rates(person: Person, at: datetime) -> dict[str, float]:
    """Yearly rate of admission by reason."""
    age = person.age(at)

    def has(*conditions: str) -> float:
        return float(any(person.has(condition, at) for condition in conditions))

    chemo = float(under_chemotherapy(person, at))
    diabetic, on_insulin = has("diabetes", "type1"), has("insulin", "type1")
    return {
        "pneumonia": 0.008 * math.exp(0.035 * (age - 65) + 0.8 * has("copd") + 0.8 * chemo),
        "sepsis": 0.004 * math.exp(0.03 * (age - 65) + 0.5 * diabetic + 0.9 * chemo + 0.4 * has("esrd", "cirrhosis")),
        "urinary": 0.003 * math.exp(0.04 * (age - 65) + 0.5 * person.female),
        "cellulitis": 0.002 + 0.006 * diabetic,
        "bleeding": 0.002 + 0.008 * has("fibrillation") + 0.03 * has("cirrhosis"),
        "anemia": 0.0005 + 0.015 * has("iron_deficiency") + 0.012 * has("ckd4"),
        "hip_fracture": 0.0018 * math.exp(0.08 * (age - 75)) * (1 + 1.5 * has("osteoporosis")),
        "rib_fracture": 0.0028 + 0.009 * has("osteoporosis", "alcohol"),
        "pneumothorax": 0.009 + 0.02 * has("copd"),
        "kidney": 0.0015 + 0.014 * has("ckd3") + 0.02 * has("ckd4"),
        "dialysis": 0.12 * has("esrd"),
        "hypoglycemia": 0.022 * on_insulin,
        "ketoacidosis": 0.07 * has("type1"),
        "liver": 0.13 * has("cirrhosis"),
        "withdrawal": 0.06 * has("alcohol"),
        "neutropenia": 0.55 * chemo,
        "pancreatitis": 0.0015 + 0.05 * has("chronic_pancreatitis") + 0.006 * has("alcohol"),
        "biliary": 0.001 + 0.03 * has("gallstones"),
        "abdominal": 0.004 + 0.012 * has("bowel") + 0.03 * has("crohn"),
        "diverticulitis": 0.0025,
        "appendicitis": 0.0014,
        "chest_pain": 0.004 + 0.016 * has("cad"),
        "stroke": 0.0022 * math.exp(0.05 * (age - 65) + 0.7 * has("fibrillation")),
        "inflammation": 0.0008 + 0.04 * has("arthritis", "sjogren"),
        "knee": 0.010 * has("arthrosis"),
        "heart_failure": 0.085 * has("heart_failure"),
        "copd": 0.06 * has("copd"),
        "asthma": 0.02 * has("asthma"),
        "tumor": 0.2 * has("pancan"),
    }


def draw_admissions(person: Person, draw: Draw) -> list[tuple[datetime, str]]:
    """Draw admissions (time, reason) over the observed window, year by year, unsorted."""
    admissions = []
    year = person.start
    while year < person.end:
        length = min(YEAR, person.end - year)
        for reason, rate in _rates(person, year).items():
            if draw.chance(1 - math.exp(-0.66 * rate * (length / YEAR))):
                admissions.append((year + draw.random() * length, reason))
        year += YEAR
    return admissions


def length_of_stay(person: Person, at: datetime, reason: str, severity: float, draw: Draw) -> timedelta:
    """Draw a length of stay: by reason, severity, age and frailty of the person, log-normal around them."""
    kind = REASONS[reason]
    serious = sum(person.has(c, at) for c in ("heart_failure", "ckd4", "cirrhosis", "copd", "cancer", "esrd"))
    effect = (0.1 if kind.planned else 0.3) * severity + 0.012 * (person.age(at) - 62) + 0.10 * serious
    days = 0.86 * kind.days * math.exp(effect + draw.normal(0, 0.33))
    return timedelta(days=min(60.0, max(0.25, days)))


def goes_to_intensive_care(severity: float, reason: str, draw: Draw) -> bool:
    """Whether the stay includes intensive care."""
    return draw.chance(logistic(-4.0 + 2.6 * severity + 0.7 * (reason in ("sepsis", "infarction", "stroke"))))


def readmission(
    person: Person, discharge: datetime, reason: str, days: float, recent: int, draw: Draw
) -> tuple[datetime, str] | None:
    """Draw an admission within 30 days of a discharge, or none."""

    def has(condition: str) -> float:
        return float(person.has(condition, discharge))

    odds = -4.5 + 2.5 * has("heart_failure") + 2.0 * has("copd") + 2.1 * has("ckd4") + 3.0 * has("cirrhosis")
    odds += 2.8 * under_chemotherapy(person, discharge) + 0.5 * recent + 0.05 * (days - 4)
    odds += 0.02 * (person.age(discharge) - 65) + 1.5 * has("alcohol") - 1.0 * REASONS[reason].planned
    if not draw.chance(logistic(odds)):
        return None
    reasons = {"heart_failure": "heart_failure", "copd": "copd", "cirrhosis": "liver", "esrd": "dialysis"}
    chronic = [why for condition, why in reasons.items() if has(condition)]
    again = reason if not REASONS[reason].planned and reason != "infarction" else "sepsis"
    why = draw.choice(chronic) if chronic and draw.chance(0.6) else again
    return discharge + draw.days(2, 29), why
