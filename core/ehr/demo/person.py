"""Risk factors of one synthetic person and the chronic conditions that follow from them.

All conditions arise on a yearly grid from age 25 on: the yearly hazard of a condition is a base rate times the
exponential of a weighted sum of age, risk factors and conditions that are already there.
"""

import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

YEAR = timedelta(days=365.25)
STUDY_END = datetime(2024, 6, 30)
HISTORY = timedelta(days=10 * 365.25)
FIRST_AGE = 25


class Draw(random.Random):
    """A seeded source of random numbers with the few distributions that the generator needs."""

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random() < probability

    def normal(self, mean: float, deviation: float) -> float:
        """A normally distributed number."""
        return self.gauss(mean, deviation)

    def days(self, low: float, high: float) -> timedelta:
        """A uniformly distributed duration between two numbers of days."""
        return timedelta(days=self.uniform(low, high))


def logistic(x: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-x))


@dataclass
class Person:
    """Who somebody is: fixed traits, the observed window and the onset of each condition.

    Attributes:
        start: first observed day. ``end``: last observed day (end of study or death).
        onset: condition -> true onset. ``diagnosed``: condition -> day from which records may name it.
        suspected: condition -> day before which its signs are recorded, whether it comes to a diagnosis or not.
    """

    id: int
    female: bool
    race: str
    hispanic: bool
    birth: datetime
    start: datetime
    end: datetime
    died: bool = False
    smoking: str = "never"
    drinker: bool = False
    bmi: float = 27.0
    height_cm: float = 170.0
    metabolic: float = 0.0  # liability to cardiometabolic disease, standard normal
    metric_units: bool = False  # the clinic records kg, cm, degrees Celsius, mmol/L and g/L
    weight_unit: str = "[lb_av]"
    onset: dict[str, datetime] = field(default_factory=dict)
    diagnosed: dict[str, datetime] = field(default_factory=dict)
    suspected: dict[str, datetime] = field(default_factory=dict)
    consultations: list[datetime] = field(default_factory=list)  # clinic visits because of such signs

    def age(self, at: datetime) -> float:
        """Age in years."""
        return (at - self.birth) / YEAR

    def has(self, condition: str, at: datetime) -> bool:
        """True when the condition is there, known or not."""
        return condition in self.onset and self.onset[condition] <= at

    def known(self, condition: str, at: datetime) -> bool:
        """True when the condition is diagnosed."""
        return condition in self.diagnosed and self.diagnosed[condition] <= at


def draw_person(id: int, draw: Draw) -> Person:
    """Draw the fixed traits and the observed window."""
    female = draw.chance(0.54)
    age_at_end = min(94.0, max(31.0, draw.normal(66, 14)))
    end = STUDY_END - draw.days(0, 200)
    birth = (end - age_at_end * YEAR).replace(hour=0, minute=0, second=0, microsecond=0)
    history = HISTORY if draw.chance(0.8) else draw.uniform(0.4, 1.0) * HISTORY
    person = Person(
        id=id,
        female=female,
        race=draw.choices(["1", "2", "3", "5"], [0.01, 0.12, 0.13, 0.74])[0],
        hispanic=draw.chance(0.16),
        birth=birth,
        start=end - history,
        end=end,
        smoking=draw.choices(["never", "former", "current"], [0.55, 0.27, 0.18])[0],
        drinker=draw.chance(0.11),
        metabolic=draw.normal(0, 1),
    )
    person.bmi = min(48.0, max(17.5, draw.normal(27.5 + 1.5 * person.metabolic, 4.5)))
    person.height_cm = draw.normal(163 if female else 177, 7)
    person.metric_units = draw.chance(0.2)
    person.weight_unit = "kg" if person.metric_units else draw.choices(["[lb_av]", "[oz_av]"], [0.6, 0.4])[0]
    return person


def _hazards(person: Person, age: float, has: set[str]) -> dict[str, float]:
    """Yearly hazard of each chronic condition."""
    z, bmi, female = person.metabolic, person.bmi - 27, float(person.female)
    smoke = {"never": 0.0, "former": 0.6, "current": 1.0}[person.smoking]
    drink = float(person.drinker)
    d, htn, hld = "diabetes" in has, "hypertension" in has, "hyperlipidemia" in has
    ckd, cad, hf = "ckd3" in has, "cad" in has, "heart_failure" in has

    def rate(base: float, per_year: float, centre: float, effect: float) -> float:
        return base * math.exp(per_year * (age - centre) + effect)

    return {
        "hypertension": rate(0.021, 0.035, 55, 0.06 * bmi + 0.6 * z + 0.5 * d + 0.5 * ckd),
        "hyperlipidemia": rate(0.019, 0.020, 55, 0.05 * bmi + 0.6 * z + 0.6 * d + 0.3 * htn),
        "diabetes": rate(0.009, 0.020, 55, 0.10 * bmi + 0.6 * z),
        "type1": 0.0028 if age < 35 and not d else 0.0,
        "ckd3": rate(0.0045, 0.045, 62, 1.0 * d + 0.6 * htn),
        "cad": rate(0.0042, 0.045, 60, 0.6 * hld + 0.5 * d + 0.7 * smoke - 0.5 * female + 0.4 * z),
        "heart_failure": rate(0.0026, 0.055, 65, 1.3 * cad + 0.5 * htn + 0.5 * ckd),
        "fibrillation": rate(0.006, 0.060, 65, 0.8 * hf),
        "copd": rate(0.0012, 0.030, 60, 2.3 * smoke),
        "asthma": 0.003,
        "cirrhosis": rate(0.0006, 0.010, 55, 3.0 * drink),
        "alcohol": 0.03 * drink,
        "chronic_pancreatitis": rate(0.0006, 0.0, 55, 2.6 * drink),
        "cancer": rate(0.0045, 0.030, 60, 0.5 * smoke),
        "thyroid": rate(0.003, 0.010, 50, 1.0 * female),
        "depression": rate(0.007, 0.0, 50, 0.5 * female),
        "arthrosis": rate(0.014, 0.040, 60, 0.04 * bmi),
        "reflux": rate(0.011, 0.010, 50, 0.03 * bmi),
        "osteoporosis": rate(0.008, 0.070, 70, 1.0 * female),
        "iron_deficiency": rate(0.005, 0.0, 50, 0.8 * female * (age < 52)),
        "gallstones": rate(0.004, 0.010, 50, 0.7 * female + 0.04 * bmi),
        "bowel": rate(0.005, -0.010, 45, 0.6 * female),
        "crohn": 0.0012,
        "arthritis": rate(0.0022, 0.010, 50, 0.8 * female),
        "sjogren": rate(0.0012, 0.010, 50, 1.2 * female),
        "nodule": rate(0.0020, 0.030, 60, 1.2 * smoke),
        "plaque": rate(0.0024, 0.040, 62, 0.8 * (1 - female)),
        "fibromyalgia": rate(0.0015, 0.0, 50, 1.3 * female),
    }


def age_into_disease(person: Person, draw: Draw) -> None:
    """Fill ``person.onset`` and ``person.diagnosed`` with the chronic conditions up to the end of observation."""
    year = person.birth + FIRST_AGE * YEAR
    has: set[str] = set()
    while year < person.end:
        for condition, hazard in _hazards(person, person.age(year), has).items():
            if condition not in has and draw.chance(1 - math.exp(-hazard)):
                has.add(condition)
                person.onset[condition] = year + draw.days(0, 365)
        year += YEAR
    onset = person.onset
    if "ckd3" in onset:  # kidney disease moves on through its stages
        onset["ckd4"] = onset["ckd3"] + draw.expovariate(1 / 13.0) * YEAR
        onset["esrd"] = onset["ckd4"] + draw.expovariate(1 / 11.0) * YEAR
    if "fibrillation" in onset and draw.chance(0.4):
        onset["pacemaker"] = onset["fibrillation"] + draw.expovariate(1 / 4.0) * YEAR
    if "type1" in onset:
        onset.pop("diabetes", None)
    if "diabetes" in onset:
        onset["insulin"] = onset["diabetes"] + draw.expovariate(1 / 14.0) * YEAR
    if "cancer" in onset:
        kinds = ["breast" if person.female else "lung", "colon", "lung"]
        kind = draw.choices(kinds, [0.45, 0.3, 0.15 + 0.3 * (person.smoking != "never")])[0]
        onset[f"{kind}_cancer"] = onset["cancer"]
    for condition, since in list(onset.items()):
        if since > person.end:
            del onset[condition]
            continue
        silent = {"hypertension": 3.0, "hyperlipidemia": 3.0, "diabetes": 0.8, "ckd3": 0.5}.get(condition, 0.1)
        person.diagnosed[condition] = since + draw.expovariate(1 / silent) * YEAR
        if condition in ("hypertension", "hyperlipidemia"):
            person.suspected[condition] = person.diagnosed[condition]
