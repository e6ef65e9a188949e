"""The 24 aggregated concepts: body metrics, vital signs and laboratory results shown with their last values.

Codes, plausibility windows, normal ranges, units and decimals are those of the paper's code (Hegselmann et al.,
arXiv 2502.17403; reference section 1.4), in the order of its document. What the profile ``corrected`` changes stands
beside it: the 100.4 degree limit (the paper's list reads ``[95, 100,4]``), the two usual oxygen saturation codes and
ranges by sex. Molar masses serve the conversion of mmol/L and the like.

Ranges by sex: hemoglobin and hematocrit from the table of the American College of Physicians that the paper names
(it merges the sexes); erythrocytes and creatinine, which that table does not split, from Mayo Clinic Laboratories.
"""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Concept:
    """One aggregated concept.

    Attributes:
        name: as printed.
        section: ``body_metrics``, ``vital_signs`` or ``lab_results``.
        codes: codes of the paper.
        window: plausible values, ends included, in ``unit``; others are left out.
        normal: normal range of the paper in ``unit``, ends included; None prints no flag.
        unit: as printed.
        decimals: decimals printed; 0 cuts the fraction off, as the paper does.
        extra_codes: codes added by the profile ``corrected``.
        corrected_normal: normal range of ``corrected`` where it differs for everybody.
        normal_by_sex: normal ranges of ``corrected`` by sex, "M" and "F".
        molar_mass: g/mol of what is measured, for conversions between mass and amount.
        valence: charge number, for mEq; None where mEq makes no sense.
        unit_by_code: unit that a code implies where the event names none and it is not the concept's.
    """

    name: str
    section: str
    codes: tuple[str, ...]
    window: Range
    normal: Range | None
    unit: str
    decimals: int
    extra_codes: tuple[str, ...] = ()
    corrected_normal: Range | None = None
    normal_by_sex: tuple[tuple[str, Range], ...] = ()
    molar_mass: float | None = None
    valence: int | None = None
    unit_by_code: tuple[tuple[str, str], ...] = ()

    def normal_range(self, profile: str, sex: str | None = None) -> Range | None:
        """Normal range under ``profile`` for ``sex`` ("M", "F" or None for unknown)."""
        if profile == "paper":
            return self.normal
        return dict(self.normal_by_sex).get(sex or "") or self.corrected_normal or self.normal

    def implied_unit(self, code: str) -> str:
        """Return the unit that a code implies where the event names none, "" for the concept's own."""
        return dict(self.unit_by_code).get(code, "") if self.unit_by_code else ""

    def format(self, value: float) -> str:
        """Print a value with the concept's decimals."""
        return f"{value:.{self.decimals}f}" if self.decimals else f"{int(value)}"


def _loinc(*codes: str) -> tuple[str, ...]:
    return tuple(f"LOINC/{code}" for code in codes)


def _snomed(*codes: str) -> tuple[str, ...]:
    return tuple(f"SNOMED/{code}" for code in codes)


_BODY, _VITAL, _LAB = "body_metrics", "vital_signs", "lab_results"
_PULSE = _snomed("364075005", "78564009")
_HEMATOCRIT = _loinc("4544-3", "20570-8", "48703-3") + _snomed("28317006")
_HEMOGLOBIN = _loinc("718-7") + _snomed("271026005", "441689006")
_POTASSIUM = _loinc("2823-3", "6298-4") + _snomed("312468003", "59573005")
_GLUCOSE = _loinc("2345-7", "2339-0", "14749-6") + _snomed("166900001", "33747003")
_ANION_GAP = _loinc("33037-3", "41276-7") + _snomed("25469001")

_HEMOGLOBIN_MONOMER = 16114.5  # mmol/L of hemoglobin counts the monomer
_NITROGEN_OF_UREA = 28.0134  # mmol/L counts urea, mg/dL weighs its two nitrogen atoms

CONCEPTS: tuple[Concept, ...] = (
    Concept("Body weight", _BODY, _loinc("29463-7"), (350, 10000), None, "oz", 1),
    Concept("Body height", _BODY, _loinc("8302-2"), (5, 100), None, "inch", 1),
    Concept("Body mass index / BMI", _BODY, _loinc("39156-5"), (10, 100), (18.5, 24.9), "kg/m2", 1),
    Concept("Body surface area", _BODY, _loinc("8277-6") + _snomed("301898006"), (0.1, 10), None, "m2", 2),
    Concept("Heart rate", _VITAL, _loinc("8867-4") + _PULSE, (5, 300), (60, 100), "bpm", 0),
    Concept("Respiratory rate", _VITAL, _loinc("9279-1"), (1, 100), (12, 18), "breaths/min", 0),
    Concept(
        "Systolic blood pressure", _VITAL, _loinc("8480-6") + _snomed("271649006"), (20, 300), (90, 140), "mmHg", 0
    ),
    Concept(
        "Diastolic blood pressure", _VITAL, _loinc("8462-4") + _snomed("271650006"), (20, 300), (60, 90), "mmHg", 0
    ),
    Concept("Body temperature", _VITAL, _loinc("8310-5"), (80, 120), (95, 100), "°F", 1, corrected_normal=(95, 100.4)),
    Concept(
        "Oxygen saturation",
        _VITAL,
        _loinc("LP21258-6"),
        (1, 100),
        (95, 100),
        "%",
        0,
        extra_codes=_loinc("2708-6", "59408-5"),
    ),
    Concept(
        "Hemoglobin",
        _LAB,
        _HEMOGLOBIN,
        (1, 20),
        (12, 17),
        "g/dL",
        1,
        normal_by_sex=(("F", (12, 16)), ("M", (14, 17))),
        molar_mass=_HEMOGLOBIN_MONOMER,
    ),
    Concept(
        "Hematocrit", _LAB, _HEMATOCRIT, (10, 100), (36, 51), "%", 0, normal_by_sex=(("F", (36, 47)), ("M", (41, 51)))
    ),
    Concept(
        "Erythrocytes",
        _LAB,
        _loinc("789-8", "26453-1"),
        (1, 10),
        (4.2, 5.9),
        "10^6/uL",
        2,
        normal_by_sex=(("F", (3.92, 5.13)), ("M", (4.35, 5.65))),
    ),
    Concept("Leukocytes", _LAB, _loinc("20584-9", "6690-2"), (1, 100), (4, 10), "10^3/uL", 1),
    Concept("Platelets", _LAB, _loinc("777-3") + _snomed("61928009"), (10, 1000), (150, 350), "10^3/uL", 0),
    Concept(
        "Sodium",
        _LAB,
        _loinc("2951-2", "2947-0") + _snomed("25197003"),
        (100, 200),
        (136, 145),
        "mmol/L",
        0,
        molar_mass=22.98977,
        valence=1,
    ),
    Concept("Potassium", _LAB, _POTASSIUM, (0.1, 10), (3.5, 5.0), "mmol/L", 1, molar_mass=39.0983, valence=1),
    Concept(
        "Chloride",
        _LAB,
        _loinc("2075-0", "2069-3") + _snomed("104589004"),
        (50, 200),
        (98, 106),
        "mmol/L",
        0,
        molar_mass=35.453,
        valence=1,
    ),
    Concept("Carbon dioxide, total", _LAB, _loinc("2028-9"), (10, 100), (23, 28), "mmol/L", 0, valence=1),
    Concept(
        "Calcium",
        _LAB,
        _loinc("17861-6") + _snomed("271240001"),
        (1, 20),
        (9, 10.5),
        "mg/dL",
        1,
        molar_mass=40.078,
        valence=2,
    ),
    Concept(
        "Glucose",
        _LAB,
        _GLUCOSE,
        (10, 1000),
        (70, 100),
        "mg/dL",
        0,
        molar_mass=180.156,
        unit_by_code=(("LOINC/14749-6", "mmol/L"),),
    ),
    Concept(
        "Urea nitrogen",
        _LAB,
        _loinc("3094-0") + _snomed("105011006"),
        (1, 200),
        (8, 20),
        "mg/dL",
        0,
        molar_mass=_NITROGEN_OF_UREA,
    ),
    Concept(
        "Creatinine",
        _LAB,
        _loinc("2160-0") + _snomed("113075003"),
        (0.1, 10),
        (0.7, 1.3),
        "mg/dL",
        1,
        normal_by_sex=(("F", (0.59, 1.04)), ("M", (0.74, 1.35))),
        molar_mass=113.12,
    ),
    Concept("Anion gap", _LAB, _ANION_GAP, (-20, 50), (3, 11), "mmol/L", 0, valence=1),
)


def _index(corrected: bool) -> dict[str, Concept]:
    return {
        code: concept
        for concept in CONCEPTS
        for code in (concept.codes + concept.extra_codes if corrected else concept.codes)
    }


_BY_CODE = {"paper": _index(False), "corrected": _index(True)}


def concepts_by_code(profile: str) -> dict[str, Concept]:
    """Return code -> concept under ``profile``. The dict is shared: do not change it."""
    return _BY_CODE[profile]
