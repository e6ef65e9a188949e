"""The filters of the list of patients in its address, as in ``?sex=female&task=guo_readmission&min_age=66``.

The address names choices and codes of the dataset, never what was only typed: the search by id is not in it, and a
code is where somebody has it. A patient's address has none of it: beside a subject id these are facts about a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.ehr.store import Dataset
from core.ehr.subjects import SubjectFilter, age_range, subjects_with_code
from pages.shared import url
from pages.shared.patients import filters


@dataclass(frozen=True)
class Fitted:
    """What a dataset can show of the filters that it was asked for.

    Attributes:
        filter: those that fit.
        page: the page of the list, from 1.
        left_out: those that do not fit, in words.
    """

    filter: SubjectFilter
    page: int = 1
    left_out: tuple[str, ...] = ()


def named(filter: SubjectFilter, page: int = 1) -> dict[str, str | int | None]:
    """Return the query parameters of a list; what is as a list begins is None or empty, and so not in the address."""
    return {
        "sex": filter.sex,
        "split": filter.split,
        "task": filter.task,
        "code": filter.code,
        "min_age": filter.min_age,
        "max_age": filter.max_age,
        "sort": None if filter.sort == "subject_id" else filter.sort,
        "order": "descending" if filter.descending else None,
        "page": page if page > 1 else None,
    }


NONE = named(SubjectFilter())
"""The parameters of a list, all absent: for the address of anything else."""


def read() -> dict[str, str]:
    """Return what the address names, unchecked but for its length; :func:`fit` checks."""
    return {name: url.read(name) for name in NONE}


def fit(dataset: Dataset, wanted: Mapping[str, str | int | None]) -> Fitted:
    """Check query parameters against a dataset; an order or a page that cannot be is the first one."""
    text = {name: str(value).strip() for name, value in wanted.items() if value is not None}
    left_out = []

    def take(name: str, word: str, fits: bool) -> str:
        value = text.get(name, "")
        if value and not fits:
            left_out.append(word)
        return value if fits else ""

    sex = take("sex", "sex", text.get("sex") in filters.SEXES)
    split = take("split", "split", text.get("split") in filters.SPLITS)
    task = take("task", "label", text.get("task") in dataset.tasks())
    code = take("code", "code", has_code(dataset, text.get("code", "")))
    ages = _ages(text.get("min_age", ""), text.get("max_age", ""), age_range(dataset))
    if ages is None:
        left_out.append("age")
    least, most = ages or (None, None)
    sort = text.get("sort", "")
    page = _number(text.get("page", ""))
    return Fitted(
        SubjectFilter(
            min_age=least,
            max_age=most,
            sex=sex or None,
            split=split or None,
            task=task or None,
            code=code,
            sort=sort if sort in filters.SORTS else "subject_id",
            descending=text.get("order") == "descending",
        ),
        max(1, page or 1),
        tuple(left_out),
    )


def has_code(dataset: Dataset, code: str) -> bool:
    """Return whether somebody has the code that the controls would make of this text."""
    return bool(code) and filters.is_code(dataset, code) and len(subjects_with_code(dataset, code)) > 0


def _ages(least: str, most: str, span: tuple[int, int] | None) -> tuple[int | None, int | None] | None:
    """Return the ages as the slider has them; None where it cannot be set so."""
    if not least and not most:
        return None, None
    if span is None:
        return None
    low, high = span
    start, end = (_number(least) if least else low), (_number(most) if most else high)
    if start is None or end is None or start > min(end, high) or end < low:
        return None
    return (start if start > low else None), (end if end < high else None)


def _number(text: str) -> int | None:
    """Return a whole number of at most six digits, else None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else None
