"""One synthetic life: traits, diseases, visits and stays, written into a chart."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.ehr.demo.admissions import MOST_STAYS, draw_admissions, readmission
from core.ehr.demo.arcs import draw_arcs
from core.ehr.demo.chart import Chart
from core.ehr.demo.encounters import Encounters
from core.ehr.demo.measurements import draw_constitution
from core.ehr.demo.person import YEAR, Draw, Person, age_into_disease, draw_person

VACCINES = (("140", 0.35), ("133", 0.05), ("33", 0.05), ("115", 0.06), ("187", 0.05))


@dataclass
class Life:
    """What the generator keeps of one subject."""

    person: Person
    chart: Chart
    chest: list[tuple[datetime, int]] = field(default_factory=list)  # (prediction time, findings)
    panel_times: list[datetime] = field(default_factory=list)  # results whose labels the dataset keeps
    stays: list[tuple[datetime, datetime, str]] = field(default_factory=list)


def live(subject_id: int, seed: int) -> Life:
    """Simulate one subject. The same id and seed always give the same life."""
    draw = Draw(f"chartlight demo {seed} {subject_id}")
    person = draw_person(subject_id, draw)
    age_into_disease(person, draw)
    planned = draw_arcs(person, draw) + draw_admissions(person, draw)
    life = Life(person, Chart(subject_id))
    encounters = Encounters(person, draw_constitution(person, draw), life.chart, draw)
    _birth(person, life.chart, draw)
    _stays(life, encounters, sorted(planned), draw)
    _visits(life, encounters, draw)
    if person.died:
        life.chart.add(person.end, "MEDS_DEATH", "death")
    life.chest = encounters.chest
    outpatient = encounters.outpatient_panels
    if len(outpatient) > 2 and draw.chance(0.3):
        life.panel_times.append(draw.choice(sorted(outpatient)[2:]))
    midnight = sorted(encounters.midnight_panels)
    life.panel_times += draw.sample(midnight, min(2, len(midnight)))
    return life


def _birth(person: Person, chart: Chart, draw: Draw) -> None:
    chart.add(person.birth, "MEDS_BIRTH", "person")
    chart.add(person.birth, f"Race/{person.race}", "person")
    chart.add(person.birth, f"Gender/{'F' if person.female else 'M'}", "person")
    chart.add(person.birth, f"Ethnicity/{'Hispanic' if person.hispanic else 'Not Hispanic'}", "person")
    status = {"never": "Never smoker", "former": "Former smoker", "current": "Current every day smoker"}
    if draw.chance(0.8):
        chart.add(person.start + draw.days(0, 300), "LOINC/72166-2", "observation", text=status[person.smoking])


def _stays(life: Life, encounters: Encounters, planned: list[tuple[datetime, str]], draw: Draw) -> None:
    person = life.person
    infarction = person.onset.get("infarction")
    if infarction is not None:
        planned = sorted([*planned, (infarction, "infarction")])
    free_from, returns = person.start + timedelta(days=30), None
    while planned and len(life.stays) < MOST_STAYS + 2:
        at, reason = planned.pop(0)
        if len(life.stays) >= MOST_STAYS and at != returns:
            continue
        at = at.replace(hour=0) + timedelta(minutes=draw.randint(20, 21 * 60))
        if at < free_from or at > person.end - timedelta(days=1):
            if reason != "infarction":
                continue
            at = max(at, free_from + timedelta(days=1))
            if at > person.end - timedelta(days=1):
                continue
        if reason == "infarction":
            person.onset["infarction"] = person.diagnosed["infarction"] = at
        stay = encounters.stay(at, reason)
        life.stays.append((at, stay.end, reason))
        if stay.died:
            person.died, person.end = True, stay.end
            return
        _notice_silent_disease(person, stay.end, encounters, draw)
        recent = sum((at - earlier[0]).days < 730 for earlier in life.stays[:-1])
        days = (stay.end - at) / timedelta(days=1)
        again = readmission(person, stay.end, reason, days, recent, draw)
        free_from = stay.end + timedelta(days=2 if again else 31)
        if again:
            returns = again[0]
            planned = sorted([*planned, again])


def _notice_silent_disease(person: Person, discharge: datetime, encounters: Encounters, draw: Draw) -> None:
    """Undiagnosed hypertension and hyperlipidemia are often found in the year after a stay."""
    for condition in ("hypertension", "hyperlipidemia"):
        if person.has(condition, discharge) and not person.known(condition, discharge) and draw.chance(0.88):
            found = discharge + draw.days(20, 330)
            if found < person.diagnosed[condition]:
                person.diagnosed[condition] = found
                encounters.appointments.append((found, condition))


def _visits(life: Life, encounters: Encounters, draw: Draw) -> None:
    """Outpatient and emergency visits between the stays."""
    person = life.person

    def in_stay(at: datetime) -> bool:
        return any(start - timedelta(hours=12) <= at <= end + timedelta(hours=12) for start, end, _ in life.stays)

    for condition in ("pancan", "celiac", "lupus"):
        if condition in person.diagnosed:
            encounters.appointments.append((person.diagnosed[condition], condition))
    for at, condition in encounters.appointments:
        while in_stay(at):
            at += timedelta(days=1)
        if at < person.end:
            person.diagnosed[condition] = at.replace(hour=0, minute=0)
            encounters.outpatient(at, must_record=condition)
    for at in person.consultations:
        if person.start < at < person.end and not in_stay(at):
            encounters.outpatient(at)
    year = person.start
    while year < person.end:
        chronic = sum(1 for condition in person.diagnosed if person.known(condition, year))
        for rate, kind in ((min(0.9, 0.34 + 0.05 * chronic), "OP"), (0.04 + 0.005 * chronic, "ER")):
            for _ in range(_poisson(rate, draw)):
                at = year + draw.random() * YEAR
                if at < person.end and not in_stay(at):
                    encounters.outpatient(at) if kind == "OP" else encounters.emergency(at)
        for vaccine, probability in VACCINES:
            at = year + draw.random() * YEAR
            if draw.chance(probability * 0.5) and at < person.end:
                life.chart.add(at.replace(hour=10, minute=0), f"CVX/{vaccine}", "drug_exposure")
        year += YEAR
    jab = datetime(2021, 3, 1, 10) + timedelta(days=draw.randint(0, 300))
    if person.start < jab < person.end and draw.chance(0.6):
        life.chart.add(jab, "CVX/208", "drug_exposure")
    for _, end, _ in life.stays:
        at = end + draw.days(6, 27)
        if draw.chance(0.45) and at < person.end and not in_stay(at):
            encounters.outpatient(at)


def _poisson(rate: float, draw: Draw) -> int:
    count, left = 0, draw.expovariate(1.0)
    while left < rate:
        count += 1
        left += draw.expovariate(1.0)
    return count
