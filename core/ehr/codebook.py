"""What a code becomes in the text: its description, its kind, its place; looked up once per vocabulary.

Rules of the paper's code (reference 1.5): some vocabularies are left out, cancer modifiers are read from the code
itself, descriptions that begin with "Birth" give way to the age, codes without a description are dropped. The profile
``corrected`` drops only birth itself, shows a code without description as the code, gives vaccines and HCPCS their
place, and trusts the source table where a SNOMED code could be anything.
"""

import re
import weakref
from collections.abc import Iterable
from threading import Lock
from typing import Protocol

import numpy as np
import polars as pl

from core.ehr.aggregated_concepts import CONCEPTS, concepts_by_code
from core.ehr.meds_layout import BIRTH_CODES
from core.ehr.visits import is_visit

EXCLUDED_VOCABULARIES: dict[str, tuple[str, ...]] = {
    "markdown": (
        "LOINC",
        "Domain",
        "CARE_SITE",
        "ICDO3",
        "Medicare Specialty",
        "CMS Place of Service",
        "OMOP Extension",
        "Condition Type",
    ),
    "recent_codes": ("CARE_SITE", "ICDO3"),
}
"""Vocabularies left out by strategy: the paper's ``no_labs_single`` and ``no_unres``."""

DROPPED_VOCABULARY, UNRESOLVED, BIRTH, AGGREGATED, VISIT, EVENT = range(6)
"""Kinds of codes."""

CONDITIONS, MEDICATIONS, IMMUNIZATIONS, PROCEDURES = range(4)
"""Categories of ordinary events, in the order of the headings."""

_PAPER_CATEGORY = {
    "RxNorm": MEDICATIONS,
    "RxNorm Extension": MEDICATIONS,
    "CPT4": PROCEDURES,
    "ICD10PCS": PROCEDURES,
    "ICD9Proc": PROCEDURES,
}
_CORRECTED_CATEGORY = _PAPER_CATEGORY | {
    "NDC": MEDICATIONS,
    "ATC": MEDICATIONS,
    "CVX": IMMUNIZATIONS,
    "HCPCS": PROCEDURES,
}
_MEDS_CATEGORY = {"MEDICATION": MEDICATIONS, "INFUSION_START": MEDICATIONS, "PROCEDURE": PROCEDURES}
CATEGORY_BY_TABLE = {"procedure_occurrence": PROCEDURES, "drug_exposure": MEDICATIONS}
"""Category that the source table gives to codes whose vocabulary holds everything (SNOMED)."""

_DEMOGRAPHIC = re.compile(r"(gender|sex|race|ethnicity)/", re.IGNORECASE)
_BIRTH_TEXT = "Birth"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+|\s+")

_CODE_SECTION_BY_PREFIX = {
    "Race": "demographics",
    "Gender": "demographics",
    "Ethnicity": "demographics",
    "Visit": "visits",
    "Medicare Specialty": "visits",
    "CMS Place of Service": "visits",
    "RxNorm": "medications",
    "RxNorm Extension": "medications",
    "CVX": "medications",
    "CPT4": "procedures",
    "ICD10PCS": "procedures",
    "ICD9Proc": "procedures",
    "Domain": "procedures",
    "HCPCS": "procedures",
    "LOINC": "labs",
    "Cancer Modifier": "conditions",
    "OMOP Extension": "conditions",
    "Condition Type": "conditions",
}
_CODE_SECTION_BY_ANCESTOR = (  # the first that fits
    ("medications", {"SNOMED/373873005", "SNOMED/105590001"}),
    ("labs", {"SNOMED/108252007", "SNOMED/430925007"}),
    ("procedures", {"SNOMED/71388002"}),
)


class Vocabulary(Protocol):
    """What is asked of a vocabulary."""

    def describe(self, code: str) -> str | None:
        """Text of a code, None where there is none."""

    def ancestors(self, code: str) -> Iterable[str]:
        """All codes above a code."""


def one_line(text: str) -> str:
    """Put a text from data on one line: control, invisible and line-breaking characters become single spaces.

    Without it a description could forge a heading of the record.
    """
    return _CONTROL.sub(" ", text).strip()


def is_demographic(code: str) -> bool:
    """Whether the code tells sex, race or ethnicity."""
    return _DEMOGRAPHIC.match(code) is not None


class CodeBook:
    """Codes of one vocabulary under one profile and strategy, numbered as they come. Threads may share it.

    ``kind``, ``concept`` (index into CONCEPTS or -1), ``category`` and ``description_id`` are arrays over code
    numbers; ``descriptions``, ``bullets`` and ``codes`` are lists. Codes that share a description share its number.
    """

    def __init__(self, vocabulary: Vocabulary, profile: str, strategy: str, aggregate: bool):
        self._vocabulary = weakref.proxy(vocabulary)
        self.profile = profile
        self._excluded = {_normal(name) for name in EXCLUDED_VOCABULARIES[strategy]}
        self._concepts = concepts_by_code(profile)
        self._aggregate = aggregate and strategy == "markdown"
        self._keep_birth = strategy == "recent_codes"
        self._flat = strategy == "recent_codes"
        self._lock = Lock()
        self._number: dict[str, int] = {}
        self._description_number: dict[str, int] = {}
        self._code_sections: dict[int, str] = {}
        self.codes: list[str] = []
        self.descriptions: list[str] = []
        self.bullets: list[str] = []
        self._columns: tuple[list[int], ...] = ([], [], [], [], [], [])
        self.kind = self.concept = self.category = self.description_id = np.empty(0, np.int64)
        self.demographic = self.birth = np.empty(0, bool)

    def numbers(self, codes: list[str]) -> np.ndarray:
        """Code numbers of ``codes``, int64 ``(n,)``."""
        number = self._number
        try:
            return np.array([number[code] for code in codes], dtype=np.int64)
        except KeyError:
            with self._lock:
                self._learn([code for code in dict.fromkeys(codes) if code not in number])
            return np.array([number[code] for code in codes], dtype=np.int64)

    def code_section(self, number: int) -> str:
        """Section of ``recent_codes`` that a code belongs to (the authors' later classifier, reference 1.5)."""
        if number not in self._code_sections:
            self._code_sections[number] = self._classify(self.codes[number])
        return self._code_sections[number]

    def _learn(self, codes: list[str]) -> None:
        visits = pl.DataFrame({"code": codes}, schema={"code": pl.String}).select(is_visit(pl.col("code")))
        first = len(self.codes)
        for code, opens_visit in zip(codes, visits.to_series().to_list()):
            visit = code.startswith("Visit/") if self.profile == "paper" else bool(opens_visit)
            kind, description = self._resolve(code, visit and not self._flat)
            concept = self._concepts.get(code)
            row = (
                kind,
                CONCEPTS.index(concept) if concept else -1,
                self._category(code),
                self._describe_number(description),
                is_demographic(code),
                code in BIRTH_CODES,
            )
            self.codes.append(code)
            for column, value in zip(self._columns, row):
                column.append(value)
        self.kind, self.concept, self.category, self.description_id = (
            np.array(c, np.int64) for c in self._columns[:4]
        )
        self.demographic, self.birth = (np.array(column, bool) for column in self._columns[4:])
        # Last, so that another thread never meets a number that the arrays do not have yet.
        self._number.update((code, first + i) for i, code in enumerate(codes))

    def _describe_number(self, description: str) -> int:
        number = self._description_number.setdefault(description, len(self.descriptions))
        if number == len(self.descriptions):
            self.descriptions.append(description)
            self.bullets.append(f"- {description}")
        return number

    def _resolve(self, code: str, visit: bool) -> tuple[int, str]:
        if self._aggregate and code in self._concepts:
            return AGGREGATED, self._concepts[code].name
        prefix = code.split("/")[0].strip()
        if _normal(prefix) in self._excluded and not (prefix == "LOINC" and code in self._concepts):
            return DROPPED_VOCABULARY, ""
        if prefix == "Cancer Modifier" and "OMOP" not in code and "/" in code:
            return EVENT, re.sub(r"[_\-/]", " ", code.split("/", 1)[1]).strip()
        description = self._vocabulary.describe(code)
        if self.profile == "paper":
            if description is None:
                return UNRESOLVED, ""
            if description.startswith(_BIRTH_TEXT) and not self._keep_birth:
                return BIRTH, ""
            description = description.strip()
        else:
            if code in BIRTH_CODES:
                return (EVENT, _BIRTH_TEXT) if self._keep_birth else (BIRTH, "")
            description = one_line(description or "") or one_line(code.replace("//", " "))
            if not description:
                return UNRESOLVED, ""
        return (VISIT if visit else EVENT), description

    def _category(self, code: str) -> int:
        prefix = code.split("/")[0]
        if self.profile == "paper":
            return _PAPER_CATEGORY.get(prefix, CONDITIONS)
        if "//" in code:
            return _MEDS_CATEGORY.get(prefix.upper(), _CORRECTED_CATEGORY.get(prefix, CONDITIONS))
        return _CORRECTED_CATEGORY.get(prefix, CONDITIONS)

    def _classify(self, code: str) -> str:
        prefix = code.split("/")[0]
        if prefix in _CODE_SECTION_BY_PREFIX and "/" in code:
            return _CODE_SECTION_BY_PREFIX[prefix]
        if code in BIRTH_CODES or is_demographic(code):
            return "demographics"
        if prefix == "SNOMED":
            ancestors = set(self._vocabulary.ancestors(code))
            for section, roots in _CODE_SECTION_BY_ANCESTOR:
                if roots & ancestors:
                    return section
        return "conditions"


def _normal(name: str) -> str:
    return name.strip().replace(" ", "_").upper()


_BOOKS_LOCK = Lock()
_BOOKS: dict[int, dict[tuple[str, str, bool], CodeBook]] = {}  # by identity: a vocabulary holds dicts, so no hash


def code_book(vocabulary: Vocabulary, profile: str, strategy: str, aggregate: bool) -> CodeBook:
    """The code book of a vocabulary, made once and grown as codes come; it goes when the vocabulary goes."""
    with _BOOKS_LOCK:
        if id(vocabulary) not in _BOOKS:
            _BOOKS[id(vocabulary)] = {}
            weakref.finalize(vocabulary, _BOOKS.pop, id(vocabulary), None)
        books = _BOOKS[id(vocabulary)]
        key = (profile, strategy, aggregate)
        if key not in books:
            books[key] = CodeBook(vocabulary, *key)
        return books[key]
