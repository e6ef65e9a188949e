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
    log_odds = {
        "Enlarged Cardiomediastinum": -3.0 + 1.3 * has("heart_failure", "fibrillation") + 0.5 * age,
        "Cardiomegaly": -2.7 + 1.8 * failure + 0.9 * has("esrd", "fibrillation") + 0.3 * age,
        "Lung Lesion": -3.2 + 3.6 * has("lung_cancer") + 1.0 * has("cancer", "pancan") + 0.9 * has("copd"),
        "Lung Opacity": -1.6
        + 2.4 * because("pneumonia")
        + 1.3 * because("sepsis", "heart_failure")
        + 0.9 * has("copd"),
        "Edema": -3.1 + 1.9 * failure + 1.5 * has("esrd") + 0.6 * has("ckd3"),
        "Consolidation": -3.2 + 3.2 * because("pneumonia") + 1.2 * because("sepsis"),
        "Pneumonia": -3.3 + 3.6 * because("pneumonia") + 1.3 * because("sepsis", "neutropenia"),
        "Atelectasis": -1.9 + 1.4 * because("hip_fracture", "knee", "biliary", "rib_fracture") + 0.3 * age,
        "Pneumothorax": -4.0 + 5.4 * because("pneumothorax") + 1.9 * because("rib_fracture") + 0.8 * has("copd"),
        "Pleural Effusion": -2.5 + 1.3 * failure + 1.8 * has("cirrhosis") + 1.0 * has("esrd", "lung_cancer", "lupus"),
        "Pleural Other": -3.5 + 1.7 * has("copd") + 1.2 * has("lung_cancer", "arthritis", "lupus"),
        "Fracture": -3.8 + 4.8 * because("rib_fracture") + 1.7 * because("hip_fracture") + 1.4 * has("osteoporosis"),
        "Support Devices": -2.4 + 3.0 * in_intensive_care + 1.6 * has("esrd") + 0.8 * has("fibrillation"),
    }
    log_odds["Support Devices"] += 0.7 * ill.severity
    present = {finding for finding, x in log_odds.items() if draw.chance(logistic(x))}
    if not present - {"Support Devices"}:
        present.add("No Finding")
    return sum((finding in present) << (13 - bit) for bit, finding in enumerate(CHEXPERT_LABELS))
