"""Which events up to the prediction time the text does not show, and why."""

import numpy as np

from core.ehr.chart import Chart
from core.ehr.codebook import DROPPED_VOCABULARY, UNRESOLVED

REASON_BY_KIND = {DROPPED_VOCABULARY: "vocabulary left out", UNRESOLVED: "code without description"}


def omitted_rows(chart: Chart, inside: np.ndarray, kind: np.ndarray) -> dict[str, np.ndarray]:
    """Source rows by reason, for reasons that lie in the code. ``kind`` is parallel to ``inside``."""
    return {reason: chart.row[inside[kind == number]] for number, reason in REASON_BY_KIND.items()}
