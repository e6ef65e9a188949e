"""The parts of the Imaging page."""
