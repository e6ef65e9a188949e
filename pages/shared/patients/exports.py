"""The record's text as a file: under the safety notice and a line that says what it is."""

from core.safety import EXPORT_NOTICE


def text(body: str, heading: str) -> str:
    """Return a record's text under the notice and one line that says what it is."""
    return f"<!-- {EXPORT_NOTICE} -->\n<!-- {heading} -->\n{body}\n"
