"""A deterministic generator of synthetic patients in MEDS layout."""
