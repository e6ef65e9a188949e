"""Patients page."""

from pages.shared import empty, layout

layout.header("Patients", "Read a record as the language model reads it.")
empty.show("No dataset yet", "Make the demo cohort first.", command="python -m core demo .chartlight/demo")
