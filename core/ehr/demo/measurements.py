"""Vital signs and laboratory values that follow from a person's diseases, drugs and acute illness."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from core.ehr.demo.person import Draw, Person

LISINOPRIL, LOSARTAN, THIAZIDE, FUROSEMIDE, SPIRONOLACTONE = "29046", "52175", "5487", "4603", "9997"
GLARGINE, LISPRO, GLIPIZIDE, SERTRALINE, PREDNISONE, EPOETIN = "274783", "86009", "4821", "36437", "8640", "105694"
PRESSURE_DRUGS = (LISINOPRIL, LOSARTAN, THIAZIDE, "17767", "6918")

Reading = tuple[str, float, str]
"""LOINC code without prefix, value, UCUM unit."""


@dataclass(frozen=True)
class Constitution:
    """A person's own level of each quantity when healthy."""

    hemoglobin: float  # g/dL
    platelets: float  # 10*3/uL
    potassium: float  # mmol/L
    sodium: float  # mmol/L
    glucose: float  # mg/dL
    systolic: float  # mm[Hg]
    creatinine: float  # mg/dL
    brittle: float  # probability that a glucose under insulin is low


def draw_constitution(person: Person, draw: Draw) -> Constitution:
    """Draw a person's own levels."""
    return Constitution(
        hemoglobin=draw.normal(13.5 if person.female else 14.9, 0.7),
        platelets=draw.normal(255, 42),
        potassium=draw.normal(4.15, 0.18),
        sodium=draw.normal(140.3, 1.1),
        glucose=draw.normal(94, 7),
        systolic=draw.normal(120, 6),
        creatinine=max(0.5, draw.normal(0.78 if person.female else 0.98, 0.12)),
        brittle=draw.choices([0.04, 0.2, 0.42], [0.4, 0.35, 0.25])[0],
    )


@dataclass(frozen=True)
class Illness:
    """The acute illness of a stay. ``severity`` is about standard normal over stays."""

    reason: str = ""
    severity: float = 0.0


def under_chemotherapy(person: Person, at: datetime) -> bool:
    """True in the nine months after the diagnosis of a cancer."""
    return any(
        kind in person.diagnosed and 0 <= (at - person.diagnosed[kind]).days < 270
        for kind in ("breast_cancer", "colon_cancer", "lung_cancer", "pancan")
    )


def _chemistry(
    person: Person, own: Constitution, at: datetime, drugs: Collection[str], ill: Illness, draw: Draw
) -> dict:
    def has(condition: str) -> float:
        return float(person.has(condition, at))

    def takes(drug: str) -> float:
        return float(drug in drugs)

    def soon(condition: str) -> float:  # from 400 days before its signs end in a diagnosis, or do not
        return float(condition in person.suspected and (person.suspected[condition] - at).days < 400)

    chemo = float(under_chemotherapy(person, at))
    ckd, late, end_stage, liver = has("ckd3"), has("ckd4"), has("esrd"), has("cirrhosis")
    acute = max(0.0, ill.severity) * bool(ill.reason)
    is_reason = {ill.reason: 1.0}.get
    creatinine = own.creatinine * (1 + 0.6 * ckd) + 1.5 * late + 3.0 * end_stage
    creatinine += is_reason("kidney", 0.0) * draw.uniform(1.0, 3.0) + 0.25 * acute
    hemoglobin = own.hemoglobin - (0.6 * ckd + 1.2 * late + 0.7 * end_stage - 0.6 * takes(EPOETIN))
    hemoglobin -= 2.0 * chemo + 2.0 * has("iron_deficiency") + 1.2 * liver + 1.0 * soon("celiac") + 1.0 * soon("lupus")
    hemoglobin -= 0.6 * soon("pancan") + 0.6 * has("arthritis") + 0.35 * max(0.0, (person.age(at) - 70) / 10)
    hemoglobin -= (
        3.0 * is_reason("bleeding", 0.0) + 3.2 * is_reason("anemia", 0.0) + 1.8 * is_reason("hip_fracture", 0.0)
    )
    hemoglobin -= 1.2 * is_reason("knee", 0.0) + 0.4 * acute
    platelets = own.platelets * (1 - 0.5 * liver) * (1 - 0.35 * chemo) * (1 - 0.25 * soon("lupus"))
    platelets *= (1 - 0.15 * float(person.drinker)) * (1 - 0.5 * is_reason("neutropenia", 0.0))
    platelets *= 1 - 0.22 * is_reason("sepsis", 0.0) * min(1.5, acute)
    potassium = own.potassium + 0.25 * ckd + 0.35 * late + 0.45 * end_stage
    potassium += 0.2 * (takes(LISINOPRIL) + takes(LOSARTAN)) * (1 + ckd) + 0.35 * takes(SPIRONOLACTONE) * (1 + ckd)
    potassium -= 0.3 * takes(THIAZIDE) + 0.25 * takes(FUROSEMIDE)
    potassium += 0.8 * is_reason("kidney", 0.0) + 0.7 * is_reason("dialysis", 0.0) + 0.5 * is_reason("ketoacidosis", 0)
    sodium = own.sodium - 1.8 * has("heart_failure") - 4.2 * liver - 2.6 * takes(THIAZIDE) - 1.4 * takes(SERTRALINE)
    sodium -= 4.0 * has("lung_cancer") + 1.5 * is_reason("heart_failure", 0.0) + 1.2 * is_reason("pneumonia", 0.0)
    sodium -= 1.5 * is_reason("liver", 0.0) + 0.7 * acute
    # what no record announces: a haemolysed sample, clumped platelets, a bleed, water after an operation
    hemoglobin -= draw.uniform(1.5, 3.5) * draw.chance(0.04)
    platelets *= draw.uniform(0.35, 0.6) if draw.chance(0.02) else 1.0
    potassium += draw.uniform(1.0, 2.2) * draw.chance(0.012)
    sodium -= draw.uniform(4, 9) * draw.chance(0.02)
    return {
        "creatinine": max(0.35, creatinine * draw.uniform(0.88, 1.12)),
        "hemoglobin": min(18.5, max(5.2, hemoglobin + draw.normal(0, 0.45))),
        "platelets": min(720, max(12, platelets * draw.uniform(0.86, 1.14))),
        "potassium": min(8.4, max(2.4, potassium + draw.normal(0, 0.36))),
        "sodium": min(156, max(112, sodium + draw.normal(0, 1.9))),
        "glucose": _glucose(person, own, at, drugs, ill, draw),
        "acute": acute,
    }


def _glucose(
    person: Person, own: Constitution, at: datetime, drugs: Collection[str], ill: Illness, draw: Draw
) -> float:
    on_insulin = GLARGINE in drugs or LISPRO in drugs
    low = 0.004 + own.brittle * on_insulin + (0.10 if GLIPIZIDE in drugs else 0) + 0.05 * person.has("cirrhosis", at)
    low += 0.02 * person.has("esrd", at) + (0.35 if ill.reason == "hypoglycemia" else 0)
    low += 0.04 * (ill.reason in ("sepsis", "withdrawal"))
    if draw.chance(min(0.75, low)):
        return draw.uniform(34, 69)
    level = own.glucose + 10 * (PREDNISONE in drugs) + 12 * max(0.0, ill.severity) * bool(ill.reason)
    if person.has("diabetes", at) or person.has("type1", at):
        level += draw.uniform(20, 110)
    if ill.reason == "ketoacidosis":
        level += 220
    return min(720, max(71, level + draw.normal(0, 9)))


def lab_panel(
    person: Person, own: Constitution, at: datetime, drugs: Collection[str], draw: Draw, ill: Illness | None = None
) -> list[Reading]:
    """One blood draw: blood count and metabolic panel, in the units of the person's clinic."""
    ill = ill or Illness()
    value = _chemistry(person, own, at, drugs, ill, draw)
    hb, metric = value["hemoglobin"], person.metric_units
    leukocytes = draw.normal(7.0, 1.5) + 3.2 * value["acute"]
    if under_chemotherapy(person, at):
        leukocytes *= 0.55 if ill.reason != "neutropenia" else 0.15
    chloride = value["sodium"] - 37 + draw.normal(0, 2)
    bicarbonate = 25.5 - 2.0 * person.has("ckd4", at) - 1.6 * value["acute"] + draw.normal(0, 1.6)
    if ill.reason == "ketoacidosis":
        bicarbonate -= 9
    urea = 12 * (value["creatinine"] / 0.9) ** 0.8 * draw.uniform(0.8, 1.25) + 4 * value["acute"]
    return [
        ("718-7", round(hb * 10), "g/L") if metric else ("718-7", round(hb, 1), "g/dL"),
        ("4544-3", round(hb * 3 + draw.normal(0, 1), 1), "%"),
        ("789-8", round(hb / 3.0 + draw.normal(0, 0.15), 2), "10*6/uL"),
        ("6690-2", round(max(0.3, leukocytes), 1), "10*3/uL"),
        ("777-3", round(value["platelets"]), "10*3/uL"),
        ("2951-2", round(value["sodium"]), "mmol/L"),
        ("2823-3", round(value["potassium"], 1), "mmol/L" if metric else "meq/L"),
        ("2075-0", round(chloride), "mmol/L"),
        ("2028-9", round(max(7, bicarbonate)), "mmol/L"),
        ("17861-6", round(draw.normal(9.4, 0.4) - 0.3 * person.has("ckd4", at), 1), "mg/dL"),
        ("14749-6", round(value["glucose"] / 18.016, 1), "mmol/L")
        if metric
        else ("2345-7", round(value["glucose"]), "mg/dL"),
        ("3094-0", round(urea), "mg/dL"),
        ("2160-0", round(value["creatinine"], 2), "mg/dL"),
        ("33037-3", round(value["sodium"] - chloride - bicarbonate), "mmol/L"),
    ]


def vital_signs(
    person: Person, own: Constitution, at: datetime, drugs: Collection[str], draw: Draw, ill: Illness | None = None
) -> list[Reading]:
    """Vital signs; with an acute illness they carry its severity."""
    ill = ill or Illness()
    acute = max(-0.5, ill.severity) if ill.reason else 0.0
    systolic = own.systolic + 0.25 * (person.age(at) - 50)
    if person.has("hypertension", at):
        systolic += 12 if any(drug in drugs for drug in PRESSURE_DRUGS) else 27
    systolic -= 13 * max(0.0, acute)
    diastolic = 48 + 0.25 * systolic
    temperature = 36.7 + 0.9 * (ill.reason in ("sepsis", "pneumonia", "neutropenia", "cellulitis", "urinary"))
    saturation = 97.6 - 2.0 * person.has("copd", at) - 1.9 * max(0.0, acute)
    saturation -= 3.0 * (ill.reason in ("pneumonia", "copd", "heart_failure"))
    celsius = temperature + draw.normal(0, 0.3)
    return [
        ("8480-6", round(max(62, systolic + draw.normal(0, 9))), "mm[Hg]"),
        ("8462-4", round(max(35, diastolic + draw.normal(0, 6))), "mm[Hg]"),
        ("8867-4", round(min(190, 74 + 13 * max(0.0, acute) + draw.normal(0, 9))), "/min"),
        ("9279-1", round(min(45, 15 + 3.2 * max(0.0, acute) + draw.normal(0, 1.6))), "/min"),
        ("8310-5", round(celsius, 1), "Cel")
        if person.metric_units
        else ("8310-5", round(celsius * 1.8 + 32, 1), "[degF]"),
        (
            "59408-5" if person.metric_units else "2708-6",
            round(min(100, max(72, saturation + draw.normal(0, 1)))),
            "%",
        ),
    ]


def body_metrics(person: Person, at: datetime, draw: Draw) -> list[Reading]:
    """Weight, height and body mass index; weight falls before and after cancer of the pancreas."""
    bmi = person.bmi + draw.normal(0, 0.4)
    pancan = person.suspected.get("pancan")
    if pancan is not None and (pancan - at).days < 250:
        bmi -= 3.0
    celiac = person.suspected.get("celiac")
    if celiac is not None and 0 < (celiac - at).days < 500:
        bmi -= 1.2
    kilograms = bmi * (person.height_cm / 100) ** 2
    per_kilogram = {"kg": 1.0, "[lb_av]": 2.20462, "[oz_av]": 35.27396}[person.weight_unit]
    height = (person.height_cm, "cm") if person.metric_units else (person.height_cm / 2.54, "[in_i]")
    return [
        ("29463-7", round(kilograms * per_kilogram, 1), person.weight_unit),
        ("8302-2", round(height[0], 1), height[1]),
        ("39156-5", round(bmi, 1), "kg/m2"),
    ]
