"""Write docs/settings.md from the settings class: ``python -m docs.settings``."""

from pathlib import Path

from core.settings import PROJECT_ROOT, Settings

HEAD = """# Settings

Set as environment variables or in a `.env` file at the root of the project; a path may begin with `~/`. This page is
written by `python -m docs.settings`.

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page as Markdown."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, Path) and default.is_relative_to(PROJECT_ROOT):
            default = default.relative_to(PROJECT_ROOT)
        shown = f"`{default}`" if default not in (None, "", []) else ""
        rows.append(f"| `CHARTLIGHT_{name.upper()}` | {shown} | {field.description} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    (PROJECT_ROOT / "docs" / "settings.md").write_text(page())
