"""A deterministic generator of synthetic patients in MEDS layout."""

from core.ehr.demo.generate import generate_demo

__all__ = ["generate_demo"]
