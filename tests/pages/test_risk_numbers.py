"""Numbers on the Risk page that rounding must not change: thresholds and their labels, averages of rare outcomes."""

import numpy as np
import pytest

from core.risk.heads import load_heads
from core.risk.score import of_100, percent_text
from core.risk.thresholds import threshold_table
from core.settings import PROJECT_ROOT
from pages.shared.risk.evidence.thresholds import _steps, figure
from tests.pages import cohort
from tests.pages.conftest import shown
from tests.pages.test_patients import sound

PAGE = "pages/risk.py"
HEADS = load_heads(PROJECT_ROOT / "assets" / "heads" / "minilm")


@pytest.mark.parametrize("key", HEADS)
def test_a_threshold_is_what_its_label_says_and_has_it_alone(key):
    """Streamlit finds an option by its label: of two with one label it takes the last."""
    steps = _steps(HEADS[key].reference_probability).tolist()
    labels = [percent_text(step) for step in steps]
    assert len(set(labels)) == len(labels) >= 10
    assert [float(label.removesuffix(" %")) / 100 for label in labels] == pytest.approx(steps, abs=1e-12)


def test_one_score_for_all_leaves_no_threshold_to_choose():
    assert len(_steps(np.full(200, 0.2))) == 1


@pytest.mark.parametrize(
    ("share", "words"), [(0, "0.0"), (0.0002, "<0.1"), (0.004, "0.4"), (0.31, "31"), (0.998, "99.8"), (1, "100.0")]
)
def test_a_rate_of_100_keeps_what_is_rare(share, words):
    assert of_100(share) == words


def test_the_threshold_shown_is_the_one_that_is_counted(open_page):
    app = open_page(PAGE, query={"subject": str(cohort.RICH), "evidence": "Thresholds", "target": "guo_icu"})
    sound(app)
    head, slider = HEADS["guo_icu"], app.select_slider[0]
    for label in (slider.options[3], slider.options[-1]):
        slider.set_value(float(label.removesuffix(" %")) / 100).run()
        sound(app)
        alert = np.round(head.reference_probability, 12) >= float(label.removesuffix(" %")) / 100
        found = int(head.reference_target[alert].sum())
        assert f"{found} of {head.n_positive}" in shown(app)


def test_the_average_beside_similar_patients_is_not_rounded_away(open_page):
    query = {"subject": str(cohort.RICH), "evidence": "Similar patients", "target": "new_celiac"}
    app = open_page(PAGE, query=query)
    sound(app)
    head = HEADS["new_celiac"]
    assert f"is {100 * head.n_positive / head.n:.1f} of 100" in shown(app)


def test_hovering_over_a_threshold_tells_a_rare_alert_from_none():
    head = HEADS["guo_icu"]
    rows = threshold_table(head.reference_target, head.reference_probability, head.reference_cluster, np.array([0.1]))
    assert figure(rows, 0.1).layout.yaxis.hoverformat == ".1%"
