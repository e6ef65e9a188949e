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
        "Lung Lesion": -3.9
        + 4.0 * has("lung_cancer")
        + 1.3 * has("cancer", "pancan")
        + 1.4 * has("copd")
        + 0.9 * smoker,
        "Lung Opacity": -2.4
        + 3.6 * infected
        + 1.8 * because("heart_failure", "copd")
        + 1.5 * has("copd", "lung_cancer"),
        "Edema": -3.4 + 2.1 * failure + 2.0 * has("esrd") + 0.6 * has("ckd3"),
        "Consolidation": -3.7 + 4.0 * infected + 1.3 * has("copd", "lung_cancer"),
        "Pneumonia": -4.0 + 4.6 * infected + 1.1 * has("copd") + 0.5 * age,
        "Atelectasis": -2.9 + 2.6 * surgical + 1.3 * has("copd") + 1.0 * failure + 0.5 * age,
        "Pneumothorax": -4.2 + 6.0 * because("pneumothorax") + 2.6 * because("rib_fracture") + 1.5 * has("copd"),
        "Pleural Effusion": -3.1 + 1.5 * failure + 2.4 * has("cirrhosis") + 1.5 * has("esrd", "lung_cancer", "lupus"),
        "Pleural Other": -4.0 + 2.2 * has("copd") + 2.0 * has("lung_cancer") + 1.6 * has("arthritis", "lupus"),
        "Fracture": -4.3 + 5.5 * because("rib_fracture") + 2.2 * because("hip_fracture") + 2.4 * has("osteoporosis"),
        "Support Devices": -2.9 + 1.5 * in_intensive_care + 2.4 * has("esrd") + 1.6 * has("fibrillation", "cancer"),
    }
    log_odds["Support Devices"] += 0.9 * ill.severity
    present = {finding for finding, x in log_odds.items() if draw.chance(logistic(x))}
    if not present - {"Support Devices"}:
        present.add("No Finding")
    return sum((finding in present) << (13 - bit) for bit, finding in enumerate(CHEXPERT_LABELS))
