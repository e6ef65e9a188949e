"""Which of the datasets on offer a set of patients comes from."""

import numpy as np

from core.errors import ChartlightError
from pages.shared import resources


def holder_of(subjects: np.ndarray) -> str | None:
    """Name of the first dataset on offer that holds all of these subjects, None where none does.

    Args:
        subjects: int64 ``(n,)`` subject ids.
    """
    for name in resources.dataset_folders():
        try:
            known = resources.dataset(name).index.subject_ids
        except ChartlightError:
            continue
        if len(subjects) and np.isin(subjects, known).all():
            return name
    return None
