"""Chest X-ray findings of a stay, as CheXpert's 14 bits."""

from datetime import datetime

from core.ehr.demo.measurements import Illness
from core.ehr.demo.person import Draw, Person, logistic
from core.ehr.tasks import CHEXPERT_LABELS


def chest_findings(person: Person, at: datetime, ill: Illness, in_intensive_care: bool, draw: Draw) -> int:
    """Draw the findings of a chest X-ray report; the result is the label's integer."""

    def has(*conditions: str) -> float:
        return float(any(person.has(condition, at) for condition in conditions))

    def because(*reasons: str) -> float:
        return float(ill.reason in reasons)

    age = (person.age(at) - 65) / 10
    failure = has("heart_failure") + 1.6 * because("heart_failure")
    surgical = because("hip_fracture", "knee", "biliary", "rib_fracture", "appendicitis")
    infected = because("pneumonia") + 0.6 * because("sepsis", "neutropenia")
    smoker = float(person.smoking == "current")
    log_odds = {
        "Enlarged Cardiomediastinum": -3.9
        + 2.2 * has("heart_failure", "fibrillation")
        + 1.2 * has("lung_cancer")
        + 0.8 * age,
        "Cardiomegaly": -3.4 + 2.0 * failure + 1.6 * has("esrd", "fibrillation") + 0.5 * age,
        "Lung Lesion": -4.3 + 4.2 * has("lung_cancer") + 3.6 * has("nodule") + 1.2 * has("copd") + 0.8 * smoker,
        "Lung Opacity": -2.6
        + 3.8 * infected
        + 2.0 * because("heart_failure", "copd")
        + 1.6 * has("copd", "lung_cancer"),
        "Edema": -3.4 + 2.1 * failure + 2.0 * has("esrd") + 0.6 * has("ckd3"),
        "Consolidation": -4.7 + 5.4 * infected + 1.3 * has("copd", "lung_cancer"),
        "Pneumonia": -5.0 + 6.0 * infected + 1.0 * has("copd") + 0.4 * age,
        "Atelectasis": -3.2 + 3.2 * surgical + 1.5 * has("copd") + 1.1 * failure + 0.5 * age,
        "Pneumothorax": -5.0 + 7.0 * because("pneumothorax") + 4.2 * because("rib_fracture") + 1.4 * has("copd"),
        "Pleural Effusion": -3.2 + 1.6 * failure + 2.8 * has("cirrhosis") + 1.7 * has("esrd", "lung_cancer", "lupus"),
        "Pleural Other": -4.7 + 5.0 * has("plaque") + 1.8 * has("copd") + 1.6 * has("lung_cancer"),
        "Fracture": -5.0 + 6.6 * because("rib_fracture") + 3.2 * because("hip_fracture") + 2.8 * has("osteoporosis"),
        "Support Devices": -3.1
        + 1.5 * in_intensive_care
        + 2.6 * has("esrd")
        + 3.6 * has("pacemaker")
        + 1.4 * has("cancer"),
    }
    log_odds["Support Devices"] += 0.9 * ill.severity
    present = {finding for finding, x in log_odds.items() if draw.chance(logistic(x))}
    if not present - {"Support Devices"}:
        present.add("No Finding")
    return sum((finding in present) << (13 - bit) for bit, finding in enumerate(CHEXPERT_LABELS))
