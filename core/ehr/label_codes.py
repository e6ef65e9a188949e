"""Which events the EHRSHOT label definitions look at: stays, intensive care, laboratory results, diagnoses.

Source: Wornow et al. 2023 (EHRSHOT) and its labelers. Data that carry other codes for the same thing are covered by
added codes, each marked: the LOINC codes below EHRSHOT's LOINC parts and groups, for data without that hierarchy, and
ICD codes for data without SNOMED.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from core.ehr.aggregated_concepts import CONCEPTS
from core.ehr.units import to_concept_unit
from core.ehr.vocabulary import Vocabulary, vocabulary_of

INPATIENT_CODES = ("Visit/IP", "Visit/ERIP")
"""Inpatient visits: EHRSHOT's, and OMOP's visit that begins in the emergency room and goes on as an admission."""

ADMISSION_PREFIX, DISCHARGE_PREFIX = "HOSPITAL_ADMISSION", "HOSPITAL_DISCHARGE"
"""MIMIC-IV in MEDS has two events for one stay instead of one with an end."""

EHRSHOT_INTENSIVE_CARE = frozenset(
    f"{prefix}/{number}"
    for prefix in ("CARE_SITE", "CARE SITE")
    for number in (
        *(7928450, 7930385, 7930600, 7928852, 7928619, 7929727, 7928675, 7930225, 7928759, 7928227, 7928810, 7929179),
        *(7928650, 7929351, 7928457, 7928195, 7930681, 7930670, 7930176, 7931420, 7929149, 7930857, 7931186, 7930934),
        7930924,
    )
)
"""Care sites of the EHRSHOT release whose names say ICU (the release has no names for them)."""

_PLACES = {
    "CARE_SITE",
    "CARE SITE",
    "VISIT",
    "VISIT DETAIL",
    "CMS PLACE OF SERVICE",
    "ICU_ADMISSION",
    "TRANSFER_TO",
    "DEPARTMENT",
    "LOCATION",
}
_INTENSIVE = re.compile(r"\b(?:[A-Z]*ICU|intensive[ -]care|critical[ -]care|coronary care unit|CCU)\b", re.IGNORECASE)


def intensive_care_codes(codes: Iterable[str], vocabulary: Vocabulary) -> frozenset[str]:
    """Those of ``codes`` that say that somebody is in intensive care: a place named so, or EHRSHOT's care sites."""
    found = set()
    for code in codes:
        if code in EHRSHOT_INTENSIVE_CARE:
            found.add(code)
        elif vocabulary_of(code).upper() in _PLACES:
            text = code.replace("_", " ").replace("/", " ") + " " + (vocabulary.describe(code) or "")
            if _INTENSIVE.search(text):
                found.add(code)
    return frozenset(found)


@dataclass(frozen=True)
class LabDefinition:
    """A laboratory task.

    Attributes:
        roots: EHRSHOT's codes; their descendants count too.
        added: LOINC codes below the roots, for vocabularies that lack the hierarchy.
        units: unit as :func:`unit_key` writes it -> factor to the unit of the thresholds.
        assumed_unit: how a value without unit is read.
        concept: aggregated concept by which a unit is read that ``units`` does not list, as the record reads it.
        scale: factor from that concept's unit to the unit of the thresholds.
        any_unit: read a value in a unit that nothing knows as it stands (EHRSHOT does so for counts and sodium).
        grade: value in the unit of the thresholds -> severity 0 to 3.
    """

    roots: tuple[str, ...]
    added: tuple[str, ...]
    units: dict[str, float]
    assumed_unit: dict[str, str]
    grade: Callable[[float], int]
    concept: str
    scale: float = 1.0
    any_unit: bool = False

    def to_threshold_unit(self, value: float, unit: str | None, code: str) -> float | None:
        """A value in the unit of the thresholds; None where its unit is unknown or measures something else."""
        key = unit_key(unit) if unit else self.assumed_unit.get(code, self.assumed_unit[""])
        if key in self.units:
            return value * self.units[key]
        read = to_concept_unit(value, unit or "", next(one for one in CONCEPTS if one.name == self.concept))
        if read is not None:
            return read * self.scale
        return value if self.any_unit else None


def unit_key(unit: str) -> str:
    """A unit in one spelling: lower case, no spaces, no brackets, one sign for powers ("10*3/uL" -> "10^3/ul")."""
    key = unit.strip().lower().replace("µ", "u").replace("μ", "u")
    key = re.sub(r"\(.*?\)|\s|\[|\]", "", key)
    return re.sub(r"^x?10(?:\*\*|\*|e|\^)?(\d)", r"10^\1", key)


_MOLAR = {"mmol/l": 1.0, "meq/l": 1.0}
_COUNTS = {
    "10^3/ul": 1.0,
    "10^3/mm3": 1.0,
    "10^3/mcl": 1.0,
    "10^9/l": 1.0,
    "k/ul": 1.0,
    "k/mcl": 1.0,
    "k/mm3": 1.0,
    "thou/ul": 1.0,
    "thousand/ul": 1.0,
    "giga/l": 1.0,
    "/ul": 0.001,
    "/mm3": 0.001,
    "10^6/l": 0.001,
}


def _grade_low(mild: float, moderate: float, severe: float, inclusive: bool) -> Callable[[float], int]:
    def grade(value: float) -> int:
        if value < severe:
            return 3
        if value < moderate:
            return 2
        return int(value <= mild if inclusive else value < mild)

    return grade


def _grade_high(mild: float, moderate: float, severe: float) -> Callable[[float], int]:
    return lambda value: 3 if value > severe else 2 if value > moderate else int(value > mild)


LABS: dict[str, LabDefinition] = {
    "lab_thrombocytopenia": LabDefinition(
        roots=("LOINC/LP393218-5", "LOINC/LG32892-8", "LOINC/777-3"),
        added=("LOINC/26515-7", "LOINC/778-1", "LOINC/49497-1"),
        units=_COUNTS,
        assumed_unit={"": "10^3/ul"},
        grade=_grade_low(150, 100, 50, inclusive=False),
        concept="Platelets",
        any_unit=True,
    ),
    "lab_hyperkalemia": LabDefinition(
        roots=("LOINC/LG7931-1", "LOINC/LP386618-5", "LOINC/LG10990-6", "LOINC/6298-4", "LOINC/2823-3"),
        added=("LOINC/32713-0", "LOINC/75940-7"),
        # EHRSHOT divides mg/dL by 18, which is glucose's factor; the molar mass of potassium is 39.1 g/mol.
        units=_MOLAR | {"mg/dl": 10 / 39.1},
        assumed_unit={"": "mmol/l"},
        grade=_grade_high(5.5, 6, 7),
        concept="Potassium",
    ),
    "lab_hypoglycemia": LabDefinition(
        roots=("SNOMED/33747003", "LOINC/LP416145-3", "LOINC/14749-6"),
        added=("LOINC/2345-7", "LOINC/2339-0", "LOINC/2340-8", "LOINC/41653-7"),
        units=_MOLAR | {"mg/dl": 1 / 18},
        assumed_unit={"": "mg/dl", "LOINC/14749-6": "mmol/l"},
        grade=_grade_low(3.9, 3.5, 3, inclusive=True),
        concept="Glucose",
        scale=1 / 18,
    ),
    "lab_hyponatremia": LabDefinition(
        roots=("LOINC/LG11363-5", "LOINC/2951-2", "LOINC/2947-0"),
        added=(),
        units=_MOLAR,
        assumed_unit={"": "mmol/l"},
        grade=_grade_low(135, 130, 125, inclusive=True),
        concept="Sodium",
        any_unit=True,
    ),
    "lab_anemia": LabDefinition(
        roots=("LOINC/LP392452-1",),
        added=("LOINC/718-7", "LOINC/20509-6", "LOINC/30313-1", "LOINC/30350-3"),
        units={"g/dl": 10.0, "g/l": 1.0, "mg/dl": 0.01},
        assumed_unit={"": "g/dl"},
        grade=_grade_low(120, 110, 70, inclusive=False),
        concept="Hemoglobin",
        scale=10.0,
    ),
}
"""Thresholds in 10^3/uL (platelets), mmol/L (potassium, glucose, sodium) and g/L (hemoglobin)."""

NORMAL_WORDS = ("normal", "adequate")
"""Text results that EHRSHOT reads as normal."""


@dataclass(frozen=True)
class DiagnosisDefinition:
    """A first-diagnosis task: EHRSHOT's SNOMED root (descendants count too), and ICD codes by prefix."""

    root: str
    icd10: tuple[str, ...]
    icd9: tuple[str, ...] = field(default=())


DIAGNOSES: dict[str, DiagnosisDefinition] = {
    "new_hypertension": DiagnosisDefinition("SNOMED/59621000", ("I10", "O100"), ("401",)),
    "new_hyperlipidemia": DiagnosisDefinition(
        "SNOMED/55822004",
        ("E780", "E781", "E782", "E783", "E784", "E785"),
        ("2720", "2721", "2722", "2723", "2724"),
    ),
    "new_pancan": DiagnosisDefinition("SNOMED/372003004", ("C25",), ("157",)),
    "new_celiac": DiagnosisDefinition("SNOMED/396331005", ("K900",), ("5790",)),
    "new_lupus": DiagnosisDefinition("SNOMED/55464009", ("M32",), ("7100",)),
    "new_acutemi": DiagnosisDefinition("SNOMED/57054005", ("I21", "I22"), ("410",)),
}

_ICD = re.compile(
    r"^(?:(?:ICD-?10(?:-?CM)?)/+|(?:DIAGNOSIS//)ICD//10//)(?P<ten>.+)$"
    r"|^(?:(?:ICD-?9(?:-?CM)?)/+|(?:DIAGNOSIS//)ICD//9//)(?P<nine>.+)$",
    re.IGNORECASE,
)


def icd_code(code: str) -> tuple[int, str] | None:
    """Revision (9 or 10) and undotted code of an ICD diagnosis ("ICD10CM/I21.4" -> 10, "I214"), or None."""
    match = _ICD.match(code)
    if match is None:
        return None
    revision, text = (10, match["ten"]) if match["ten"] else (9, match["nine"])
    return revision, text.replace(".", "").upper()


def diagnosis_codes(definition: DiagnosisDefinition, codes: Iterable[str], vocabulary: Vocabulary) -> frozenset[str]:
    """Those of ``codes`` that are this diagnosis."""
    below = vocabulary.descendants([definition.root])
    found = set()
    for code in codes:
        icd = icd_code(code)
        prefixes = () if icd is None else definition.icd10 if icd[0] == 10 else definition.icd9
        if code in below or (icd is not None and icd[1].startswith(prefixes)):
            found.add(code)
    return frozenset(found)


def lab_codes(definition: LabDefinition, codes: Iterable[str], vocabulary: Vocabulary) -> frozenset[str]:
    """Those of ``codes`` that are results of this laboratory task."""
    return (vocabulary.descendants(definition.roots) | set(definition.added)) & set(codes)
