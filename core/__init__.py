"""Chartlight without a screen: everything under ``core`` works from Python or ``python -m core``."""
