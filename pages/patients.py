"""Patients: find a patient, and read the record as the language model reads it at a chosen time."""

from pages.shared import frame

frame.require()  # before what follows, which takes seconds to import in a cold process

from pages.shared import resources, selection  # noqa: E402
from pages.shared.patients import browser, chart  # noqa: E402

selection.side_bar()
chosen = selection.current()
dataset = resources.dataset(chosen.dataset)
if not dataset.n_subjects:
    browser.header(dataset)
    browser.no_subjects(chosen)
elif chosen.subject is None:
    browser.show(dataset)
else:
    chart.show(dataset, chosen)
