"""Patients: find a patient, and read the record as the language model reads it at a chosen time."""

from pages.shared import frame

frame.require()  # before what follows, which takes seconds to import in a cold process

from pages.shared import empty, resources, selection  # noqa: E402
from pages.shared.patients import browser, chart  # noqa: E402

selection.side_bar()
chosen = selection.current()
dataset = resources.dataset(chosen.dataset)
if not dataset.n_subjects:
    browser.header(dataset)
    empty.show(
        "This dataset has no subjects",
        "Import one that has, or make the demo cohort of synthetic patients.",
        icon="person_off",
        command="python -m core demo .chartlight/demo",
    )
elif chosen.subject is None:
    browser.show(dataset)
else:
    chart.show(dataset, chosen)
