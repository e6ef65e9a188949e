"""Contrast of the theme (WCAG 2.2): 4.5:1 for text, 3:1 for graphics, in both themes."""

import re
import tomllib
from itertools import product
from pathlib import Path

import pytest

from pages.shared import charts

CONFIG = tomllib.loads((Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml").read_text())
THEMES = {name: CONFIG["theme"][name] for name in ("light", "dark")}
NAMES = ("red", "orange", "yellow", "blue", "green", "violet", "gray")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def surfaces(theme: dict) -> list[str]:
    return [theme["backgroundColor"], theme["secondaryBackgroundColor"], theme["sidebar"]["backgroundColor"]]


@pytest.mark.parametrize("name", THEMES)
def test_text_stands_out(name):
    theme = THEMES[name]
    texts = [theme["textColor"], theme["linkColor"], theme["codeTextColor"], theme["dataframeHeaderTextColor"]]
    texts += [theme[f"{colour}TextColor"] for colour in NAMES]
    for text, surface in product(texts, surfaces(theme)):
        assert contrast(text, surface) >= 4.5, (text, surface)


@pytest.mark.parametrize("name", THEMES)
def test_badges_can_be_read(name):
    theme = THEMES[name]
    for colour in NAMES:
        assert contrast(theme[f"{colour}TextColor"], theme[f"{colour}BackgroundColor"]) >= 4.5, colour


@pytest.mark.parametrize("name", THEMES)
def test_white_on_primary_buttons(name):
    assert contrast("#FFFFFF", THEMES[name]["primaryColor"]) >= 4.5


@pytest.mark.parametrize("name", THEMES)
def test_marks_in_figures_and_icons_stand_out(name):
    theme = THEMES[name]
    for colour in (*charts.CATEGORICAL, theme["primaryColor"], *(theme[f"{name}Color"] for name in NAMES)):
        assert contrast(colour, theme["backgroundColor"]) >= 3, colour


def test_figures_use_the_palette_of_the_theme():
    assert tuple(CONFIG["theme"]["chartCategoricalColors"]) == charts.CATEGORICAL


def test_no_rule_of_the_style_sheet_searches_the_page():
    """``:has(x)`` without ``>`` has a browser style all of the page again whenever an x comes or goes anywhere."""
    sheet = (Path(__file__).resolve().parents[2] / "assets" / "style.css").read_text()
    assert re.findall(r":has\((?!> ).*", sheet) == []


def test_nothing_phones_home_and_no_traceback_is_shown():
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["client"]["showErrorDetails"] == "none"
    assert CONFIG["client"]["toolbarMode"] == "viewer"
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["server"]["fileWatcherType"] == "none"


def test_the_browser_takes_every_weight_of_headings():
    """It takes hundreds and the fifties between; for another it warns in the console and uses its own."""
    assert [weight for weight in CONFIG["theme"]["headingFontWeights"] if weight % 50] == []
