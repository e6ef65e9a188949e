"""Tables that show numbers in words, "5.8 %" or "<0.1 %", and sort them as numbers when a header is pressed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler


@dataclass(frozen=True)
class Worded:
    """A column of numbers, None where there is none, and what is shown of each."""

    numbers: Sequence[float | None]
    words: Sequence[str]


def table(columns: Mapping[str, Worded | Sequence[Any]]) -> Styler:
    """Return a table for ``st.dataframe`` of columns by name, some of them :class:`Worded`."""
    worded = {name: column for name, column in columns.items() if isinstance(column, Worded)}
    plain = {name: column.numbers if name in worded else column for name, column in columns.items()}
    shown = pd.DataFrame(plain).astype(dict.fromkeys(worded, float)).style
    for name, column in worded.items():
        for row, words in enumerate(column.words):
            shown = shown.format(lambda _, words=words: words, subset=([row], [name]))
    return shown
