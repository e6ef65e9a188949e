"""Patients: find a patient, and read the record as the language model reads it at a chosen time."""

from pages.shared import empty, frame, resources, selection
from pages.shared.patients import browser, chart

frame.require()
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
    selection.write_address(chosen)
else:
    chart.show(dataset, chosen)
