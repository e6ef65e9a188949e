"""What a condition, a prodrome or a reason for admission leaves in the record: diagnoses, drugs, procedures."""

from dataclasses import dataclass

Weighted = tuple[tuple[str, float], ...]
"""Codes without their vocabulary prefix, each with the probability that a visit records it."""

CONDITION_CODES: dict[str, Weighted] = {
    "hypertension": (("I10", 0.8),),
    "hyperlipidemia": (("E78.5", 0.5), ("E78.2", 0.25)),
    "diabetes": (("E11.9", 0.55), ("E11.65", 0.3)),
    "type1": (("E10.9", 0.9),),
    "insulin": (("Z79.4", 0.6),),
    "ckd3": (("N18.30", 0.8),),
    "ckd4": (("N18.4", 0.85), ("D63.1", 0.4)),
    "esrd": (("N18.6", 0.9), ("Z99.2", 0.8), ("D63.1", 0.5)),
    "cad": (("I25.10", 0.8),),
    "heart_failure": (("I50.9", 0.8),),
    "fibrillation": (("I48.91", 0.7),),
    "copd": (("J44.9", 0.8),),
    "asthma": (("J45.909", 0.6),),
    "cirrhosis": (("K74.60", 0.9), ("K76.6", 0.4), ("D69.6", 0.4)),
    "alcohol": (("F10.20", 0.6),),
    "chronic_pancreatitis": (("K86.1", 0.7),),
    "breast_cancer": (("C50.919", 0.8),),
    "colon_cancer": (("C18.9", 0.8),),
    "lung_cancer": (("C34.90", 0.8),),
    "thyroid": (("E06.3", 0.4), ("E03.9", 0.5)),
    "depression": (("F32.A", 0.6),),
    "arthrosis": (("M19.90", 0.5),),
    "reflux": (("K21.9", 0.5),),
    "osteoporosis": (("M81.0", 0.5),),
    "iron_deficiency": (("D50.9", 0.7),),
    "bowel": (("K58.9", 0.6),),
    "crohn": (("K50.90", 0.8),),
    "arthritis": (("M06.9", 0.8),),
    "sjogren": (("M35.00", 0.8),),
    "fibromyalgia": (("M79.7", 0.6),),
    "nodule": (("R91.1", 0.8),),
    "plaque": (("J92.9", 0.85),),
    "pacemaker": (("Z95.0", 0.85),),
    "pancan": (("C25.9", 0.95),),
    "celiac": (("K90.0", 0.95),),
    "lupus": (("M32.9", 0.95), ("M32.14", 0.2)),
    "infarction": (("I25.2", 0.6),),
}

CONDITION_DRUGS: dict[str, Weighted] = {
    "hypertension": (("29046", 0.5), ("17767", 0.4), ("5487", 0.35), ("52175", 0.25)),
    "hyperlipidemia": (("83367", 0.6), ("301542", 0.2)),
    "diabetes": (("6809", 0.75), ("4821", 0.3)),
    "type1": (("274783", 1.0), ("86009", 1.0), ("4832", 0.5)),
    "insulin": (("274783", 1.0), ("86009", 0.6)),
    "ckd4": (("105694", 0.4), ("4603", 0.4)),
    "esrd": (("105694", 0.7), ("214824", 0.8)),
    "cad": (("1191", 0.8), ("6918", 0.5), ("4917", 0.3)),
    "heart_failure": (("4603", 0.8), ("20352", 0.6), ("9997", 0.45), ("29046", 0.4)),
    "fibrillation": (("1364430", 0.5), ("11289", 0.3)),
    "copd": (("435", 0.8), ("69120", 0.6)),
    "asthma": (("435", 0.8), ("41126", 0.5)),
    "cirrhosis": (("6218", 0.6), ("9997", 0.6), ("35619", 0.4)),
    "alcohol": (("10454", 0.5), ("4511", 0.5)),
    "thyroid": (("10582", 0.8),),
    "depression": (("36437", 0.7),),
    "arthrosis": (("5640", 0.4), ("161", 0.5)),
    "reflux": (("7646", 0.7),),
    "osteoporosis": (("2418", 0.6),),
    "iron_deficiency": (("24947", 0.8),),
    "crohn": (("8640", 0.4),),
    "arthritis": (("6851", 0.6), ("8640", 0.3)),
    "sjogren": (("5521", 0.4),),
    "celiac": (("24947", 0.5), ("2418", 0.4)),
    "lupus": (("5521", 0.9), ("8640", 0.5)),
    "infarction": (("32968", 0.8), ("83367", 0.6)),
}

CHEMOTHERAPY: dict[str, tuple[str, ...]] = {
    "breast_cancer": ("56946", "40048"),
    "colon_cancer": ("32592", "4492"),
    "lung_cancer": ("40048", "56946"),
    "pancan": ("12574", "4492"),
}

SUPERSEDED: dict[str, str] = {"ckd3": "ckd4", "ckd4": "esrd"}
"""A stage that is not coded any more once the next one is known."""

PRODROME: dict[str, Weighted] = {
    "hypertension": (("R03.0", 0.75),),
    "hyperlipidemia": (("Z13.220", 0.75), ("Z83.42", 0.55), ("R73.03", 0.65)),
    "pancan": (("R63.4", 0.65), ("R10.13", 0.6), ("R17", 0.45), ("R63.0", 0.4), ("K86.2", 0.35), ("K83.1", 0.3)),
    "celiac": (("R19.7", 0.5), ("R14.0", 0.45), ("D50.9", 0.4), ("K90.9", 0.35), ("E55.9", 0.3), ("E53.8", 0.25)),
    "lupus": (("M25.50", 0.5), ("R21", 0.4), ("R76.8", 0.35), ("L56.8", 0.3), ("R80.9", 0.25), ("I73.00", 0.2)),
    "infarction": (("I20.9", 0.5), ("R07.9", 0.5), ("I20.0", 0.3)),
}
"""Signs that are recorded before the diagnosis, per visit."""

BACKGROUND: Weighted = (
    ("J06.9", 0.10),
    ("M54.50", 0.09),
    ("R53.83", 0.08),
    ("R51.9", 0.06),
    ("R05.9", 0.05),
    ("M25.50", 0.05),
    ("R10.84", 0.04),
    ("R07.9", 0.03),
    ("R21", 0.03),
    ("R10.13", 0.02),
    ("R19.7", 0.02),
    ("R63.4", 0.01),
    ("R60.0", 0.03),
    ("E55.9", 0.03),
    ("R03.0", 0.02),
    ("Z13.220", 0.02),
    ("K12.0", 0.01),
    ("L65.9", 0.01),
)
"""Complaints of everybody, at any outpatient visit."""


@dataclass(frozen=True)
class Reason:
    """A reason for admission.

    Attributes:
        codes: diagnoses recorded on the first day.
        drugs, procedures: given and done during the stay.
        days: median length of stay.
        severity: how much it adds to the severity of illness (standard normal).
        planned: an elective stay, which illness does not prolong as much.
    """

    codes: Weighted
    drugs: Weighted = ()
    procedures: Weighted = ()
    days: float = 4.0
    severity: float = 0.0
    planned: bool = False


REASONS: dict[str, Reason] = {
    "heart_failure": Reason((("I50.23", 1.0), ("R06.02", 0.6), ("R60.0", 0.5)), (("4603", 1.0),), (), 5.2, 0.35),
    "copd": Reason((("J44.1", 1.0), ("R06.02", 0.6)), (("8640", 0.9), ("435", 0.9), ("18631", 0.5)), (), 4.2, 0.3),
    "asthma": Reason((("J45.901", 1.0), ("R06.02", 0.7)), (("8640", 0.9), ("435", 1.0)), (), 2.4, -0.3),
    "pneumonia": Reason((("J18.9", 1.0), ("R05.9", 0.6)), (("2193", 0.9), ("18631", 0.8)), (), 5.0, 0.4),
    "sepsis": Reason((("A41.9", 1.0), ("N39.0", 0.4)), (("11124", 0.8), ("74169", 0.8)), (), 8.8, 1.2),
    "urinary": Reason((("N39.0", 1.0), ("R41.82", 0.3)), (("2193", 0.9),), (), 3.2, -0.2),
    "cellulitis": Reason((("L03.90", 1.0),), (("11124", 0.6), ("2193", 0.4)), (), 3.8, -0.4),
    "bleeding": Reason(
        (("K92.2", 1.0), ("D62", 0.8)), (("40790", 0.9),), (("0DJ08ZZ", 0.8), ("30233N1", 0.7)), 4.2, 0.5
    ),
    "anemia": Reason((("D50.9", 1.0), ("R53.83", 0.7)), (("24947", 0.8),), (("30233N1", 0.7),), 2.6, -0.3),
    "hip_fracture": Reason(
        (("S72.001A", 1.0), ("W19.XXXA", 0.8)), (("7804", 0.7), ("5224", 0.7)), (("0SR90J9", 0.8),), 8.0, 0.1
    ),
    "rib_fracture": Reason((("S22.39XA", 1.0), ("W19.XXXA", 0.8)), (("7804", 0.7), ("161", 0.6)), (), 3.4, 0.0),
    "pneumothorax": Reason((("J93.83", 1.0), ("R06.02", 0.6)), (("7052", 0.4),), (), 5.0, 0.3),
    "kidney": Reason((("N17.9", 1.0), ("E87.5", 0.4)), (), (), 5.2, 0.3),
    "dialysis": Reason((("N18.6", 1.0), ("E87.5", 0.5)), (), (("5A1D70Z", 1.0),), 4.4, 0.4),
    "hypoglycemia": Reason((("R41.82", 0.6),), (("4832", 0.6),), (), 2.4, 0.0),
    "ketoacidosis": Reason((("E10.10", 1.0), ("E87.20", 0.6)), (("86009", 1.0),), (), 3.6, 0.8),
    "liver": Reason(
        (("K74.60", 1.0), ("R18.8", 0.7), ("K76.82", 0.5)), (("6218", 0.9),), (("0W9G3ZZ", 0.6),), 6.4, 0.5
    ),
    "withdrawal": Reason((("F10.239", 1.0),), (("6470", 1.0), ("10454", 0.8)), (), 4.2, 0.4),
    "neutropenia": Reason((("D70.1", 1.0), ("D64.81", 0.5), ("D69.59", 0.5)), (("74169", 0.9),), (), 6.0, 0.4),
    "pancreatitis": Reason(
        (("K85.90", 1.0), ("R10.13", 0.7), ("R63.0", 0.2), ("K86.2", 0.12)), (("7052", 0.6),), (), 5.0, 0.2
    ),
    "biliary": Reason(
        (("K81.0", 0.8), ("K80.20", 0.7), ("R17", 0.35), ("R10.13", 0.3)),
        (("74169", 0.4),),
        (("0FT44ZZ", 0.7),),
        3.4,
        -0.2,
    ),
    "abdominal": Reason(
        (("R10.84", 0.7), ("R10.13", 0.3), ("R63.4", 0.25), ("R19.7", 0.3), ("R14.0", 0.2)),
        (),
        (("0DJ08ZZ", 0.5),),
        3.0,
        -0.4,
    ),
    "diverticulitis": Reason((("K57.92", 1.0),), (("74169", 0.7),), (), 3.8, -0.2),
    "appendicitis": Reason((("K35.80", 1.0),), (("2193", 0.8),), (("0DTJ4ZZ", 0.9),), 2.2, -0.6),
    "chest_pain": Reason(
        (("R07.9", 0.9), ("I20.9", 0.3)), (("1191", 0.8), ("4917", 0.5)), (("4A023N7", 0.4),), 2.0, -0.3
    ),
    "infarction": Reason(
        (("I21.4", 1.0), ("R07.9", 0.4)), (("1191", 1.0), ("32968", 0.9), ("5224", 0.9)), (("027034Z", 0.7),), 4.2, 0.7
    ),
    "stroke": Reason((("I63.9", 1.0), ("R41.82", 0.4)), (("1191", 0.8), ("83367", 0.7)), (), 7.6, 0.5),
    "inflammation": Reason(
        (("M25.50", 0.8), ("I30.9", 0.35), ("R21", 0.3), ("R76.8", 0.25), ("R80.9", 0.12)),
        (("8640", 0.8), ("5640", 0.4)),
        (),
        3.6,
        -0.1,
    ),
    "knee": Reason((("M17.11", 1.0),), (("7804", 0.8), ("5224", 0.6)), (("0SRC0J9", 1.0),), 2.6, -1.2, True),
    "tumor": Reason((("R63.4", 0.4), ("R10.13", 0.3)), (("26225", 0.7), ("7052", 0.5)), (), 5.4, 0.2),
}

SEVERE_CODES: Weighted = (("J96.01", 0.8), ("I95.9", 0.7), ("E87.20", 0.6), ("R65.20", 0.5), ("R41.82", 0.4))
"""Signs of severe illness, recorded on the first day in proportion to severity."""

INTENSIVE_CARE: Weighted = (("02HV33Z", 0.7), ("0BH17EZ", 0.45), ("5A1945Z", 0.45))
INTENSIVE_CARE_DRUGS: Weighted = (("7512", 0.7), ("8782", 0.5))

PRODROMAL_REASONS: dict[str, tuple[str, ...]] = {
    "pancan": ("pancreatitis", "biliary", "abdominal"),
    "celiac": ("abdominal", "anemia", "abdominal"),
    "lupus": ("inflammation", "inflammation", "kidney"),
    "infarction": ("chest_pain", "chest_pain", "heart_failure"),
}
"""Why somebody is admitted in the year before a diagnosis."""
